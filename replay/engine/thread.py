"""The thread: epoll_wait, busy polling, sleeping, and serving requests."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import bit_length, jit
from replay.engine.arrivals import answer, materialise, next_arrival
from replay.engine.cpu import NAPI_SCHEDULED, schedule_napi, spend, take_interrupt
from replay.engine.histogram import MAX_BITS, SUB_BITS
from replay.engine.napi import complete, poll, run_napi
from replay.engine.ring import refresh, thread_due
from replay.engine.state import APP, BUSY, KERNEL, KSOFTIRQD, NOBODY, Constants, Packets
from replay.units import BUSY_POLL_TICK, NEVER


@jit
def work(s: Any, p: Packets, k: Constants, kind: int, cost: int) -> None:
    """Work for `cost` ns in the thread; interrupts and the polls that they start come first."""
    while True:
        if k.closed:
            materialise(s, p, k, s.now + cost)
            refresh(s, p, k)
        until = s.now + cost
        due = thread_due(s)
        if cost == 0 or due >= until or due >= k.end:
            spend(s, k, kind, until)
            return
        before = s.now
        spend(s, k, kind, max(due, s.now))
        cost -= s.now - before
        _interrupted(s, p, k)
        if s.over:
            return


@jit
def _interrupted(s: Any, p: Packets, k: Constants) -> None:
    """Take what is due while the thread has the CPU: an interrupt, or the end of its slice."""
    parked = s.parked == KSOFTIRQD
    if s.due <= s.now:
        scheduled = take_interrupt(s, p, k) == NAPI_SCHEDULED
        if parked:  # irq_exit runs whatever softirq is pending
            s.parked = 0
            s.passes, s.softirq_start = 0, s.now
        if (scheduled or parked) and not s.over:
            run_napi(s, p, k)
    else:
        s.ksoftirqd_turn, s.slice_end = 1, s.now + k.slice
        run_napi(s, p, k)


@jit
def live(s: Any, p: Packets, k: Constants) -> None:
    """Live from the first sleep to the trace's end."""
    s.serving = 0
    sleep(s, p, k, 0)
    while not s.over:
        if s.ready > 0:
            _return_events(s, p, k)
            if s.over:
                return
        called = s.now
        work(s, p, k, KERNEL, k.epoll)
        if s.over:
            return
        if s.ready == 0 and s.napi_id:
            _busy_loop(s, p, k)
            if s.over:
                return
        past = k.epoll_timeout >= 0 and s.now >= called + k.epoll_timeout
        if s.ready == 0 and not past:
            work(s, p, k, KERNEL, k.sleep)
            if s.ready == 0 and not s.over:
                sleep(s, p, k, called)


@jit
def sleep(s: Any, p: Packets, k: Constants, called: int) -> None:
    """Sleep until a request is ready or the timeout of the call made at `called` is over."""
    s.asleep, s.need_resched = 1, 0
    if k.epoll_timeout >= 0:
        s.wakes_at = max(s.now, called + k.epoll_timeout)
        refresh(s, p, k)
    if s.parked == KSOFTIRQD:
        run_napi(s, p, k)
    while s.asleep and not s.over:
        if k.closed:
            while s.pending > 0 and p.heap_time[0] <= s.due and p.heap_time[0] < k.end:
                materialise(s, p, k, p.heap_time[0])
                refresh(s, p, k)
        if s.due >= k.end:
            s.now, s.over = k.end, 1
            return
        s.now = max(s.now, s.due)
        if take_interrupt(s, p, k) == NAPI_SCHEDULED and not s.over:
            run_napi(s, p, k)
    if s.over:
        return
    s.wakes_at = NEVER
    s.need_resched = 0
    refresh(s, p, k)
    work(s, p, k, KERNEL, k.wake)


@jit
def _return_events(s: Any, p: Packets, k: Constants) -> None:
    """Return from epoll_wait with all that is ready, and serve it."""
    batch = s.ready
    s.ready = 0
    work(s, p, k, KERNEL, k.event * batch)
    if s.over:
        return
    s.epoll_returns += 1
    if k.prefer and k.suspend > 0 and s.napi_id:  # napi_suspend_irqs
        s.timer = s.now + k.suspend
        refresh(s, p, k)
    packet = s.serving
    for _ in range(batch):
        while p.service[packet] < 0 or p.lost[packet]:
            packet += 1
        if k.times:
            p.started[p.row[packet] if k.closed else packet] = s.now
        work(s, p, k, APP, p.service[packet])
        if s.over:
            return
        if k.times:
            p.done[p.row[packet] if k.closed else packet] = s.now
        _record(s, p, s.now - p.when[packet])
        if k.closed:
            answer(s, p, p.row[packet])
        s.served += 1
        packet += 1
    s.serving = packet


@jit
def _record(s: Any, p: Packets, latency: int) -> None:
    """Count a latency in its bucket (see histogram.py)."""
    clipped = min(latency, (1 << MAX_BITS) - 1)
    shift = max(bit_length(clipped) - SUB_BITS, 0)
    p.latency[(shift << (SUB_BITS - 1)) + (clipped >> shift)] += 1
    s.latency_sum += latency
    s.latency_low = min(s.latency_low, latency)
    s.latency_high = max(s.latency_high, latency)


@jit
def _busy_loop(s: Any, p: Packets, k: Constants) -> None:
    """napi_busy_loop, then napi_resume_irqs where it found nothing."""
    limit = (s.now // BUSY_POLL_TICK + k.usecs + 1) * BUSY_POLL_TICK
    grabbed = False
    while True:
        if not grabbed and s.owner == NOBODY:
            grabbed, s.owner = True, BUSY
        if grabbed:
            if k.usecs > 0:
                _skip_empty_polls(s, p, k, limit)
            before = s.now
            poll(s, p, k, KERNEL, k.busy_poll, k.budget)
            if s.over:
                return
            if s.now == before and s.ready == 0 and k.usecs > 0:
                # polling for free: look again when something can have changed
                work(s, p, k, KERNEL, max(0, min(limit, next_arrival(s, p)) - s.now))
        else:
            if k.prefer:
                s.prefer_bit = 1
            work(s, p, k, KERNEL, max(1, k.busy_poll))
        if s.over:
            return
        if s.ready > 0 or s.now >= limit or k.usecs == 0:
            break
    if grabbed:
        _stop(s, p, k)
    if s.ready > 0 or s.over:
        return
    if k.prefer and k.suspend > 0:
        if s.owner == NOBODY:
            s.resumes += 1
            # A softirq polls before epoll_wait forgets the NAPI, a NAPI thread after it
            if k.threaded:
                s.napi_id = 0
            schedule_napi(s)
            run_napi(s, p, k)
            if not k.threaded:
                s.napi_id = 0
            return
        s.missed = 1
    s.napi_id = 0


@jit
def _skip_empty_polls(s: Any, p: Packets, k: Constants, limit: int) -> None:
    """Count the polls that end before anything can happen, all at once."""
    if k.busy_poll == 0:
        return
    until = min(limit, next_arrival(s, p))
    polls = min((until - s.now - 1) // k.busy_poll, (min(s.due, k.end) - s.now) // k.busy_poll)
    if polls > 0:
        spend(s, k, KERNEL, s.now + polls * k.busy_poll)
        s.polls += polls
        s.polls_empty += polls
        s.busy_polls += polls
        p.sizes[0] += polls


@jit
def _stop(s: Any, p: Packets, k: Constants) -> None:
    """busy_poll_stop: one more poll, always."""
    s.missed = 0
    skip = False
    if k.prefer:
        s.count = k.defer
        if k.defer > 0 and k.timeout > 0:
            s.timer = s.now + k.timeout
            refresh(s, p, k)
            skip = True
    found = poll(s, p, k, KERNEL, k.busy_poll, k.budget)
    if s.over:
        return
    if found < k.budget:
        if complete(s, p, k, found, True):
            return
    elif skip:
        s.owner = NOBODY
        return
    schedule_napi(s)
    run_napi(s, p, k)
