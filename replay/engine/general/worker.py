"""A worker: a thread of the application in epoll_wait, asleep, or serving."""

from __future__ import annotations

from typing import Any

from replay.engine import hooks
from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.general.answers import answer_request, count_answer, queue_of_slot
from replay.engine.general.busy import (
    BUSY_TOP,
    READ,
    begin_read,
    go_on_busy,
)
from replay.engine.general.device import poke, row_of
from replay.engine.general.napi import start_timer
from replay.engine.general.sched import ASLEEP, block, passes_quietly, spend
from replay.engine.general.state import (
    APP,
    CALL,
    CALLED,
    CPUS,
    DROWSY,
    EVENTS,
    FOUND_NOTHING,
    KERNEL,
    LOOP,
    NOTHING,
    SENT,
    SERVE,
    SERVED,
    SPINS,
    WOKEN,
    cpu_of,
    queue_of,
    task_of,
)
from replay.engine.intrinsics import at, int64s_at
from replay.engine.tally import bucket
from replay.units import BUSY_POLL_TICK, NEVER


@jit_inside
def go_on_in_worker(g: Any, cpu: int, number: int) -> None:
    """A step is over: begin the next; go straight on for as long as nothing else can happen."""
    c, t = cpu_of(g, cpu), task_of(g, number)
    while True:
        if t.pc >= BUSY_TOP:
            ended = go_on_busy(g, c, cpu, number, t)
            if ended == NOTHING:
                return
            t.pc = SERVE if ended == READ else FOUND_NOTHING
            continue
        t.work = KERNEL
        if t.pc == LOOP:
            t.pc = CALL if t.ready == 0 else EVENTS
            if t.ready == 0:
                continue
            t.batch = min(t.ready, g.max_events) if g.max_events > 0 else t.ready
            t.ready -= t.batch
            t.left = g.event * t.batch
        elif t.pc == EVENTS:
            g.epoll_returns += 1
            t.first_of_batch, t.pc = 1, SERVE
            if not _suspends(g, cpu, t):  # napi_suspend_irqs
                continue
        elif t.pc == SERVE:
            if g.plain:
                _serve_quietly(g, c, t)
            if t.batch == 0:
                t.pc = CALL
                continue
            _begin_request(g, c, t)
            t.work, t.left, t.pc = APP, t.own, SERVED
        elif t.pc == SERVED:
            answer_request(g, cpu, t)
            t.work, t.left = APP, g.transmit + g.notify * t.first_of_batch
            t.first_of_batch, t.pc = 0, SENT if g.busy_read > 0 else SERVE
        elif t.pc == SENT:  # the read that finds the socket empty
            t.pc = SERVE
            t.left = begin_read(g, c, number, t)
        elif t.pc == CALL:
            t.called, t.pc = g.now, CALLED
            t.left = max(g.epoll, int(g.epoll_timeout == 0))
            if g.epoll_timeout == 0 and t.ready == 0:
                _skip_calls(g, c, t)
        elif t.pc == CALLED:
            t.pc = FOUND_NOTHING
            if t.ready == 0 and t.epoll_queue != NOTHING and g.epoll_timeout != 0:
                t.limit = (g.now // BUSY_POLL_TICK + g.usecs + 1) * BUSY_POLL_TICK
                t.grabbed, t.queue, t.pc = 0, t.epoll_queue, BUSY_TOP
            continue
        elif t.pc == FOUND_NOTHING:
            past = g.epoll_timeout >= 0 and g.now >= t.called + g.epoll_timeout
            if t.ready > 0 or past:
                t.pc = LOOP
                continue
            t.pc, t.left = DROWSY, g.sleep
            if g.hooked:
                t.pc, t.spun_since = SPINS, g.now
                continue
        elif t.pc == SPINS:
            if t.ready > 0:
                t.pc = LOOP
                continue
            t.left = hooks.found_nothing(g.now - t.spun_since)
            if t.left <= 0:
                t.pc, t.left = DROWSY, g.sleep
        elif t.pc == DROWSY:
            if t.ready == 0:
                _sleep(g, cpu, number, t)
                return
            t.pc = LOOP
            continue
        elif t.pc == ASLEEP:
            t.wakes_at = NEVER
            t.left, t.pc = g.wake, WOKEN
        else:  # WOKEN
            t.woken, t.pc = g.now, LOOP
            continue
        if not passes_quietly(g, c, t.work, t.left):
            return
        t.left = 0


@jit_inline
def _suspends(g: Any, cpu: int, t: Any) -> bool:
    """napi_suspend_irqs: the timer of the queue that epoll remembers is put off."""
    if not g.prefer or t.epoll_queue == NOTHING:
        return False
    q = queue_of(g, t.epoll_queue)
    if q.suspend == 0:
        return False
    start_timer(g, cpu, t.epoll_queue, q, q.suspend)
    t.left = q.suspend_start
    return True


@jit_inline
def _begin_request(g: Any, c: Any, t: Any) -> None:
    """Take the first request of the batch: its own time, cold caches, the way from its CPU."""
    memory = int64s_at(g.memory, g.memory_size)
    slot, polled_by = t.first_ready // CPUS, t.first_ready % CPUS
    t.first_ready = memory[at(g.next_ready_at + slot)]
    t.batch -= 1
    t.packet, t.started = slot, g.now
    t.own = int64s_at(g.service, g.offered)[slot]
    if g.times:
        memory[at(g.started_at + row_of(g, slot))] = g.now
    if t.cold:
        t.own += g.cold
        t.cold = 0
    if g.stale > 0 and g.now - int64s_at(g.when, g.offered)[slot] > g.stale_after:
        t.own += g.stale
    if polled_by != t.cpu:
        t.own += g.handoff if cpu_of(g, polled_by).domain == c.domain else g.far


@jit_inside
def _serve_quietly(g: Any, c: Any, t: Any) -> None:
    """Serve requests of the batch for as long as nothing else can happen."""
    if t.cold or g.stale > 0:
        return
    when, service = int64s_at(g.when, g.offered), int64s_at(g.service, g.offered)
    memory = int64s_at(g.memory, g.memory_size)
    now, quiet, code, left = g.now, g.quiet, t.first_ready, t.batch
    q, alone = queue_of(g, 0), g.queue_count == 1
    total, low, high, after = 0, q.latency_low, q.latency_high, g.transmit
    if t.first_of_batch:
        after += g.notify
    while left > 0:
        slot = code // CPUS
        own = service[at(slot)]
        if code % CPUS != t.cpu:
            own += g.handoff if cpu_of(g, code % CPUS).domain == c.domain else g.far
        done = now + own
        if done + after >= quiet:
            break
        latency = done - when[at(slot)]
        if alone:
            memory[at(g.latency_at + bucket(latency))] += 1
            total += latency
            low, high = min(low, latency), max(high, latency)
        else:
            count_answer(g, queue_of_slot(g, slot), latency)
        now, after = done + after, g.transmit
        code = memory[at(g.next_ready_at + slot)]
        left -= 1
    if left < t.batch:
        if alone:
            q.served += t.batch - left
            q.latency_sum += total
            q.latency_low, q.latency_high = low, high
        t.batch, t.first_ready, t.first_of_batch = left, code, 0
        spend(c, APP, now - g.now)
        g.now = c.synced = now


@jit_inline
def _skip_calls(g: Any, c: Any, t: Any) -> None:
    """Calls of epoll_wait that return at once and nothing, all at once."""
    calls = (g.quiet - g.now - 1) // t.left
    if calls > 0:
        passes_quietly(g, c, KERNEL, calls * t.left)
        t.called = g.now


@jit_inside
def _sleep(g: Any, cpu: int, number: int, t: Any) -> None:
    """Sleep until a request is ready, or the call's timeout is over."""
    if g.epoll_timeout >= 0:
        t.wakes_at = max(g.now, t.called + g.epoll_timeout)
        poke(g, cpu, t.wakes_at)
    t.bed, t.cold, t.asleep = cpu, 1, 1
    t.pc, t.left = ASLEEP, 0
    block(g, cpu, number)
