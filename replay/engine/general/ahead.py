"""Softirqs ahead, workers behind: how an island is replayed for as long as nothing else happens.

Without busy polling the softirqs of a CPU depend on no thread. So those of all CPUs are run up to
an instant at which none is under way, then each worker follows. Where something unusual comes, the
state at the last such instant is brought back, and run.py goes on from there.
"""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_in_place, jit_inside
from replay.engine.general.interrupts import next_interrupt
from replay.engine.general.lists import IPIS, POLL_LIST, cpu_list, first, pop, push, task_node
from replay.engine.general.softirqs_ahead import (
    FAILED,
    STRIDE,
    clear,
    messages_of,
    run_softirqs,
    spans_of,
)
from replay.engine.general.state import (
    CPU,
    FIXED,
    NOBODY,
    NOTHING,
    QUEUE,
    cpu_of,
    queue_of,
    task_of,
)
from replay.engine.general.workers_behind import follow
from replay.engine.intrinsics import at, int64s_at
from replay.engine.topology import FLOATS, Topology
from replay.units import MICROSECOND, NEVER

_MOST_PAIRS = 1024  # of a CPU and a worker
_SHORTEST, _LONGEST = 4 * MICROSECOND, 1 << 40  # windows, ns
_QUEUE_SIZE, _CPU_SIZE = QUEUE.itemsize // 8, CPU.itemsize // 8


def look_ahead(g: Any, queues: Any, topology: Topology) -> None:
    """Go ahead where softirqs depend on no thread, and each worker has a CPU of its own."""
    cpus, workers = len(topology.cpu_domain), topology.worker_cpu
    steps = (g.irq, g.timer, g.poll, g.packet, g.wake)  # of no length: an instant's order matters
    may = bool(
        g.plain
        and not (g.busy or g.cstates or g.extra_irq or g.looks_again)
        and not (g.background and g.background_period)
        and g.epoll_timeout < 0
        and min(steps) > 0
        and FLOATS not in workers
        and len(set(workers)) == len(workers)
        and cpus * len(workers) <= _MOST_PAIRS
        and (queues["plain"] == 1).all()
        and (queues["hooked"] == 0).all()
        and (queues["thread"] == NOTHING).all()
        and (queues["adaptive"] == FIXED).all()
    )
    g.ahead_at, g.window, g.pause = 0 if may else NEVER, _SHORTEST, _SHORTEST


def memory_ahead(g: Any, queues: int) -> dict[str, int]:
    """Return how many numbers of memory that takes."""
    if g.ahead_at == NEVER:
        return {}
    kept = queues * _QUEUE_SIZE + int(g.cpu_count) * _CPU_SIZE + int(g.sizes)
    pairs = int(g.cpu_count * g.worker_count)
    return {"span": STRIDE * int(g.cpu_count), "message": STRIDE * pairs, "kept": kept}


@jit_inside
def at_rest(g: Any) -> bool:
    """Whether no softirq is under way or held up, and no packet has been lost in a ring."""
    for cpu in range(g.cpu_count):
        c = cpu_of(g, cpu)
        if c.handler or c.in_softirq or first(g, cpu_list(cpu, POLL_LIST)) != NOTHING:
            return False
        if not task_of(g, c.ksoftirqd).asleep or c.running == c.ksoftirqd:
            return False
    for number in range(g.queue_count):
        q = queue_of(g, number)
        if q.owner != NOBODY or q.missed or q.tail - q.head > q.in_ring or q.missing > 0:
            return False
    return True


@jit_in_place
def run_ahead(g: Any) -> None:
    """Replay from an instant at rest to a later one, before which something unusual comes."""
    for cpu in range(g.cpu_count):
        c = cpu_of(g, cpu)
        pop(g, cpu_list(cpu, IPIS))
        c.free_at, c.due = g.now, next_interrupt(g, cpu)
    while g.now < g.end - 1:
        _keep(g)
        now = g.now
        until = _run_all(g, min(now + g.window, g.end - 1))
        g.now = now
        if until == FAILED:
            _bring_back(g)
            if g.window == _SHORTEST:
                break
            g.window = max(g.window // 4, _SHORTEST)
            continue
        for cpu in range(g.cpu_count):
            follow(g, cpu, until)
        g.now, g.pause = until, _SHORTEST
        _fit_window(g)
    g.ahead_at = g.now + g.pause
    g.pause = min(2 * g.pause, _LONGEST)
    for cpu in range(g.cpu_count):
        c = cpu_of(g, cpu)
        c.synced = g.now
        if c.worker != NOTHING:
            t = task_of(g, c.worker)
            if not t.asleep and c.running == NOTHING:
                push(g, cpu_list(cpu, IPIS), task_node(g, c.worker))


@jit_inside
def _run_all(g: Any, until: int) -> int:
    """Run all CPUs' softirqs to `until`, on to an instant at rest; return that, or FAILED."""
    memory = int64s_at(g.memory, g.memory_size)
    for cpu in range(g.cpu_count):
        c = cpu_of(g, cpu)
        clear(memory, spans_of(g, cpu))
        for worker in range(g.worker_count):
            clear(memory, messages_of(g, cpu, worker))
        if run_softirqs(g, cpu, until) == FAILED:
            return FAILED
    while True:
        begin, soonest, busy = NEVER, 0, g.now
        for cpu in range(g.cpu_count):
            c = cpu_of(g, cpu)
            busy = max(busy, c.free_at)
            time = max(c.due, c.free_at)
            if time < begin:
                begin, soonest = time, cpu
        if begin > busy:
            return int(min(begin, max(until, busy + 1)))
        if run_softirqs(g, soonest, begin + 1) == FAILED:
            return FAILED


@jit_inside
def _fit_window(g: Any) -> None:
    """Make windows longer while lists are nearly empty, shorter before they are full."""
    memory = int64s_at(g.memory, g.memory_size)
    fullest = 0
    for cpu in range(g.cpu_count):
        place = spans_of(g, cpu)
        fullest = max(fullest, memory[at(place)] - place)
        for worker in range(g.worker_count):
            place = messages_of(g, cpu, worker)
            fullest = max(fullest, memory[at(place)] - place)
    if fullest < STRIDE // 4:
        g.window = min(2 * g.window, _LONGEST)
    elif fullest > STRIDE // 2:
        g.window = max(g.window // 2, _SHORTEST)


@jit_inside
def _keep(g: Any) -> None:
    """Keep what softirqs change."""
    memory = int64s_at(g.memory, g.memory_size)
    queues, cpus = g.queue_count * _QUEUE_SIZE, g.cpu_count * _CPU_SIZE
    place = g.kept_at
    _copy(int64s_at(g.queues, queues), 0, memory, place, queues)
    _copy(int64s_at(g.cpus, cpus), 0, memory, place + queues, cpus)
    _copy(memory, g.sizes_at, memory, place + queues + cpus, g.sizes)


@jit_inside
def _bring_back(g: Any) -> None:
    """Bring back what was kept."""
    memory = int64s_at(g.memory, g.memory_size)
    queues, cpus = g.queue_count * _QUEUE_SIZE, g.cpu_count * _CPU_SIZE
    place = g.kept_at
    _copy(memory, place, int64s_at(g.queues, queues), 0, queues)
    _copy(memory, place + queues, int64s_at(g.cpus, cpus), 0, cpus)
    _copy(memory, place + queues + cpus, memory, g.sizes_at, g.sizes)
    for cpu in range(g.cpu_count):
        while pop(g, cpu_list(cpu, POLL_LIST)) != NOTHING:
            pass


@jit_inside
def _copy(source: Any, begin: int, target: Any, there: int, count: int) -> None:
    """Copy so many numbers."""
    for number in range(count):
        target[at(there + number)] = source[at(begin + number)]
