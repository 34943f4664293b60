"""The thread: epoll_wait, busy polling, sleeping, and serving requests."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.arrivals import answer, materialise, next_arrival
from replay.engine.cpu import (
    NAPI_SCHEDULED,
    begin_softirq,
    schedule_napi,
    spend,
    spend_quietly,
    take_interrupt,
)
from replay.engine.napi import complete, poll, run_napi
from replay.engine.packets import packets
from replay.engine.ring import refresh, refresh_timers, row_of, thread_due
from replay.engine.state import (
    APP,
    ASLEEP,
    BUSY,
    CALLING,
    DOZING,
    IN_CALL,
    KERNEL,
    KSOFTIRQD,
    NOBODY,
    RETURNING,
    RUNNING,
    SENDING,
    SERVING,
    SUSPENDING,
    WAKING,
)
from replay.engine.tally import CPU, bucket, explain
from replay.units import BUSY_POLL_TICK, NEVER


@jit_inline
def work(s: Any, k: Any, kind: int, cost: int) -> None:
    """Work for `cost` ns in the thread; interrupts and the polls that they start come first."""
    if not spend_quietly(s, kind, cost):
        _work_disturbed(s, k, kind, cost)


@jit_inside
def _work_disturbed(s: Any, k: Any, kind: int, cost: int) -> None:
    """Work while interrupts are taken."""
    if s.parked == IN_CALL:  # a NAPI thread waited for the end of a system call
        s.parked = RUNNING
        run_napi(s, k)
        if s.over:
            return
    while True:
        if k.closed:
            materialise(s, k, s.now + cost)
            refresh(s, k)
        until = s.now + cost
        due = thread_due(s)
        if cost == 0 or due >= until or due >= k.end:
            spend(s, k, kind, until)
            return
        before = s.now
        spend(s, k, kind, max(due, s.now))
        cost -= s.now - before
        _interrupted(s, k)
        if s.over:
            return


@jit_inline
def _interrupted(s: Any, k: Any) -> None:
    """Take what is due while the thread has the CPU: an interrupt, or the end of its slice."""
    parked = s.parked == KSOFTIRQD
    if s.due <= s.now:
        scheduled = take_interrupt(s, k) == NAPI_SCHEDULED
        if scheduled and s.stage != SERVING and not k.preemption:
            s.parked, s.quiet = IN_CALL, -1
            return
        if parked:  # irq_exit runs whatever softirq is pending
            s.parked = 0
            begin_softirq(s)
        if (scheduled or parked) and not s.over:
            run_napi(s, k)
    else:
        s.ksoftirqd_turn, s.slice_end = 1, s.now + k.slice
        run_napi(s, k)


@jit_inside
def step(s: Any, k: Any) -> None:
    """End what the thread does, with all that can happen meanwhile; begin what follows."""
    stage = s.stage
    if stage == ASLEEP:
        _sleep(s, k)
        s.stage, s.left = WAKING, k.wake
        return
    work(s, k, APP if stage in (SERVING, SENDING) else KERNEL, s.left)
    if s.over:
        return
    if stage == SERVING:
        _sent(s, k)
    elif stage == SENDING:
        _serve_next(s, k)
    elif stage == RETURNING:
        s.epoll_returns += 1
        if k.prefer and k.suspend > 0 and s.napi_id:  # napi_suspend_irqs
            s.timer = s.now + k.suspend + k.timer_latency
            refresh_timers(s, k)
            s.stage, s.left = SUSPENDING, k.suspend_start
        else:
            s.notify = k.notify
            _serve_next(s, k)
    elif stage == SUSPENDING:
        s.notify = k.notify
        _serve_next(s, k)
    else:
        _look_for_events(s, k)


@jit_inline
def _look_for_events(s: Any, k: Any) -> None:
    """epoll_wait looks for events: awoken, called, or about to sleep."""
    if s.stage == WAKING:
        s.woken = s.now
    if s.stage == CALLING and s.ready == 0 and s.napi_id:
        _busy_loop(s, k)
    if s.ready > 0:
        s.stage, s.batch, s.left = RETURNING, s.ready, k.event * s.ready
        s.ready = 0
    elif s.stage == DOZING:
        s.stage = ASLEEP
    elif s.stage == CALLING and (k.epoll_timeout < 0 or s.now < s.called + k.epoll_timeout):
        s.stage, s.left = DOZING, k.sleep
    else:
        _call(s, k)


@jit_inline
def _call(s: Any, k: Any) -> None:
    """The thread calls epoll_wait."""
    s.called = s.now
    s.stage, s.left = CALLING, k.epoll


@jit_inline
def _sleep(s: Any, k: Any) -> None:
    """Sleep until a request is ready or epoll_wait's timeout is over."""
    s.asleep, s.need_resched = 1, 0
    if k.epoll_timeout >= 0:
        s.wakes_at = max(s.now, s.called + k.epoll_timeout)
        refresh_timers(s, k)
    if s.parked == KSOFTIRQD or s.parked == IN_CALL:
        s.parked = s.parked if s.parked == KSOFTIRQD else RUNNING
        run_napi(s, k)
    while s.asleep and not s.over:
        if k.closed:
            # one at a time: each may bring the next interrupt nearer
            while s.upcoming <= s.due and s.upcoming < NEVER:
                materialise(s, k, s.upcoming)
                refresh(s, k)
        idle_until = min(max(s.now, s.due), k.end)
        s.hardirq += min(idle_until - s.now, k.idle)
        s.now = idle_until
        if s.due >= k.end:
            s.over = 1
            return
        if take_interrupt(s, k) == NAPI_SCHEDULED and not s.over:
            run_napi(s, k)
    if s.over:
        return
    s.need_resched = 0
    if s.wakes_at < NEVER:
        s.wakes_at = NEVER
        refresh_timers(s, k)


@jit_inline
def _serve_next(s: Any, k: Any) -> None:
    """Serve what can be served undisturbed, and begin the next request."""
    p = packets(k)
    if s.batch > 0 and not k.closed:
        s.batch -= _serve_undisturbed(s, k, s.batch)
    if s.batch == 0:
        _call(s, k)
        return
    packet = s.serving
    while p.service[packet] < 0 or p.lost[packet]:
        packet += 1
    if k.times:
        p.memory[k.started_at + row_of(k, packet)] = s.now
    s.batch -= 1
    s.serving, s.begun = packet, s.now
    s.stage, s.left = SERVING, p.service[packet]


@jit_inline
def _serve_undisturbed(s: Any, k: Any, batch: int) -> int:
    """Serve requests for as long as nothing else happens. Returns how many, at most `batch`."""
    p = packets(k)
    when, service, lost, memory = p.when, p.service, p.lost, p.memory
    now, packet, quiet = s.now, s.serving, s.quiet
    times, causes, transmit = k.times, k.causes, k.transmit + s.notify
    total, low, high = 0, s.latency_low, s.latency_high
    served = 0
    while served < batch:
        while service[packet] < 0 or lost[packet]:
            packet += 1
        done = now + service[packet]
        until = done + transmit
        if until > quiet:
            break
        if times:
            memory[k.started_at + packet] = now
            memory[k.done_at + packet] = done
        latency = done - when[packet]
        if causes:
            explain(s, k, packet, now, done)
        else:
            memory[k.latency_at + bucket(latency)] += 1
        now, transmit = until, k.transmit
        total += latency
        low, high = min(low, latency), max(high, latency)
        packet += 1
        served += 1
    s.app += now - s.now
    s.now, s.serving = now, packet
    s.latency_sum += total
    s.latency_low, s.latency_high = low, high
    s.served += served
    if served > 0:
        s.notify = 0
    return served


@jit_inline
def _sent(s: Any, k: Any) -> None:
    """The request's response is transmitted: note its latency."""
    p = packets(k)
    packet = s.serving
    if k.times:
        p.memory[k.done_at + row_of(k, packet)] = s.now
    latency = s.now - p.when[packet]
    if k.causes:
        explain(s, k, packet, s.begun, s.now)
    else:
        p.memory[k.latency_at + bucket(latency)] += 1
    s.latency_sum += latency
    s.latency_low = min(s.latency_low, latency)
    s.latency_high = max(s.latency_high, latency)
    s.served += 1
    s.serving = packet + 1
    if k.closed:
        answer(s, k, p.memory[k.row_at + packet], s.now)
        s.quiet = min(s.quiet, s.upcoming - 1)
    s.stage, s.left = SENDING, k.transmit + s.notify
    s.notify = 0


@jit_inside
def _busy_loop(s: Any, k: Any) -> None:
    """napi_busy_loop, then napi_resume_irqs where it found nothing."""
    limit = (s.now // BUSY_POLL_TICK + k.usecs + 1) * BUSY_POLL_TICK
    grabbed = False
    while True:
        if not grabbed and s.owner == NOBODY:
            grabbed, s.owner = True, BUSY
            s.why, s.since, s.polled_since = CPU, s.now, s.now
        if grabbed:
            if k.usecs > 0:
                _skip_empty_polls(s, k, limit)
            before = s.now
            poll(s, k, KERNEL, k.busy_poll, k.budget)
            if s.over:
                return
            if s.now == before and s.ready == 0 and k.usecs > 0:
                # polling for free: look again when something can have changed
                work(s, k, KERNEL, max(0, min(limit, next_arrival(s, k, s.head)) - s.now))
        else:
            if k.prefer:
                s.prefer_bit = 1
            work(s, k, KERNEL, max(1, k.busy_poll))
        if s.over:
            return
        if s.ready > 0 or s.now >= limit or k.usecs == 0:
            break
    if grabbed:
        _stop(s, k)
    if s.ready > 0 or s.over:
        return
    if k.prefer and k.suspend > 0:
        if s.owner == NOBODY:
            s.resumes += 1
            # A softirq polls before epoll_wait forgets the NAPI, a NAPI thread after it
            if k.threaded:
                s.napi_id = 0
            schedule_napi(s, CPU, s.now)
            run_napi(s, k)
            if not k.threaded:
                s.napi_id = 0
            return
        s.missed = 1
    s.napi_id = 0


@jit_inside
def _skip_empty_polls(s: Any, k: Any, limit: int) -> None:
    """Count the polls that end before anything can happen, all at once."""
    p = packets(k)
    if k.busy_poll == 0:
        return
    until = min(limit, next_arrival(s, k, s.head))
    polls = min((until - s.now - 1) // k.busy_poll, (min(s.due, k.end) - s.now) // k.busy_poll)
    if polls > 0:
        spend(s, k, KERNEL, s.now + polls * k.busy_poll)
        s.polls += polls
        s.polls_empty += polls
        s.busy_polls += polls
        p.memory[k.sizes_at] += polls


@jit_inside
def _stop(s: Any, k: Any) -> None:
    """busy_poll_stop: one more poll, always."""
    s.missed = 0
    skip = False
    if k.prefer:
        s.count = k.defer
        if k.defer > 0 and k.timeout > 0:
            s.timer = s.now + k.timeout + k.timer_latency
            refresh_timers(s, k)
            skip = True
            work(s, k, KERNEL, k.timer_start)
            if s.over:
                return
    found = poll(s, k, KERNEL, k.busy_poll, k.budget)
    if s.over:
        return
    if found < k.budget:
        if complete(s, k, found, found < k.budget):
            work(s, k, KERNEL, s.arming)
            return
    elif skip:
        s.owner = NOBODY
        return
    schedule_napi(s, CPU, s.now)
    run_napi(s, k)
