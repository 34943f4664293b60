"""Who has a CPU: handlers, then softirqs, then SCHED_FIFO threads, then all others in turn."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.general.device import poke
from replay.engine.general.lists import (
    FIFO,
    IPIS,
    POLL_LIST,
    WAITING,
    cpu_list,
    first,
    pop,
    push,
    remove,
    task_list,
    task_node,
)
from replay.engine.general.state import (
    APP,
    HANDLER,
    IDLE,
    IN_SOFTIRQ,
    IN_TASK,
    KERNEL,
    NAPI,
    NOTHING,
    SOFTIRQ,
    cpu_of,
    task_of,
)
from replay.units import NEVER

# Where a softirq stands (see softirq.py), and where every task begins
PASS, POLLING, PASSED, LEAVE, LEFT = 0, 1, 2, 3, 4
ASLEEP = 0


@jit_inside
def choose(g: Any, cpu: int) -> int:
    """Return who has the CPU; c.task is the task where it is one."""
    c = cpu_of(g, cpu)
    c.task = NOTHING
    if c.handler:
        return HANDLER
    if c.bh_off != NOTHING:
        c.task = c.bh_off
        return IN_TASK
    if c.in_softirq:
        return IN_SOFTIRQ
    fifo = first(g, cpu_list(cpu, FIFO))
    if fifo != NOTHING and not c.throttled and not c.fifo_waits:
        c.task = fifo - g.queue_count
        return IN_TASK
    if c.running != NOTHING:
        c.task = c.running
        return IN_TASK
    return IDLE


@jit_inside
def is_idle(g: Any, cpu: int) -> bool:
    """idle_cpu: no thread runs or is about to; a handler or a softirq may."""
    waits = first(g, cpu_list(cpu, FIFO)) != NOTHING or first(g, cpu_list(cpu, IPIS)) != NOTHING
    return bool(cpu_of(g, cpu).running == NOTHING and not waits)


@jit_inside
def enqueue(g: Any, cpu: int, task: int, in_call: bool) -> None:
    """A thread is ready to run here."""
    c, t = cpu_of(g, cpu), task_of(g, task)
    t.fresh = int(task != c.ksoftirqd)  # woken, and has not run since
    if t.fifo:
        push(g, cpu_list(cpu, FIFO), task_node(g, task))
        g.quiet = NOTHING
        if in_call and not g.preemption:
            c.fifo_waits = 1
    elif c.running == NOTHING:
        c.running = task
        c.need_resched = t.fresh
    else:
        push(g, cpu_list(cpu, WAITING), task_node(g, task))
        if c.slice_end == NEVER:
            c.slice_end = g.now + g.slice
            g.quiet = min(g.quiet, c.slice_end)


@jit_inside
def block(g: Any, cpu: int, task: int) -> None:
    """The thread that runs sleeps."""
    c, t = cpu_of(g, cpu), task_of(g, task)
    c.to_idle = g.idle
    g.quiet = NOTHING
    if t.fifo:
        remove(g, cpu_list(cpu, FIFO), task_node(g, task))
        return
    following = pop(g, cpu_list(cpu, WAITING))
    c.running = NOTHING if following == NOTHING else following - g.queue_count
    c.need_resched = task_of(g, c.running).fresh if c.running != NOTHING else 0
    waits = first(g, cpu_list(cpu, WAITING)) != NOTHING
    c.slice_end = g.now + g.slice if waits else NEVER


@jit_inside
def rotate(g: Any, cpu: int) -> None:
    """The next thread's turn."""
    c = cpu_of(g, cpu)
    push(g, cpu_list(cpu, WAITING), task_node(g, c.running))
    c.running = pop(g, cpu_list(cpu, WAITING)) - g.queue_count
    c.slice_end = g.now + g.slice
    g.quiet = NOTHING


@jit_inline
def slice_is_over(g: Any, c: Any) -> bool:
    """Whether another thread waits and it is its turn."""
    return bool(c.slice_end <= g.now)


@jit_inside
def wake(g: Any, task: int, cpu: int, in_call: bool) -> None:
    """try_to_wake_up: where it ran if that CPU is idle, else an idle one of that cache.

    Of these first the CPU that wakes it (wake_affine), then in turn from where it ran on
    (select_idle_cpu).
    """
    t = task_of(g, task)
    t.asleep = 0
    if not t.pinned and not is_idle(g, t.cpu):
        domain, ran = cpu_of(g, t.cpu).domain, t.cpu
        for step in range(g.cpu_count):
            other = cpu if step == 0 else (ran + step) % g.cpu_count
            if cpu_of(g, other).domain == domain and is_idle(g, other):
                t.cpu = other
                break
    if t.cpu == cpu:
        enqueue(g, cpu, task, in_call)
    else:
        t.ipi_at = g.now + g.ipi
        push(g, cpu_list(t.cpu, IPIS), task_node(g, task))
        poke(g, t.cpu, t.ipi_at)


@jit_inside
def queue_work(g: Any, cpu: int, time: int) -> None:
    """schedule_work: this CPU's kworker has that much to do."""
    number = cpu_of(g, cpu).kworker
    t = task_of(g, number)
    t.owed += time
    if t.asleep:
        wake(g, number, cpu, False)


@jit_inside
def schedule(g: Any, cpu: int, queue: int, q: Any, in_call: bool) -> None:
    """napi_schedule: the queue's thread, or a softirq here, will poll it."""
    q.owner, q.polled_since = NAPI, NOTHING
    if q.thread == NOTHING:
        push(g, cpu_list(cpu, POLL_LIST), queue)
        run_softirq(g, cpu)
        return
    t = task_of(g, q.thread)
    push(g, task_list(g, q.thread), queue)
    if t.asleep:
        wake(g, q.thread, cpu, in_call)
    elif t.in_exit:  # called back as it was leaving: what that takes is dropped
        other = cpu_of(g, t.cpu)
        if t.cpu != cpu and other.context == IN_TASK and other.task == q.thread:
            other.softirq += g.now - other.synced
            other.rt_used += g.now - other.synced
            other.synced = g.now
            other.need_resched = t.fresh = 0
        t.pc, t.left, t.in_exit = ASLEEP, 0, 0
        poke(g, t.cpu, g.now)


@jit_inside
def run_softirq(g: Any, cpu: int) -> None:
    """Begin a softirq where one is pending and none runs; not while a thread polls."""
    c = cpu_of(g, cpu)
    runs = c.in_softirq and not c.in_exit
    pending = first(g, cpu_list(cpu, POLL_LIST)) != NOTHING
    if not pending or runs or c.bh_off != NOTHING or c.handler:
        return
    if not task_of(g, c.ksoftirqd).asleep:
        _unqueue_ksoftirqd(g, cpu, c)
    c.passes, c.start_jiffy = 0, jiffies(g)
    _begin_softirq(g, c, PASS)


@jit_inline
def jiffies(g: Any) -> int:
    """Return the number of jiffies since the start; a division only where they have changed."""
    if not 0 <= g.now - g.jiffy_began < g.jiffy:
        g.jiffies = g.now // g.jiffy
        g.jiffy_began = g.jiffies * g.jiffy
    return int(g.jiffies)


@jit_inside
def leave_softirq(g: Any, cpu: int) -> None:
    """ksoftirqd's polls are over; what it takes to leave is dropped where a new softirq begins."""
    c = cpu_of(g, cpu)
    _begin_softirq(g, c, LEFT)
    c.in_exit = 1
    c.softirq_left = c.leaving + g.exit
    c.leaving = 0


@jit_inline
def _begin_softirq(g: Any, c: Any, pc: int) -> None:
    """A softirq begins at a step of no length."""
    c.in_softirq, c.in_exit, c.softirq_pc, c.softirq_left = 1, 0, pc, 0
    g.quiet = NOTHING


@jit_inside
def _unqueue_ksoftirqd(g: Any, cpu: int, c: Any) -> None:
    """irq_exit runs whatever softirq is pending: ksoftirqd has nothing to do any more."""
    t = task_of(g, c.ksoftirqd)
    if c.running == c.ksoftirqd:
        block(g, cpu, c.ksoftirqd)
    else:
        remove(g, cpu_list(cpu, WAITING), task_node(g, c.ksoftirqd))
        if first(g, cpu_list(cpu, WAITING)) == NOTHING:
            c.slice_end = NEVER
    t.asleep, t.pc, t.left = 1, ASLEEP, 0


@jit_inside
def enable_bh(g: Any, cpu: int) -> None:
    """A thread has polled; softirqs and SCHED_FIFO threads that waited come first."""
    cpu_of(g, cpu).bh_off = NOTHING
    if first(g, cpu_list(cpu, FIFO)) != NOTHING:
        g.quiet = NOTHING
    run_softirq(g, cpu)


@jit_inline
def passes_quietly(g: Any, c: Any, kind: int, cost: int) -> bool:
    """Spend `cost` ns where nothing can happen meanwhile; otherwise return False."""
    until = g.now + cost
    if until >= g.quiet:
        return False
    g.now = until
    c.synced = until
    spend(c, kind, cost)
    return True


@jit_inline
def spend(c: Any, kind: int, cost: int) -> None:
    """Count CPU time."""
    if kind == SOFTIRQ:
        c.softirq += cost
        c.rt_used += cost
    elif kind == KERNEL:
        c.kernel += cost
    elif kind == APP:
        c.app += cost
    else:
        c.other += cost
