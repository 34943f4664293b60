"""Interrupts: which is due on a CPU, what its handler costs, and what it sets going."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.general.lists import IPIS, cpu_list, first, pop
from replay.engine.general.sched import enqueue, rotate, run_softirq, schedule, wake
from replay.engine.general.state import (
    BACKGROUND_TIMER,
    FOR_COALESCING,
    FOR_TIMER,
    GAP,
    IDLE,
    IN_TASK,
    IPI,
    IRQ,
    NAPI_TIMER,
    NOBODY,
    NOTHING,
    SERVED,
    TIMEOUT,
    WORKER,
    cpu_of,
    queue_of,
    task_of,
)
from replay.engine.intrinsics import int64s_at
from replay.units import NEVER


@jit_inside
def take_interrupt(g: Any, cpu: int, context: int) -> bool:
    """Begin the handler of the first interrupt that is due; whether there was one."""
    c = cpu_of(g, cpu)
    now = g.now
    in_thread = context == IN_TASK and not task_of(g, c.task).napi
    following = c.first_queue  # chains, because loops over a count are made into slow vectors
    while following != NOTHING:
        number = following
        q = queue_of(g, number)
        following = q.following
        if q.irq_at <= now:
            q.irqs += 1
            q.rx_events += int(q.mode == GAP or not q.by_transmit)
            q.tx_events += int(q.mode == GAP or q.by_transmit)
            since = q.irq_at - g.irq_latency
            q.armed, q.irq_due, q.signal, q.irq_at = 0, NEVER, NEVER, NEVER
            q.last_signal = max(q.last_signal, since)
            if q.by_transmit:
                q.tx_event_at = since
            return _begin(g, c, context, in_thread, IRQ, number, since, g.irq)
    number = _first_timer(g, c)
    if number != NOTHING:
        q = queue_of(g, number)
        q.timers += 1
        since, q.timer = q.timer, NEVER
        return _begin(g, c, context, in_thread, NAPI_TIMER, number, since, g.timer)
    following = 0 if g.epoll_timeout >= 0 else NOTHING
    while following != NOTHING:
        number = following
        t = task_of(g, number)
        following = t.following
        if t.bed == cpu and t.wakes_at <= now:
            t.wakes_at = NEVER
            return _begin(g, c, context, in_thread, TIMEOUT, number, now, g.timer)
    node = first(g, cpu_list(cpu, IPIS))
    if node != NOTHING and task_of(g, node - g.queue_count).ipi_at <= now:
        pop(g, cpu_list(cpu, IPIS))
        return _begin(g, c, context, in_thread, IPI, node - g.queue_count, now, 0)
    if c.background_at <= now:
        c.background_at += g.background_period
        return _begin(g, c, context, in_thread, BACKGROUND_TIMER, c.background, now, g.timer)
    if c.unthrottle <= now:
        c.unthrottle, c.throttled = NEVER, 0
        c.fifo_waits = int(in_thread and _in_call(task_of(g, c.task)) and not g.preemption)
        c.rt_window, c.rt_used = now // g.rt_period, 0
        c.to_idle = g.idle
        return True
    if preemptible(g, c, context) and c.slice_end <= now:
        rotate(g, cpu)
        c.to_idle = g.idle
        return True
    return False


@jit_inline
def _first_timer(g: Any, c: Any) -> int:
    """Return the first queue whose timer is over on this CPU, or NOTHING."""
    found, following = NOTHING, c.first_timer
    while following != NOTHING:
        q = queue_of(g, following)
        if q.timer + g.timer_latency <= g.now and (found == NOTHING or following < found):
            found = following
        following = q.following_timer
    return int(found)


@jit_inline
def preemptible(g: Any, c: Any, context: int) -> bool:
    """Whether the end of its slice takes the CPU from the thread at once."""
    if context != IN_TASK or c.task != c.running:
        return False
    t = task_of(g, c.task)
    return not (t.napi or t.holds)


@jit_inline
def _in_call(t: Any) -> bool:
    """Whether a thread is in a system call: without kernel preemption it keeps the CPU."""
    return not (t.kind == WORKER and t.pc == SERVED)


@jit_inside
def _begin(
    g: Any, c: Any, context: int, in_thread: bool, what: int, target: int, since: int, cost: int
) -> bool:
    """The handler has the CPU, as soon as that has left its C-state."""
    c.waking = 0
    if context == IDLE:
        if g.cstates > 0:
            idle = g.now - c.idle_since if c.idle_since >= 0 else 0
            c.waking = _leave_idle(g, idle)
        c.idle_since = NOTHING
    if in_thread and what in (IRQ, NAPI_TIMER):
        task_of(g, c.task).left += g.interrupted
    c.handler, c.what, c.target, c.since = 1, what, target, since
    c.in_call = int(in_thread and _in_call(task_of(g, c.task)))
    c.handler_left = cost
    c.to_idle = g.idle
    return True


@jit_inside
def _leave_idle(g: Any, idle: int) -> int:
    """How long leaving the C-state takes: the deepest that paid for this stay."""
    memory = int64s_at(g.memory, g.memory_size)
    leave = 0
    for state in range(g.cstates):
        if memory[g.cstate_at + 2 * state] <= idle:
            leave = max(leave, memory[g.cstate_at + 2 * state + 1])
    return int(leave)


@jit_inside
def end_handler(g: Any, cpu: int) -> None:
    """What the interrupt was for; then irq_exit runs the softirqs that are pending."""
    c = cpu_of(g, cpu)
    c.handler = 0
    in_call = c.in_call == 1
    if c.what == IRQ:
        q = queue_of(g, c.target)
        if q.owner != NOBODY:  # napi_schedule_prep
            q.missed = 1
        else:
            q.why, q.since, q.interrupted = FOR_COALESCING, c.since, 1
            schedule(g, cpu, c.target, q, in_call)
    elif c.what == NAPI_TIMER:  # napi_watchdog
        q = queue_of(g, c.target)
        if q.owner == NOBODY:
            q.prefer_bit, q.why, q.since = 0, FOR_TIMER, c.since
            schedule(g, cpu, c.target, q, in_call)
    elif c.what == IPI:
        enqueue(g, cpu, c.target, in_call)
    elif task_of(g, c.target).asleep:  # a timeout, or background work
        wake(g, c.target, cpu, in_call)
    run_softirq(g, cpu)


@jit_inside
def next_interrupt(g: Any, cpu: int) -> int:
    """Return when the next interrupt is due on a CPU, as far as is known; slices apart."""
    c = cpu_of(g, cpu)
    due = min(c.unthrottle, c.background_at)
    following = c.first_queue
    while following != NOTHING:
        q = queue_of(g, following)
        following = q.following
        due = min(due, q.irq_at)
    following = c.first_timer
    while following != NOTHING:
        q = queue_of(g, following)
        following = q.following_timer
        due = min(due, q.timer + g.timer_latency)
    following = 0 if g.epoll_timeout >= 0 else NOTHING
    while following != NOTHING:
        t = task_of(g, following)
        following = t.following
        if t.bed == cpu:
            due = min(due, t.wakes_at)
    node = first(g, cpu_list(cpu, IPIS))
    if node != NOTHING:
        due = min(due, task_of(g, node - g.queue_count).ipi_at)
    return int(due)
