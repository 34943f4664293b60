"""The CPU: time spent by kind of work, and the interrupts taken meanwhile."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.arrivals import materialise
from replay.engine.ring import refresh, refresh_timers
from replay.engine.state import APP, KSOFTIRQD, NAPI, NOBODY, SOFTIRQ
from replay.engine.tally import COALESCING, TIMER
from replay.units import NEVER

# What was taken by `take_interrupt`
NOTHING, NAPI_SCHEDULED = 0, 1


@jit_inside
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


@jit_inline
def spend_quietly(s: Any, kind: int, cost: int) -> bool:
    """Spend `cost` ns where nothing can happen meanwhile; otherwise return False."""
    until = s.now + cost
    if until > s.quiet:
        return False
    s.now = until
    if kind == APP:
        s.app += cost
    elif kind == SOFTIRQ:
        s.softirq += cost
        s.rt_used += cost
    else:
        s.kernel += cost
    return True


@jit_inline
def work_while_owned(s: Any, k: Any, kind: int, cost: int) -> int:
    """Work for `cost` ns in NAPI or in a busy poll, whose interrupts cannot start another poll.

    Returns NAPI_SCHEDULED where NAPI was leaving and an interrupt called it back.
    """
    if spend_quietly(s, kind, cost):
        return NOTHING
    return _work_disturbed(s, k, kind, cost)


@jit_inside
def _work_disturbed(s: Any, k: Any, kind: int, cost: int) -> int:
    """Work while interrupts are taken."""
    while True:
        if k.closed:
            materialise(s, k, s.now + cost)
            refresh(s, k)
        until = s.now + cost
        if cost == 0 or s.due >= until or s.due >= k.end:
            spend(s, k, kind, until)
            return NOTHING
        before = s.now
        spend(s, k, kind, max(s.due, s.now))
        cost -= s.now - before
        if take_interrupt(s, k) == NAPI_SCHEDULED or s.over:
            return NAPI_SCHEDULED


@jit_inline
def take_interrupt(s: Any, k: Any) -> int:
    """Run the handler of the interrupt that is due.

    Returns NAPI_SCHEDULED where it now owns the queue, or is allowed to run again.
    """
    result = NOTHING
    if s.irq_at <= s.now:
        s.irqs += 1
        since = s.irq_at - k.irq_latency
        s.armed, s.irq_due, s.irq_at = 0, NEVER, NEVER
        _handler(s, k, k.irq)
        if s.owner == NOBODY:
            s.interrupted = 1
            result = schedule_napi(s, COALESCING, since)
        else:  # napi_schedule_prep
            s.missed = 1
    elif s.timer <= s.now:  # napi_watchdog
        s.timers += 1
        since = s.timer - k.timer_latency
        s.timer = NEVER
        _handler(s, k, k.timer)
        if s.owner == NOBODY:
            s.prefer_bit = 0
            result = schedule_napi(s, TIMER, since)
    elif s.wakes_at <= s.now:
        s.wakes_at = NEVER
        _handler(s, k, k.timer)
        if s.asleep:
            wake(s, k)
    elif s.unthrottle <= s.now:
        s.unthrottle = NEVER
        s.rt_window, s.rt_used = s.now // k.rt_period, 0
        s.parked, s.unparked = 0, 1
        result = NAPI_SCHEDULED
    refresh_timers(s, k)
    return result


@jit_inline
def schedule_napi(s: Any, why: int, since: int) -> int:
    """NAPI owns the queue from now on, in a softirq that begins anew."""
    s.owner = NAPI
    s.why, s.since, s.polled_since = why, since, -1
    begin_softirq(s)
    return NAPI_SCHEDULED


@jit_inline
def begin_softirq(s: Any) -> None:
    """handle_softirqs begins."""
    s.passes, s.in_pass, s.softirq_start = 0, 0, s.now


@jit_inline
def wake(s: Any, k: Any) -> None:
    """Make the sleeping thread runnable. ksoftirqd, where it polls, keeps its slice."""
    s.asleep, s.need_resched = 0, 1
    if s.parked == KSOFTIRQD:
        s.ksoftirqd_turn, s.slice_end = 1, s.now + k.slice


@jit_inline
def _handler(s: Any, k: Any, cost: int) -> None:
    """Spend a handler's time; nothing interrupts it."""
    until = s.now + cost
    if until > k.end:
        until, s.over = k.end, 1
    s.hardirq += until - s.now
    s.now = until
