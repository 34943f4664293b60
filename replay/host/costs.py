"""The host as a policy finds it: whose costs apply, and the ring that it asks for."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from replay.host.model import Host
from replay.policy.model import Policy

#: Times that are no cost of the receive path: the application's, the client's, and clocks.
_NO_COST = (
    *("stale_after_ns", "request_ns", "recorded_ns", "client_ns", "bypass_packet_ns"),
    *("jiffy_ns", "slice_ns", "rt_period_ns", "rt_runtime_ns"),
)
_COSTS = tuple(
    field.name
    for field in fields(Host)
    if field.name.endswith("_ns") and field.name not in _NO_COST
)


def costs_of(policy: Policy, host: Host) -> Host:
    """Return `host` with the costs and the ring that `policy` says.

    Its `costs` are one of these:
    `host`: as they are. `free`: every step takes no time, wakes at once and finds its caches warm,
    a poll hands on each packet by itself and gives its descriptor back, transmissions complete
    unnoticed, and nothing else runs on the CPUs. `free-poll`: busy polls that find nothing are
    free, all else costs what it does. `bypass`: a stack in the application's address space, as
    OpenOnload's: a packet costs host.bypass_packet_ns from the ring to the application, a look at
    the ring no more than that; no system call, sleep, wake-up or timer is paid for, transmitting
    and the service itself cost what they do in the kernel.

    A ring of another size keeps the driver's rule: half the ring stays half of it, and no limit
    leaves more than half of the ring without descriptors.
    """
    host = _with_ring(host, policy.ring)
    if policy.costs == "free":
        return replace(
            host,
            **_none_of(_COSTS),
            repost_every=1,
            repost_above=0,
            extra_irq=False,
            looks_again=False,
            tx_completions=False,
            gro_batch=1,
            preemption=True,
            cstates=(),
        )
    if policy.costs == "free-poll":
        return replace(host, busy_poll_ns=0)
    if policy.costs == "bypass":
        return replace(
            host,
            packet_ns=host.bypass_packet_ns,
            busy_poll_ns=min(host.busy_poll_ns, host.bypass_packet_ns),
            **_none_of(_BYPASSED),
        )
    return host


#: What a stack in user space does without; a stop poll and its timer are part of busy polling.
_BYPASSED = (
    *("epoll_ns", "event_ns", "wake_ns", "sleep_ns", "notify_ns"),
    *("poll_ns", "timer_start_ns", "timer_later_ns", "exit_ns"),
)


def arming_ns(host: Host, timeout_ns: int) -> int:
    """Return what hrtimer_start costs for a timer that expires `timeout_ns` from now.

    Where it is the CPU's next one the clock event is programmed, which a virtual machine pays for
    with an exit; where the tick comes first only a tree is changed (hrtimer_reprogram in
    kernel/time/hrtimer.c). A tick that comes once a jiffy is before it with a probability of
    timeout over jiffy: the mean of both costs. A CPU that polls does not stop its tick.
    """
    start, later = host.timer_start_ns, min(host.timer_later_ns, host.timer_start_ns)
    behind = min(timeout_ns, host.jiffy_ns)
    return (start * (host.jiffy_ns - behind) + later * behind) // host.jiffy_ns


def suspending_ns(host: Host, policy: Policy) -> int:
    """Return what napi_suspend_irqs costs: it moves the timer to irq-suspend-timeout.

    Where polls are deferred, the poll before has armed it for gro-flush-timeout: where that made it
    the CPU's next timer, moving it away programs the clock event anew (hrtimer_force_reprogram).
    """
    timeout = policy.irq_suspend_timeout_ns
    return arming_ns(host, min(policy.gro_flush_timeout_ns, timeout) if policy.defers else timeout)


def _none_of(names: tuple[str, ...]) -> dict[str, Any]:
    """Return these costs, each nothing."""
    return dict.fromkeys(names, 0)


def _with_ring(host: Host, ring: int | None) -> Host:
    """Return `host` with a ring of that many descriptors; None leaves it."""
    if ring is None or ring == host.ring:
        return host
    half = max(1, ring // 2)
    halves = host.repost_every == host.ring // 2
    return replace(
        host,
        ring=ring,
        repost_every=half if halves else min(host.repost_every, half),
        repost_above=min(host.repost_above, ring // 2),
    )
