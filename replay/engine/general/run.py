"""The island's life: the CPU that has something to do next does it, one action at a time."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_in_place, jit_inline, jit_inside
from replay.engine.arrivals import next_row
from replay.engine.followers import FOLLOWER, LINKS, ROW
from replay.engine.general.ahead import at_rest
from replay.engine.general.device import admit, refresh
from replay.engine.general.interrupts import (
    end_handler,
    next_interrupt,
    preemptible,
    take_interrupt,
)
from replay.engine.general.sched import choose, spend
from replay.engine.general.softirq import (
    go_on_in_background,
    go_on_in_ksoftirqd,
    go_on_in_napi_thread,
    go_on_in_softirq,
)
from replay.engine.general.state import (
    HANDLER,
    IDLE,
    IN_SOFTIRQ,
    IN_TASK,
    KSOFTIRQD,
    NAPI_THREAD,
    NOTHING,
    SOFTIRQ,
    WORKER,
    WORKERS,
    cpu_of,
    queue_of,
    task_of,
    turn_of,
)
from replay.engine.general.worker import go_on_in_worker
from replay.engine.intrinsics import at, int64s_at, prefetch
from replay.units import NEVER


@jit_in_place
def run(g: Any) -> bool:
    """Replay to the end, or up to where `run_ahead` may go on; whether that is the end."""
    g.current = NOTHING
    for number in range(g.queue_count):
        refresh(g, queue_of(g, number))
    for cpu in range(g.cpu_count):
        c = cpu_of(g, cpu)
        c.due = next_interrupt(g, cpu)
        c.context = choose(g, cpu)
        turn_of(g, cpu).next_at = _next_at(g, c)
    while True:
        if g.now >= g.ahead_at and at_rest(g):
            for cpu in range(g.cpu_count):
                _charge(g, cpu_of(g, cpu))
            return False
        cpu = _next_cpu(g)
        time = turn_of(g, cpu).next_at
        if _arrives(g, min(time, g.end - 1)):
            continue
        if time > g.end:
            break
        g.now, g.current = time, cpu
        _act(g, cpu)
        g.current = NOTHING
    g.now = g.end
    for cpu in range(g.cpu_count):
        _charge(g, cpu_of(g, cpu))
    g.now = g.end - 1
    for number in range(g.queue_count):
        admit(g, queue_of(g, number))
    return True


@jit_inside
def _next_cpu(g: Any) -> int:
    """Return the CPU that acts next, of several the first; and note when another one acts."""
    turn = turn_of(g, 0)
    soonest, found, others = turn.next_at, 0, NEVER
    while turn.following != NOTHING:
        following = turn.following
        turn = turn_of(g, following)
        others = min(others, max(soonest, turn.next_at))
        if turn.next_at < soonest:
            soonest, found = turn.next_at, following
    g.others = others
    return int(found)


@jit_inside
def _arrives(g: Any, until: int) -> bool:
    """Let the next packet of closed arrivals arrive, if it does up to `until`, inclusive."""
    time = g.upcoming
    if time > until:
        return False
    memory = int64s_at(g.memory, g.memory_size)
    row = next_row(g, g)
    place = memory[at(g.place_at + row)] if g.place_at >= 0 else 0
    q = queue_of(g, place // WORKERS)
    slot = q.slots + q.known
    q.known += 1
    int64s_at(g.when, g.offered)[at(slot)] = time
    follower = g.follower_at + FOLLOWER * row
    int64s_at(g.service, g.offered)[at(slot)] = memory[at(follower)]
    memory[at(g.row_at + slot)] = row
    if g.worker_at >= 0:
        memory[at(g.worker_at + slot)] = place % WORKERS
    # the next one's place, and who follows this one's response, are anywhere in memory
    if g.pending > 0 and g.place_at >= 0:
        prefetch(memory, g.place_at + memory[at(g.heap_at)])
    prefetch(memory, g.follower_at + FOLLOWER * (memory[at(follower + LINKS)] & ROW))
    g.now = max(g.now, time)
    if q.armed:
        refresh(g, q)
    return True


@jit_inside
def _act(g: Any, cpu: int) -> None:
    """End what is at its end, or take an interrupt; then look when there is more to do."""
    c = cpu_of(g, cpu)
    _charge(g, c)
    if _left(g, c) == 0 or _interrupted(g, c, cpu):
        while True:
            quiet = _quiet(g, c)
            g.quiet = quiet
            _finish(g, c, cpu)
            c.context = choose(g, cpu)
            if quiet <= g.now or _left(g, c) > 0 or _quiet(g, c) <= g.now:
                break
    turn_of(g, cpu).next_at = _next_at(g, c)


@jit_inside
def _interrupted(g: Any, c: Any, cpu: int) -> bool:
    """Take what is due; whether its handler ends before anything else can happen."""
    if c.context == HANDLER or g.now >= g.end:
        return False
    sliced = preemptible(g, c, c.context) and c.slice_end <= g.now
    if c.due > g.now and not sliced:
        return False
    take_interrupt(g, cpu, c.context)
    c.due = next_interrupt(g, cpu)
    c.context = choose(g, cpu)
    if c.context != HANDLER:
        return False
    until = g.now + c.waking + c.handler_left
    if until >= _quiet(g, c):
        return False
    c.hardirq += c.handler_left
    c.leaving_idle += c.waking
    g.now = c.synced = until
    c.waking = c.handler_left = 0
    return True


@jit_inline
def _quiet(g: Any, c: Any) -> int:
    """Return before when this CPU is alone and undisturbed."""
    if c.fifo_waits:
        return NOTHING
    return int(min(c.due, g.end, c.slice_end, g.others, g.upcoming))


@jit_inline
def _left(g: Any, c: Any) -> int:
    """Return how much work the one that has the CPU has left."""
    if c.context == HANDLER:
        return int(c.waking + c.handler_left)
    if c.context == IN_SOFTIRQ:
        return int(c.softirq_left)
    if c.context == IN_TASK:
        return int(task_of(g, c.task).left)
    return NEVER


@jit_inline
def _next_at(g: Any, c: Any) -> int:
    """Return when there is something to do on a CPU."""
    left = _left(g, c)
    if left == 0:
        return int(g.now)
    if g.now >= g.end:
        return NEVER
    next_at = NEVER if c.context == IDLE else g.now + left
    if c.context != HANDLER:
        next_at = min(next_at, c.due)
        if preemptible(g, c, c.context):
            next_at = min(next_at, c.slice_end)
    return int(max(g.now, next_at))


@jit_inside
def _charge(g: Any, c: Any) -> None:
    """Count the time since the CPU last acted for the one that had it."""
    spent = g.now - c.synced
    if spent == 0:
        return
    if c.context == IDLE:
        if c.idle_since < 0:
            c.idle_since = c.synced
        back = min(spent, c.to_idle)
        c.to_idle -= back
        c.hardirq += back
    elif c.context == HANDLER:
        waking = min(spent, c.waking)  # from a C-state
        c.waking -= waking
        c.leaving_idle += waking
        c.handler_left -= spent - waking
        c.hardirq += spent - waking
    elif c.context == IN_SOFTIRQ:
        c.softirq_left -= spent
        spend(c, SOFTIRQ, spent)
    else:
        t = task_of(g, c.task)
        t.left -= spent
        spend(c, t.work, spent)
        c.need_resched = t.fresh = 0
    c.synced = g.now


@jit_inside
def _finish(g: Any, c: Any, cpu: int) -> None:
    """A step is over: what comes next?"""
    if c.context == HANDLER:
        end_handler(g, cpu)
        return
    if c.context == IN_SOFTIRQ:
        go_on_in_softirq(g, cpu)
        return
    task = c.task
    t = task_of(g, task)
    c.need_resched = t.fresh = 0
    if t.kind == WORKER:
        go_on_in_worker(g, cpu, task)
    elif t.kind == KSOFTIRQD:
        go_on_in_ksoftirqd(g, cpu, task)
    elif t.kind == NAPI_THREAD:
        go_on_in_napi_thread(g, cpu, task)
    else:
        go_on_in_background(g, cpu, task, t)
    if not t.napi:
        c.fifo_waits = 0
