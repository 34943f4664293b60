"""Busy polling: napi_busy_loop, busy_poll_stop, napi_resume_irqs, and a socket's SO_BUSY_POLL."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.general.answers import queue_of_slot
from replay.engine.general.device import admit
from replay.engine.general.lists import POLL_LIST, cpu_list, first
from replay.engine.general.napi import ENDED, begin_poll, complete, go_on_polling, start_timer
from replay.engine.general.sched import enable_bh, passes_quietly, schedule, slice_is_over
from replay.engine.general.state import (
    BUSY,
    FOR_CPU,
    KERNEL,
    NOBODY,
    NOTHING,
    queue_of,
)
from replay.engine.intrinsics import int64s_at
from replay.units import NEVER

BUSY_POLL_BUDGET = 8  # include/net/busy_poll.h

# Where a worker stands that busy polls
BUSY_TOP, LOOP_POLL, LOOP_POLLED, LOOKED, STOP, STOP_POLL, STOP_POLLED, RESUME, RESUMED = range(
    20, 29
)
READ_POLL, READ_POLLED, AFTER_READ, STOP_ARMED = range(29, 33)
# What has ended
LOOPED, READ = 0, 1


@jit_inside
def go_on_busy(g: Any, c: Any, cpu: int, number: int, t: Any) -> int:
    """Go on busy polling. Return LOOPED or READ at its end, NOTHING where a step is to be spent."""
    q = queue_of(g, t.queue)
    while True:
        t.work = KERNEL
        if t.pc == BUSY_TOP:
            if not t.grabbed and q.owner == NOBODY:
                t.grabbed = 1
                _grab(g, q, t)
            if t.grabbed:
                _skip_empty_polls(g, c, q, t)
                t.before = g.now
                _begin(g, c, number, q, t, g.busy_budget, LOOP_POLL)
            else:
                q.prefer_bit = q.prefer_bit | g.prefer
                t.left, t.pc = max(1, g.busy_poll), LOOKED
        elif t.pc == LOOP_POLL or t.pc == STOP_POLL or t.pc == READ_POLL:
            t.left = go_on_polling(g, c, cpu, t.queue, KERNEL)
            if t.left != ENDED:
                return NOTHING
            enable_bh(g, cpu)
            t.left = 0  # softirqs that waited come first
            t.pc += 1
        elif t.pc == LOOP_POLLED:
            t.pc = LOOKED
            if g.now != t.before or t.ready > 0 or g.usecs == 0:
                continue
            # polling for free: look again when something can have changed
            soonest = _next_arrival(g)
            if q.head < q.tail:  # the budget ended the poll
                soonest = g.now
            t.left = max(0, min(t.limit, soonest) - g.now)
        elif t.pc == LOOKED:
            if t.ready > 0 or g.now >= t.limit or g.usecs == 0:
                t.pc = STOP if t.grabbed else RESUME
                t.after_stop = RESUME
                t.stop_budget, t.stop_prefer = g.busy_budget, g.prefer
            elif t.grabbed and slice_is_over(g, c):  # need_resched
                t.pc, t.after_stop, t.grabbed = STOP, BUSY_TOP, 0
                t.stop_budget, t.stop_prefer = g.busy_budget, g.prefer
            else:
                t.pc = BUSY_TOP
            continue
        elif t.pc == STOP:
            q.missed, t.skip = 0, 0
            if t.stop_prefer:
                q.count = q.defer
                if q.defer > 0 and q.timeout > 0:
                    start_timer(g, cpu, t.queue, q, q.timeout)
                    t.skip = 1
            t.pc, t.left = STOP_ARMED, q.timer_start * t.skip
            if not t.skip:
                continue
        elif t.pc == STOP_ARMED:
            _begin(g, c, number, q, t, t.stop_budget, STOP_POLL)
        elif t.pc == STOP_POLLED:
            t.pc = t.after_stop
            arming = ENDED
            if q.work < t.stop_budget:
                arming = complete(g, cpu, t.queue, q.work, True)
            t.holds = 0
            if arming != ENDED:
                t.left = arming
            elif q.work == t.stop_budget and t.skip:
                q.owner = NOBODY
                continue
            else:
                t.left = 0
                q.why, q.since = FOR_CPU, g.now
                schedule(g, cpu, t.queue, q, False)
        elif t.pc == RESUME:
            if t.ready > 0:
                return LOOPED
            if not g.prefer or q.suspend == 0 or q.owner != NOBODY:
                if g.prefer and q.suspend > 0:
                    q.missed = 1
                t.epoll_queue = NOTHING
                return LOOPED
            q.resumes += 1
            q.why, q.since = FOR_CPU, g.now
            # A softirq polls before epoll_wait forgets the NAPI, a NAPI thread after it
            if q.thread != NOTHING:
                t.epoll_queue = NOTHING
            t.left, t.pc = 0, RESUMED
            schedule(g, cpu, t.queue, q, False)
        elif t.pc == RESUMED:
            if q.thread == NOTHING:
                t.epoll_queue = NOTHING
            return LOOPED
        elif t.pc == READ_POLLED:
            t.pc, t.after_stop = STOP, AFTER_READ
            t.stop_budget, t.stop_prefer = BUSY_POLL_BUDGET, 0
            continue
        else:  # AFTER_READ
            return READ
        if not passes_quietly(g, c, KERNEL, t.left):
            return NOTHING
        t.left = 0


@jit_inside
def begin_read(g: Any, c: Any, number: int, t: Any) -> int:
    """sk_busy_loop, once: return its first step's cost, after which go_on_busy goes on."""
    t.queue = queue_of_slot(g, t.packet)
    q = queue_of(g, t.queue)
    if q.owner != NOBODY:
        return int(max(1, g.busy_poll))
    _grab(g, q, t)
    _begin(g, c, number, q, t, BUSY_POLL_BUDGET, READ_POLL)
    return int(t.left)


@jit_inline
def _grab(g: Any, q: Any, t: Any) -> None:
    """The busy poller owns the queue."""
    q.owner, t.holds = BUSY, 1
    q.why, q.since, q.polled_since = FOR_CPU, g.now, g.now


@jit_inline
def _begin(g: Any, c: Any, number: int, q: Any, t: Any, budget: int, pc: int) -> None:
    """Begin a poll, softirqs off."""
    c.bh_off = number
    begin_poll(g, q, budget)
    t.left, t.pc = g.busy_poll, pc


@jit_inside
def _next_arrival(g: Any) -> int:
    """Return when the next packet arrives, on any queue, as far as is known."""
    when = int64s_at(g.when, g.offered)
    soonest = NEVER
    for number in range(g.queue_count):
        q = queue_of(g, number)
        admit(g, q)
        if q.tail < q.known:
            soonest = min(soonest, when[q.slots + q.tail])
    return int(min(soonest, g.upcoming))


@jit_inside
def _skip_empty_polls(g: Any, c: Any, q: Any, t: Any) -> None:
    """Count the polls that end before anything can happen, all at once."""
    pending = first(g, cpu_list(t.cpu, POLL_LIST)) != NOTHING  # left to ksoftirqd
    if g.busy_poll == 0 or g.usecs == 0 or t.ready > 0 or pending:
        return
    when, memory = int64s_at(g.when, g.offered), int64s_at(g.memory, g.memory_size)
    until = min(t.limit, g.quiet, c.slice_end)
    admit(g, q)
    if q.head < q.known:
        until = min(until, when[q.slots + q.head])
    if q.tx_first < q.tx_last:
        until = min(until, memory[g.tx_at + q.tx_base + q.tx_first % g.tx_size])
    polls = (until - g.now - 1) // g.busy_poll
    if polls > 0 and passes_quietly(g, c, KERNEL, polls * g.busy_poll):
        q.polls += polls
        q.polls_empty += polls
        q.busy_polls += polls
        memory[g.sizes_at] += polls
