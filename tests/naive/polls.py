"""NAPI: softirqs that poll every queue in turn, and one poll."""

from __future__ import annotations

from collections.abc import Generator

from replay.units import MILLISECOND

MAX_SOFTIRQ_RESTART = 10  # kernel/softirq.c
MAX_SOFTIRQ_TIME = 2 * MILLISECOND


def handle_softirqs(cpu, ksoftirqd=None) -> Generator:
    """Pass after pass; in a softirq ksoftirqd has to go on where that takes long."""
    jiffy = cpu.host.jiffy_ns
    passes, start = 0, cpu.now // jiffy
    yield "softirq", 0
    while cpu.poll_list:
        cpu.bh_off = ksoftirqd
        yield from net_rx_action(cpu)
        passes += 1
        if not cpu.poll_list:
            break
        if ksoftirqd is not None:
            cpu.bh_off = None
            if cpu.slice_is_over():
                cpu.rotate()
        else:
            late = cpu.now // jiffy >= start + ticks(MAX_SOFTIRQ_TIME, jiffy)
            if late or passes >= MAX_SOFTIRQ_RESTART or cpu.need_resched:
                cpu.ksoftirqd.asleep = False
                cpu.enqueue(cpu.ksoftirqd)
                return
        yield "softirq", 0
    if ksoftirqd is None:
        cpu.in_exit = True
        yield from leave(cpu)


def leave(cpu) -> Generator:
    """What completions' timers cost, and the end of the softirq."""
    leaving, cpu.leaving = cpu.leaving, 0
    yield "softirq", leaving + cpu.host.exit_ns


def net_rx_action(cpu) -> Generator:
    """Poll each queue once; those that have more, and those scheduled meanwhile, are left."""
    policy, jiffy = cpu.island.policy, cpu.host.jiffy_ns
    budget, usecs = policy.netdev_budget, policy.netdev_budget_usecs
    deadline = cpu.now // jiffy + (2 if usecs is None else ticks(usecs * 1000, jiffy))
    todo, cpu.poll_list = cpu.poll_list, []
    again: list = []
    while todo:
        work = yield from poll_napi(cpu, todo.pop(0), again)
        budget -= work
        if budget <= 0 or cpu.now // jiffy >= deadline:
            cpu.island.counts["squeezes"] += 1
            break
        if not todo and not again:  # scheduled meanwhile
            todo, cpu.poll_list = cpu.poll_list, []
    cpu.poll_list = todo + cpu.poll_list + again


def poll_napi(cpu, queue, again: list, thread=None) -> Generator:
    """__napi_poll: one poll; a queue that has more is added to `again`."""
    host, policy = cpu.host, queue.policy
    work = yield from poll(cpu, queue, "softirq", host.poll_ns, policy.weight)
    if work == policy.weight and not queue.prefer_bit:
        again.append(queue)
        return work
    # a full poll gives way to a busy poller
    arming = queue.napi_complete_done(cpu, work, driver=work < policy.weight)
    if arming is not None:
        payer = cpu if thread is None else thread
        payer.leaving += arming
    elif thread is None:
        cpu.poll_list.append(queue)
    else:
        again.append(queue)
    return work


def poll(cpu, queue, kind: str, cost: int, budget: int) -> Generator:
    """The driver's poll: completed transmissions first, then up to `budget` packets."""
    island, host = cpu.island, cpu.host
    if queue.polled_since is None:
        queue.polled_since = island.now
    yield kind, cost
    if host.tx_completions:
        yield kind, host.tx_ns * queue.clean()
    steps = take_in_batches if host.looks_again else take_one_by_one
    work = yield from steps(cpu, queue, kind, budget)
    queue.repost()
    island.count_poll(work, kind)
    if queue.interrupted:
        island.counts["irqs_no_work"] += work == 0
        queue.interrupted = False
    return work


def take_one_by_one(cpu, queue, kind: str, budget: int) -> Generator:
    """Take packets until the ring is empty when the last one has cost what it costs."""
    island, host = cpu.island, cpu.host
    work, batch = 0, []
    while work < budget:
        packet = queue.take()
        if packet is None:
            break
        work += 1
        yield kind, host.packet_ns
        batch.append(packet)
        if len(batch) == host.gro_batch:
            island.deliver(batch, queue, cpu)
            batch = []
    island.deliver(batch, queue, cpu)
    return work


def take_in_batches(cpu, queue, kind: str, budget: int) -> Generator:
    """Take packets and let the stack have them; of a batch that is not full, after the last look.

    napi_gro_receive passes on full batches, napi_complete_done what is left.
    """
    island, host = cpu.island, cpu.host
    work, full = 0, True
    while full and work < budget:
        most = min(host.gro_batch, budget - work)
        batch: list[int] = []
        while len(batch) < most and queue.ring:
            batch.append(queue.take())
        work += len(batch)
        full = len(batch) == host.gro_batch
        if batch:
            yield kind, len(batch) * host.packet_ns
        island.deliver(batch, queue, cpu)
    return work


def ticks(duration: int, jiffy: int) -> int:
    """Jiffies of a duration, rounded up."""
    return -(-duration // jiffy)
