"""Undisturbed cycles, with all that changes in local variables: interrupt, poll, wake-up, service.

Replays what cpu.py, napi.py and thread.py do, to the same numbers, while one interrupt at most is
due and nothing unusual can happen. Before a step where it could, the state is written back and
those files take that step.
"""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline
from replay.engine.arrivals import answer, materialise
from replay.engine.cycle import disturbed, following, interrupt, look, new_cycle, skip_empty
from replay.engine.intrinsics import at
from replay.engine.packets import packets
from replay.engine.ring import refresh
from replay.engine.state import (
    ASLEEP,
    CALLING,
    DOZING,
    NOBODY,
    RETURNING,
    RUNNING,
    SENDING,
    SERVING,
    SUSPENDING,
    WAKING,
)
from replay.engine.tally import ROW, TOGETHER, bucket_within, explain_all, note_served
from replay.units import NEVER

_LANES = 4  # packets of a poll that `drain` looks at, at least


@jit_inline
def _usual(s: Any, k: Any) -> bool:
    """Whether nobody polls, and the only interrupt to come is the device's or napi_watchdog."""
    if k.defer > 0:
        one = not s.armed and s.irq_at == NEVER
    else:
        one = s.armed and s.timer == NEVER
    return bool(
        one
        and (s.stage == ASLEEP or s.stage == CALLING)
        and s.owner == NOBODY
        and s.parked == RUNNING
        and s.missed == 0
        and s.prefer_bit == 0
        and s.unthrottle == NEVER
        and s.wakes_at == NEVER
        and s.tail <= s.head
        and s.last_lost < s.serving
        and s.due >= s.now
    )


@jit_inline
def _limit(s: Any, k: Any, closed: bool) -> int:
    """Return a time before the end, and of the packets, and before NAPI is throttled.

    The ring is never full: a poll that leaves it empty takes fewer packets than it has room for.
    """
    limit = k.end - 1
    if not closed:
        p = packets(k)
        beyond = s.known - 1 - k.weight - k.busy * (2 * k.budget + _LANES)
        if beyond < s.head:
            return -1
        limit = min(limit, p.when[beyond] - 1)
    if k.threaded:
        window = s.now // k.rt_period
        if window != s.rt_window:
            s.rt_window, s.rt_used = window, 0
        next_window = (window + 1) * k.rt_period
        limit = min(limit, next_window - 1, s.now + k.rt_runtime - s.rt_used - 1)
    return int(limit)


@jit_inline
def glide(s: Any, k: Any, causes: bool, closed: bool) -> None:
    """Replay cycle after cycle from a sleep or a call of epoll_wait up to an unusual step.

    With `causes`, note why each request waited. `closed`: whether arrivals follow responses.
    """
    if closed and (s.stage == ASLEEP or s.stage == CALLING):
        materialise(s, k, s.now)
        refresh(s, k)
    if not _usual(s, k):
        return
    limit = _limit(s, k, closed)
    if s.now > limit:
        return
    p = packets(k)
    when, service, memory = p.when, p.service, p.memory
    deferred, looks = k.defer > 0, k.busy != 0
    c = new_cycle(s, k, limit, causes, closed)
    s.polled_at = -1
    transmit, event_cost, epoll, wake = k.transmit, k.event, k.epoll, k.wake
    sleep, idle, first_transmit = k.sleep, k.idle, k.transmit + k.notify
    latency_at = k.latency_at
    row, last_row = k.parts_at, k.parts_at + ROW * TOGETHER
    woken = s.woken
    # what changes
    now, stage = s.now, s.stage
    until = now + s.left
    due = min(s.irq_at, s.timer, limit)
    if closed and not deferred:
        due = min(due, s.upcoming + c.delay + c.latency)
    head, serving, ready, batch = s.head, s.serving, s.ready, 0
    sending = transmit
    total, low, high = 0, s.latency_low, s.latency_high
    irqs, returns, served, app, slept, dozed = 0, 0, 0, 0, 0, 0
    empty_before = memory[c.sizes_at]
    asleep = stage == ASLEEP
    s.unseen = 0 if s.napi_id else s.ready
    while True:
        if looks and not asleep and ready == 0 and until <= due and s.napi_id:
            usual, now, due, head, ready = look(s, k, c, until, due, head)
            stage, until = CALLING, now
            if not usual:
                break
        if not asleep and ready == 0 and until + sleep <= due:
            asleep = True
            now = until + sleep
        if not asleep:
            stage = CALLING
            if until > due:
                if looks:
                    break
                now, until, due, head, ready, irqs = disturbed(
                    s, k, c, now, until, due, head, ready, irqs
                )
                if until > due:
                    break
            now = until
            if ready == 0:
                stage, until = DOZING, now + sleep
                if until > due:
                    now, until, due, head, ready, irqs = disturbed(
                        s, k, c, now, until, due, head, ready, irqs
                    )
                    if until > due:
                        break
                now = until
                asleep = ready == 0
        if asleep:
            stage, until = ASLEEP, now
            while ready == 0:
                first = following(s, c, head)
                if deferred and first > due + c.before:
                    now, due = skip_empty(s, k, c, now, due, first)
                usual, end, next_due, packet, found = interrupt(s, k, c, due, head)
                if not usual:
                    break
                slept += due - now
                dozed += min(due - now, idle)
                now, due, head, ready = end, next_due, packet, found
                irqs += 1
            if ready == 0:
                break
            asleep = False
            stage, until = WAKING, now + wake
            if until > due:
                now, until, due, head, ready, irqs = disturbed(
                    s, k, c, now, until, due, head, ready, irqs
                )
                if until > due:
                    break
            now = until
            woken = now
        stage, until = RETURNING, now + event_cost * ready
        if looks:
            if ready > s.unseen:
                s.napi_id = k.busy
            s.unseen = 0
        batch, ready = ready, 0
        served += batch
        if until > due:
            now, until, due, head, ready, irqs = disturbed(
                s, k, c, now, until, due, head, ready, irqs
            )
            if until > due:
                break
        now = until
        returns += 1
        if looks:
            if ready > 0:
                s.napi_id = k.busy
            if s.napi_id:  # napi_suspend_irqs
                s.timer, s.polled_at = now + k.suspend + c.latency, -1
                due = min(s.timer, limit)
                stage, until = SUSPENDING, now + k.suspend_start
                if until > due:
                    now, until, due, head, ready, irqs = disturbed(
                        s, k, c, now, until, due, head, ready, irqs
                    )
                    if until > due:
                        break
                now = until
        sending = first_transmit
        while batch > 0:
            value = service[at(serving)]
            if value < 0:
                serving += 1
                continue
            batch -= 1
            begun, done = now, now + value
            until = done + sending
            app += value + sending
            if closed or until > due:
                if done > due:
                    now, done, due, head, ready, irqs = disturbed(
                        s, k, c, now, done, due, head, ready, irqs
                    )
                    if done > due:
                        stage, until = SERVING, done
                        s.begun = begun
                        app -= sending
                        break
                if closed:
                    if s.upcoming <= done:
                        materialise(s, k, done)
                    answer(s, k, memory[at(k.row_at + serving)], done)
                    if not deferred:
                        due = min(due, s.upcoming + c.delay + c.latency)
                until = done + sending
                now = done
                if until > due:
                    now, until, due, head, ready, irqs = disturbed(
                        s, k, c, now, until, due, head, ready, irqs
                    )
            latency = done - when[at(serving)]
            if not causes:
                memory[at(latency_at + bucket_within(latency))] += 1
            else:
                row = note_served(memory, row, serving, begun, woken, value, latency)
                if row == last_row:
                    explain_all(s, k, row)
                    row = k.parts_at
            total += latency
            if latency < low or latency > high:
                low, high = min(low, latency), max(high, latency)
            serving += 1
            sending = transmit
            if until > due:
                stage = SENDING
                break
            now = until
        if until > due:
            break
        until = now + epoll
    if causes:
        s.woken = woken
        explain_all(s, k, row)
    # Write back. What is neither sleep nor counted otherwise was spent in epoll_wait
    served -= batch
    if stage == SERVING:
        served -= 1
    if stage in (SERVING, SENDING):
        app -= until - now
    taken = head - s.head
    hardirq = irqs * (c.before - k.poll) + dozed
    softirq = irqs * (k.poll + c.after) + taken * k.packet
    s.hardirq += hardirq
    s.softirq += softirq
    s.rt_used += softirq
    s.app += app
    s.kernel += now - s.now - hardirq - softirq - app - (slept - dozed)
    s.now, s.stage, s.left = now, stage, until - now
    if s.polled_at >= 0:
        if deferred:
            s.timer = s.polled_at + c.pause + c.latency
        else:
            s.armed_at, s.irq_due = s.polled_at, NEVER
    s.delivered += taken
    s.head, s.serving, s.ready, s.batch = head, serving, ready, batch
    s.notify = sending - transmit
    s.latency_sum += total
    s.latency_low, s.latency_high = low, high
    if deferred:
        s.timers += irqs
    else:
        s.irqs += irqs
    s.polls += irqs
    if ready > s.unseen:
        s.napi_id = k.busy
    s.polls_empty += memory[c.sizes_at] - empty_before
    s.epoll_returns += returns
    s.served += served
    refresh(s, k)
