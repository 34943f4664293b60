"""How the kernel prints the tracepoints of perf_builder: the `print fmt` of their format texts."""

from __future__ import annotations

_SOFTIRQ = '"vec=%u [action=%s]", REC->vec, __print_symbolic(REC->vec, { 3, "NET_RX" })'
_WAKE = '"comm=%s pid=%d target_cpu=%03d", REC->comm, REC->pid, REC->target_cpu'
_PACKET = '"dev=%s len=%u", __get_str(name), REC->len'
PRINTS = {
    "irq:irq_handler_entry": '"irq=%d name=%s", REC->irq, __get_str(name)',
    "irq:irq_handler_exit": '"irq=%d ret=%s", REC->irq, REC->ret ? "handled" : "unhandled"',
    "irq:softirq_entry": _SOFTIRQ,
    "irq:softirq_exit": _SOFTIRQ,
    "irq:softirq_raise": _SOFTIRQ,
    "napi:napi_poll": '"napi poll on napi struct %p for device %s work %d budget %d",'
    " REC->napi, __get_str(dev_name), REC->work, REC->budget",
    "net:napi_gro_receive_entry": '"dev=%s napi_id=%#x protocol=0x%04x hash=0x%08x l4_hash=%d'
    ' len=%u mac_header_valid=%d mac_header=%d", __get_str(name), REC->napi_id, REC->protocol,'
    " REC->hash, REC->l4_hash, REC->len, REC->mac_header_valid, REC->mac_header",
    "net:netif_receive_skb": _PACKET,
    "net:net_dev_start_xmit": '"dev=%s protocol=0x%04x len=%u network_offset=%d'
    ' transport_offset_valid=%d transport_offset=%d", __get_str(name), REC->protocol, REC->len,'
    " REC->network_offset, REC->transport_offset_valid, REC->transport_offset",
    "net:net_dev_xmit": _PACKET,
    "net:net_dev_queue": _PACKET,
    "sched:sched_switch": '"prev_comm=%s prev_pid=%d ==> next_comm=%s next_pid=%d",'
    " REC->prev_comm, REC->prev_pid, REC->next_comm, REC->next_pid",
    "sched:sched_wakeup": _WAKE,
    "sched:sched_waking": _WAKE,
    "timer:hrtimer_start": '"hrtimer=%p function=%p expires=%llu", REC->hrtimer, REC->function,'
    " (unsigned long long)(REC->expires)",
    "timer:hrtimer_expire_entry": '"hrtimer=%p function=%p now=%llu", REC->hrtimer, REC->function,'
    " (unsigned long long)(REC->now)",
    "syscalls:sys_enter_epoll_wait": '"epfd: 0x%08lx, maxevents: 0x%08lx, timeout: 0x%08lx",'
    " ((unsigned long)(REC->epfd)), ((unsigned long)(REC->maxevents)),"
    " ((unsigned long)(REC->timeout))",
    "syscalls:sys_exit_epoll_wait": '"0x%lx", REC->ret',
}


def printed(event: str, text: str) -> str:
    """A format's text with the kernel's `print fmt`; for PerfBuilder.edit_format."""
    head, _, usual = text.partition("print fmt: ")
    return f"{head}print fmt: {PRINTS.get(event, usual.strip())}\n"
