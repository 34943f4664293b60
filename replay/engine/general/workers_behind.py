"""A CPU's worker behind the softirqs: what they have delivered and left of its time is known.

Replays what worker.py does, to the same numbers, for a worker alone on its CPU.
"""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.general.answers import count_answer, queue_of_slot
from replay.engine.general.sched import ASLEEP
from replay.engine.general.softirqs_ahead import BEGIN, STRIDE, messages_of, spans_of
from replay.engine.general.state import (
    APP,
    CALLED,
    CPUS,
    DROWSY,
    EVENTS,
    KERNEL,
    LOOP,
    NOTHING,
    SERVE,
    SERVED,
    WOKEN,
    cpu_of,
    task_of,
)
from replay.engine.intrinsics import at, int64s_at
from replay.units import NEVER


@jit_inside
def follow(g: Any, cpu: int, until: int) -> None:
    """Let a CPU's worker do what it does before `until`; the CPU is idle where it does nothing."""
    c = cpu_of(g, cpu)
    memory = int64s_at(g.memory, g.memory_size)
    span, now = spans_of(g, cpu) + BEGIN, g.now
    if c.worker != NOTHING:
        t = task_of(g, c.worker)
        while now < until:
            if c.running == NOTHING:
                now, span = _wake(g, c, t, cpu, now, span, until)
                if c.running == NOTHING:
                    break
            now, span = _work(g, c, t, cpu, now, span, until)
        _hear(g, c, t, cpu, until)
        c.need_resched = t.fresh = 0  # whoever was woken has run since
    if c.running == NOTHING:
        while memory[at(span)] < until:
            now, span = _rest(g, c, memory, now, span)
        back = min(until - now, c.to_idle)
        c.hardirq += back
        c.to_idle -= back


@jit_inline
def _rest(g: Any, c: Any, memory: Any, now: int, span: int) -> tuple[int, int]:
    """The CPU is idle until a softirq, and during that; return when and which span is next."""
    c.hardirq += min(memory[at(span)] - now, c.to_idle)
    c.to_idle = g.idle
    return int(memory[at(span + 1)]), span + 2


@jit_inside
def _wake(g: Any, c: Any, t: Any, cpu: int, now: int, span: int, until: int) -> tuple[int, int]:
    """Sleep until a request wakes the worker; that has the CPU then, if it does before `until`."""
    memory = int64s_at(g.memory, g.memory_size)
    if t.asleep:
        source, time = _soonest(g, memory, c.worker)
        if source == NOTHING:
            return now, span
        t.asleep = 0
        t.ipi_at = time + g.ipi
        if source == cpu:  # woken in a softirq, at whose end it runs
            while memory[at(span + 1)] < time:
                now, span = _rest(g, c, memory, now, span)
            now, span = _rest(g, c, memory, now, span)
            c.running = c.worker
            return now, span
    runs_at = max(t.ipi_at, now)
    while memory[at(span)] <= runs_at:
        now, span = _rest(g, c, memory, now, span)
        if runs_at < now:
            c.running = c.worker
            return now, span
    if runs_at < until:
        c.hardirq += min(runs_at - now, c.to_idle)
        c.to_idle = g.idle
        c.running = c.worker
        now = runs_at
    return now, span


@jit_inline
def _soonest(g: Any, memory: Any, worker: int) -> tuple[int, int]:
    """Return the CPU of the first message that has not been heard, and when it was sent."""
    source, soonest, number, place = NOTHING, NEVER, 0, messages_of(g, 0, worker)
    while number < g.cpu_count:
        time = memory[at(memory[at(place + 1)])]
        if time < soonest:
            source, soonest = number, time
        number += 1
        place += STRIDE * g.worker_count
    return source, soonest


@jit_inside
def _hear(g: Any, c: Any, t: Any, cpu: int, now: int) -> None:
    """Hear what was sent by `now`: at an instant, CPUs act one after the other."""
    memory = int64s_at(g.memory, g.memory_size)
    source, time = _soonest(g, memory, c.worker)
    while time + int(source > cpu) <= now:
        place = messages_of(g, source, c.worker)
        message = memory[at(place + 1)]
        memory[at(place + 1)] = message + 2
        slot = memory[at(message + 1)]
        if t.ready + t.batch == 0:
            t.first_ready = slot * CPUS + source
        else:
            memory[at(g.next_ready_at + t.last_ready)] = slot * CPUS + source
        t.last_ready = slot
        t.ready += 1
        source, time = _soonest(g, memory, c.worker)


@jit_inside
def _work(g: Any, c: Any, t: Any, cpu: int, now: int, span: int, until: int) -> tuple[int, int]:
    """Let the worker run until it sleeps, at most `until`; return when and which span is next."""
    memory = int64s_at(g.memory, g.memory_size)
    pc, left, work = t.pc, t.left, t.work
    kernel, app = 0, 0
    while True:
        end = now + left
        while memory[at(span)] < end:
            left += g.interrupted
            end += memory[at(span + 1)] - memory[at(span)] + g.interrupted
            span += 2
        rest = max(0, end - until)
        if work == APP:
            app += left - rest
        else:
            kernel += left - rest
        left, now = rest, min(end, until)
        if end >= until:
            break
        work = KERNEL
        if pc in (WOKEN, LOOP, CALLED, DROWSY):
            _hear(g, c, t, cpu, now)
            if t.ready > 0:
                t.batch = min(t.ready, g.max_events) if g.max_events > 0 else t.ready
                t.ready -= t.batch
                left, pc = g.event * t.batch, EVENTS
            elif pc == DROWSY:
                t.bed, t.cold, t.asleep = cpu, 1, 1
                c.running, c.to_idle, pc = NOTHING, g.idle, ASLEEP
                break
            else:
                left, pc = g.sleep, DROWSY
        elif pc == ASLEEP:
            left, pc = g.wake, WOKEN
        elif pc == SERVED:
            _answer(g, t.packet, now)
            work, left, pc = APP, g.transmit + g.notify * t.first_of_batch, SERVE
            t.first_of_batch = 0
        else:
            if pc == EVENTS:
                g.epoll_returns += 1
                t.first_of_batch = 1
            quiet, left, pc = min(memory[at(span)], until - 1), g.epoll, CALLED
            while t.batch > 0:
                own = _begin_request(g, c, t, cpu, now)
                after = g.transmit + g.notify * t.first_of_batch
                if now + own + after > quiet:
                    work, left, pc = APP, own, SERVED
                    break
                _answer(g, t.packet, now + own)
                now += own + after
                app += own + after
                t.first_of_batch = 0
    t.pc, t.left, t.work = pc, left, work
    c.kernel += kernel
    c.app += app
    return now, span


@jit_inline
def _begin_request(g: Any, c: Any, t: Any, cpu: int, now: int) -> int:
    """Take the first request of the batch; return its own time."""
    memory = int64s_at(g.memory, g.memory_size)
    slot, polled_by = t.first_ready // CPUS, t.first_ready % CPUS
    t.first_ready = memory[at(g.next_ready_at + slot)]
    t.batch -= 1
    t.packet = slot
    own = int64s_at(g.service, g.offered)[at(slot)]
    if t.cold:
        own += g.cold
        t.cold = 0
    if g.stale > 0 and now - int64s_at(g.when, g.offered)[at(slot)] > g.stale_after:
        own += g.stale
    if polled_by != cpu:
        own += g.handoff if cpu_of(g, polled_by).domain == c.domain else g.far
    return int(own)


@jit_inline
def _answer(g: Any, slot: int, now: int) -> None:
    """A request is answered."""
    count_answer(g, queue_of_slot(g, slot), now - int64s_at(g.when, g.offered)[at(slot)])
