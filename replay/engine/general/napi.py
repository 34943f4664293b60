"""NAPI: one poll as steps, what the stack does with its packets, and napi_complete_done."""

from __future__ import annotations

from typing import Any

from replay.engine import hooks
from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.general.device import (
    admit,
    arm,
    clean,
    moderate,
    poke,
    refresh,
    repost,
    row_of,
    send_signal,
    signal_by_software,
    take,
)
from replay.engine.general.sched import passes_quietly, queue_work, spend, wake
from replay.engine.general.state import (
    CPUS,
    KERNEL,
    NAPI,
    NOBODY,
    NOTHING,
    cpu_of,
    queue_of,
    task_of,
)
from replay.engine.intrinsics import at, bytes_at, int64s_at
from replay.units import NEVER

# Where a poll stands
POLLED_RING, CLEANED, PACKET = 0, 1, 2
ENDED = -1


@jit_inline
def begin_poll(g: Any, q: Any, budget: int) -> None:
    """The poll's own cost comes first."""
    if q.polled_since == NOTHING:
        q.polled_since = g.now
    q.poll_pc, q.poll_budget, q.work, q.batch = POLLED_RING, budget, 0, 0


@jit_inside
def go_on_polling(g: Any, c: Any, cpu: int, number: int, kind: int) -> int:
    """Do what the poll does at the end of a step; return the next step's cost, or ENDED."""
    q = queue_of(g, number)
    if q.poll_pc == POLLED_RING:
        q.poll_pc = CLEANED
        if g.tx_completions:
            cost = g.tx * clean(g, q)
            if not passes_quietly(g, c, kind, cost):
                return int(cost)
    more = True
    if q.poll_pc == PACKET:
        more = _hand_over(g, cpu, number, q)
    while more and q.work < q.poll_budget:
        if q.plain:
            _take_quietly(g, c, q, kind)
            if q.batch > 0:
                _hand_over(g, cpu, number, q)
                if q.work == q.poll_budget:
                    break
        before = q.work
        _take_some(g, q)
        if q.work == before:
            break
        q.poll_pc = PACKET
        cost = (q.work - before) * g.packet
        if not passes_quietly(g, c, kind, cost):
            return int(cost)
        more = _hand_over(g, cpu, number, q)
    if q.batch > 0:
        deliver(g, cpu, number, q)
    repost(g, q)
    memory = int64s_at(g.memory, g.memory_size)
    memory[at(g.sizes_at + q.work)] += 1
    q.polls += 1
    q.polls_empty += int(q.work == 0)
    q.busy_polls += int(kind == KERNEL)
    if q.interrupted:
        q.irqs_no_work += int(q.work == 0)
        q.interrupted = 0
    return ENDED


@jit_inline
def _take_some(g: Any, q: Any) -> None:
    """Take a packet; all that fit into a batch where the driver looks again after their costs."""
    most = 1
    if g.looks_again:
        most = min(g.gro_batch, q.poll_budget - q.work)
    while most > 0:
        slot = take(g, q)
        if slot == NOTHING:
            return
        if q.batch == 0:
            q.batch_first = slot
        q.work += 1
        q.batch += 1
        most -= 1


@jit_inside
def _take_quietly(g: Any, c: Any, q: Any, kind: int) -> None:
    """Take packets for as long as nothing else can happen, none is lost and no batch is full."""
    when = int64s_at(g.when, g.offered)
    if q.armed or q.missed or q.tail - q.head > q.in_ring:
        return
    now, head, quiet, cost = g.now, q.slots + q.head, g.quiet, g.packet
    most = min(q.poll_budget - q.work, g.gro_batch - q.batch)
    last = q.slots + q.known
    taken = 0
    while taken < most and head < last and when[at(head)] <= now and now + cost < quiet:
        if head + q.ring < last and when[at(head + q.ring)] <= now:
            break
        now += cost
        head += 1
        taken += 1
    if taken > 0:
        if q.batch == 0:
            q.batch_first = q.slots + q.head
        q.batch += taken
        q.work += taken
        q.head += taken
        q.in_ring = max(0, q.in_ring - taken)
        q.tail = max(q.tail, q.head)
        q.received += taken
        spend(c, kind, now - g.now)
        g.now = c.synced = now


@jit_inline
def _hand_over(g: Any, cpu: int, number: int, q: Any) -> bool:
    """Packets were polled; the stack takes them gro_normal_batch at once.

    Returns whether the poll looks at the ring once more: not behind what napi_complete_done
    passes on, where the driver looks again itself.
    """
    if q.batch == g.gro_batch:
        deliver(g, cpu, number, q)
        return True
    return not g.looks_again


@jit_inside
def deliver(g: Any, cpu: int, number: int, q: Any) -> None:
    """The stack has the batch: requests are ready, whoever waits for them wakes up."""
    service, lost = int64s_at(g.service, g.offered), bytes_at(g.lost, g.offered)
    memory = int64s_at(g.memory, g.memory_size)
    slot, left = q.batch_first, q.batch
    q.batch = 0
    while left > 0:
        if lost[at(slot)]:
            slot += 1
            continue
        if g.times:
            memory[at(g.delivered_at + row_of(g, slot))] = g.now
        if service[at(slot)] >= 0:
            if g.causes:
                _explain(g, q, slot)
            worker = 0
            if g.worker_at >= 0:
                worker = memory[at(g.worker_at + slot)]
            if g.queue_at >= 0:
                memory[at(g.queue_at + slot)] = number
            t = task_of(g, worker)
            if t.ready + t.batch == 0:
                t.first_ready = slot * CPUS + cpu
            else:
                memory[at(g.next_ready_at + t.last_ready)] = slot * CPUS + cpu
            t.last_ready = slot
            t.ready += 1
            if g.busy:  # ep_poll_callback
                t.epoll_queue = number
            if t.asleep:
                wake(g, worker, cpu, False)
        slot += 1
        left -= 1


@jit_inside
def _explain(g: Any, q: Any, slot: int) -> None:
    """Write down why the packet waited until now: coalescing, timer, CPU, ring; and when it is."""
    when = int64s_at(g.when, g.offered)
    memory = int64s_at(g.memory, g.memory_size)
    why = g.why_at + 5 * slot
    arrival = when[at(slot)]
    signalled = max(arrival, q.since)
    polled = max(signalled, q.polled_since)
    memory[at(why)] = memory[at(why + 1)] = 0
    memory[at(why + 2)] = polled - signalled
    memory[at(why + q.why)] += signalled - arrival
    memory[at(why + 3)] = g.now - polled
    memory[at(why + 4)] = g.now


@jit_inside
def complete(g: Any, cpu: int, number: int, work: int, driver: bool) -> int:
    """napi_complete_done: what its timer costs, or ENDED where NAPI must poll again.

    A driver arms the interrupt then.
    """
    q = queue_of(g, number)
    timeout = 0
    if work > 0:
        q.count = q.defer
    if q.count > 0:
        q.count -= 1
        timeout = q.timeout
    if q.hooked:
        timeout = hooks.after_poll(timeout, work, q.count)
    q.prefer_bit = 0
    if q.missed or (timeout == 0 and not driver):
        q.missed = 0
        return ENDED
    q.owner = NOBODY
    if timeout > 0:
        start_timer(g, cpu, number, q, timeout)
        q.masked = 1
        return _arming(g, q, timeout) if q.hooked else int(q.timer_start)
    chosen = moderate(g, q, number)
    if g.program > 0 and chosen > 0:
        queue_work(g, cpu, chosen * g.program)
    masked, q.masked = q.masked, 0
    if g.looks_again:
        admit(g, q)
        if q.head < q.tail:
            _poll_again(g, q)
            return ENDED
    arm(g, q)
    if g.extra_irq and masked:
        signal_by_software(g, q)
    return 0


@jit_inline
def _arming(g: Any, q: Any, timeout: int) -> int:
    """Return what a hook's timer costs, as replay.host.arming_ns does for those that are known."""
    behind = min(timeout, g.jiffy)
    return int((q.timer_first * (g.jiffy - behind) + q.timer_later * behind) // g.jiffy)


@jit_inside
def _poll_again(g: Any, q: Any) -> None:
    """veth_poll, virtqueue_napi_complete: packets came meanwhile, no interrupt need say so."""
    send_signal(g, q)
    q.owner, q.armed, q.signal = NAPI, 0, NEVER
    refresh(g, q)


@jit_inline
def start_timer(g: Any, cpu: int, number: int, q: Any, timeout: int) -> None:
    """hrtimer_start: napi_watchdog will run on this CPU."""
    if q.timer_cpu != cpu:
        _move_timer(g, cpu, number, q)
    q.timer = g.now + timeout
    poke(g, cpu, q.timer + g.timer_latency)


@jit_inside
def _move_timer(g: Any, cpu: int, number: int, q: Any) -> None:
    """Put a queue's timer into another CPU's chain."""
    if q.timer_cpu != NOTHING:
        before = cpu_of(g, q.timer_cpu)
        if before.first_timer == number:
            before.first_timer = q.following_timer
        else:
            previous = queue_of(g, before.first_timer)
            while previous.following_timer != number:
                previous = queue_of(g, previous.following_timer)
            previous.following_timer = q.following_timer
    c = cpu_of(g, cpu)
    q.timer_cpu, q.following_timer, c.first_timer = cpu, c.first_timer, number
