"""The CPU: time spent by kind of work, and the interrupts taken meanwhile."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_in_place
from replay.engine.arrivals import materialise
from replay.engine.ring import irq_time, refresh
from replay.engine.state import APP, KSOFTIRQD, NAPI, NOBODY, RUNNING, SOFTIRQ, Packets
from replay.units import NEVER

# What was taken by `take_interrupt`
NOTHING, NAPI_SCHEDULED = 0, 1


@jit_in_place
def spend(s: Any, k: Any, kind: int, until: int) -> None:
    """Let time pass up to `until`, or to the trace's end, as CPU time of that kind."""
    if until > k.end:
        until, s.over = k.end, 1
    spent = until - s.now
    s.now = until
    if kind == APP:
        s.app += spent
    elif kind == SOFTIRQ:
        s.softirq += spent
        s.rt_used += spent
    else:
        s.kernel += spent


@jit_in_place
def undisturbed(s: Any, k: Any, until: int) -> bool:
    """Whether nothing can happen to whoever has the CPU before `until`."""
    return bool(s.due >= until and until <= k.end and s.parked == RUNNING and not k.closed)


@jit_in_place
def work_while_owned(s: Any, p: Packets, k: Any, kind: int, cost: int) -> int:
    """Work for `cost` ns in NAPI or in a busy poll, whose interrupts cannot start another poll.

    Returns NAPI_SCHEDULED where NAPI was leaving and an interrupt called it back.
    """
    if undisturbed(s, k, s.now + cost):
        spend(s, k, kind, s.now + cost)
        return NOTHING
    return _work_disturbed(s, p, k, kind, cost)


@jit_in_place
def _work_disturbed(s: Any, p: Packets, k: Any, kind: int, cost: int) -> int:
    """Work while interrupts are taken."""
    while True:
        if k.closed:
            materialise(s, p, k, s.now + cost)
            refresh(s, p, k)
        until = s.now + cost
        if cost == 0 or s.due >= until or s.due >= k.end:
            spend(s, k, kind, until)
            return NOTHING
        before = s.now
        spend(s, k, kind, max(s.due, s.now))
        cost -= s.now - before
        if take_interrupt(s, p, k) == NAPI_SCHEDULED or s.over:
            return NAPI_SCHEDULED


@jit_in_place
def take_interrupt(s: Any, p: Packets, k: Any) -> int:
    """Run the handler of the interrupt that is due.

    Returns NAPI_SCHEDULED where it now owns the queue, or is allowed to run again.
    """
    result = NOTHING
    if irq_time(s, p, k) <= s.now:
        s.irqs += 1
        s.armed, s.irq_due = 0, NEVER
        _handler(s, k, k.irq)
        if s.owner == NOBODY:
            result = schedule_napi(s)
        else:  # napi_schedule_prep
            s.missed = 1
    elif s.timer < NEVER and s.timer + k.timer_latency <= s.now:  # napi_watchdog
        s.timers += 1
        s.timer = NEVER
        _handler(s, k, k.timer)
        if s.owner == NOBODY:
            s.prefer_bit = 0
            result = schedule_napi(s)
    elif s.wakes_at <= s.now:
        s.wakes_at = NEVER
        _handler(s, k, k.timer)
        if s.asleep:
            wake(s, k)
    elif s.unthrottle <= s.now:
        s.unthrottle = NEVER
        s.parked, s.unparked = 0, 1
        result = NAPI_SCHEDULED
    refresh(s, p, k)
    return result


@jit_in_place
def schedule_napi(s: Any) -> int:
    """NAPI owns the queue from now on, in a softirq that begins anew."""
    s.owner = NAPI
    s.passes, s.softirq_start = 0, s.now
    return NAPI_SCHEDULED


@jit_in_place
def wake(s: Any, k: Any) -> None:
    """Make the sleeping thread runnable. ksoftirqd, where it polls, keeps its slice."""
    s.asleep, s.need_resched = 0, 1
    if s.parked == KSOFTIRQD:
        s.ksoftirqd_turn, s.slice_end = 1, s.now + k.slice


@jit_in_place
def _handler(s: Any, k: Any, cost: int) -> None:
    """Spend a handler's time; nothing interrupts it."""
    until = s.now + cost
    if until > k.end:
        until, s.over = k.end, 1
    s.hardirq += until - s.now
    s.now = until
