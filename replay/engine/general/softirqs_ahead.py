"""A CPU's softirqs ahead of its worker: what of its time they take, and what they deliver when.

No thread can change what they do, so that one follows the other in a straight line. The usual is
known here, as interrupts.py, softirq.py, napi.py and device.py have it: where anything else comes,
FAILED is returned, and a state that nobody may use.
"""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.general.device import refresh
from replay.engine.general.lists import POLL_LIST, cpu_list, pop, push
from replay.engine.general.napi import start_timer
from replay.engine.general.state import NAPI, NOBODY, NOTHING, cpu_of, queue_of
from replay.engine.intrinsics import at, int64s_at
from replay.units import NEVER

FAILED = -1

#: Spans of a CPU and messages from a CPU to a worker that are kept; each is two numbers.
MOST = 512
#: Numbers of a list of them: where it ends, how far it has been read, itself, NEVER at its end.
STRIDE = 2 * MOST + 4
BEGIN = 2


@jit_inline
def spans_of(g: Any, cpu: int) -> int:
    """Return where the spans of a CPU's time lie that its softirqs take: begin and end."""
    return int(g.span_at + STRIDE * cpu)


@jit_inline
def messages_of(g: Any, cpu: int, worker: int) -> int:
    """Return where the requests lie that a CPU delivers to a worker: when, and their slots."""
    return int(g.message_at + STRIDE * (cpu * g.worker_count + worker))


@jit_inline
def clear(memory: Any, place: int) -> None:
    """Empty a list."""
    memory[at(place)] = memory[at(place + 1)] = place + BEGIN
    memory[at(place + BEGIN)] = NEVER


@jit_inline
def append(memory: Any, place: int, one: int, other: int) -> None:
    """Add two numbers to a list."""
    end = memory[at(place)]
    memory[at(end)], memory[at(end + 1)], memory[at(end + 2)] = one, other, NEVER
    memory[at(place)] = end + 2


@jit_inside
def run_softirqs(g: Any, cpu: int, until: int) -> int:
    """Run the softirqs that begin before `until`; return when the next one begins, or FAILED."""
    c = cpu_of(g, cpu)
    memory = int64s_at(g.memory, g.memory_size)
    spans = spans_of(g, cpu)
    while True:
        begin = max(c.due, c.free_at)
        if begin >= until:
            return int(begin)
        handled = c.hardirq
        end = _softirq(g, c, cpu, begin)
        if end == FAILED or end >= g.end - 1 or memory[at(spans)] == spans + BEGIN + 2 * MOST:
            return FAILED
        append(memory, spans, begin, end)
        spent = end - begin - (c.hardirq - handled)
        c.softirq += spent
        c.rt_used += spent
        c.free_at = end


@jit_inside
def _softirq(g: Any, c: Any, cpu: int, now: int) -> int:
    """From an interrupt until the CPU is given back, at a time that is returned."""
    poll_list, passing = cpu_list(cpu, POLL_LIST), g.jiffy * (g.budget_jiffies - 1)
    while True:
        cost = _handle(g, c, cpu, now)
        if cost == FAILED:
            return FAILED
        now += cost
        began, budget, leaving = now, g.budget, g.exit
        number = pop(g, poll_list)
        while number != NOTHING:
            q = queue_of(g, number)
            now = _pass(g, c, cpu, now, g.poll)
            if now == FAILED:
                return FAILED
            now = _poll(g, c, cpu, number, q, now)
            if now == FAILED:
                return FAILED
            budget -= q.work
            if budget <= 0 or now - began >= passing:
                return FAILED
            leaving += _complete(g, cpu, number, q, now)
            number = pop(g, poll_list)
        if c.due >= now + leaving:
            return int(now + leaving)
        now = max(now, c.due)  # called back as it was leaving: what that takes is dropped


@jit_inline
def _pass(g: Any, c: Any, cpu: int, now: int, cost: int) -> int:
    """Let the softirq work for `cost` ns; return its end, which interrupts put off, or FAILED."""
    if c.due >= now + cost:
        return int(now + cost)
    return _pass_disturbed(g, c, cpu, now, cost)


@jit_inside
def _pass_disturbed(g: Any, c: Any, cpu: int, now: int, cost: int) -> int:
    """The same where one comes."""
    until = now + cost
    while c.due < until:
        now = max(now, c.due)
        cost = _handle(g, c, cpu, now)
        if cost == FAILED:
            return FAILED
        now += cost
        until += cost
    return int(until)


@jit_inside
def _handle(g: Any, c: Any, cpu: int, now: int) -> int:
    """Handle the first interrupt that is due: NAPI has its queue. Return what that takes."""
    found, timer, due, following = NOTHING, NOTHING, NEVER, c.first_queue
    while following != NOTHING:
        q = queue_of(g, following)
        irq_at, timer_at = q.irq_at, q.timer + g.timer_latency
        if irq_at <= now and found == NOTHING:
            found, irq_at = following, NEVER
        if timer_at <= now and timer == NOTHING:
            timer, timer_at = following, NEVER
        due = min(due, irq_at, timer_at)
        following = q.following
    if found != NOTHING:
        q, cost = queue_of(g, found), g.irq
        q.irqs += 1
        q.last_signal = max(q.last_signal, q.irq_at - g.irq_latency)
        q.armed, q.irq_due, q.signal, q.irq_at = 0, NEVER, NEVER, NEVER
        q.interrupted = 1
        if timer != NOTHING:
            due = min(due, now)
    elif timer != NOTHING:
        found = timer
        q, cost = queue_of(g, found), g.timer
        q.timers += 1
        q.timer, q.prefer_bit = NEVER, 0
    else:
        return FAILED
    if q.owner != NOBODY:
        return FAILED
    q.owner = NAPI
    push(g, cpu_list(cpu, POLL_LIST), found)
    c.hardirq += cost
    c.due = due
    return int(cost)


@jit_inside
def _poll(g: Any, c: Any, cpu: int, number: int, q: Any, now: int) -> int:
    """Take packets out of the ring, at most a poll's weight; return when that ends, or FAILED."""
    when = int64s_at(g.when, g.offered)
    memory = int64s_at(g.memory, g.memory_size)
    first = head = q.slots + q.head
    last, batch = q.slots + q.known, g.gro_batch
    most = head + q.weight
    while head < last and when[at(head)] <= now:
        if head + q.ring < last and when[at(head + q.ring)] <= now:
            return FAILED
        now = _pass(g, c, cpu, now, g.packet)
        head += 1
        if now == FAILED or head == most:
            return FAILED
        if head - first == batch:
            if not _deliver(g, cpu, number, first, head, now):
                return FAILED
            first = head
    if first < head and not _deliver(g, cpu, number, first, head, now):
        return FAILED
    taken = head - q.slots - q.head
    q.work = taken
    q.head += taken
    q.in_ring = max(0, q.in_ring - taken)
    q.tail = max(q.tail, q.head)
    q.received += taken
    memory[at(g.sizes_at + taken)] += 1
    q.polls += 1
    q.polls_empty += int(taken == 0)
    q.irqs_no_work += int(q.interrupted == 1 and taken == 0)
    q.interrupted = 0
    return int(now)


@jit_inside
def _deliver(g: Any, cpu: int, number: int, slot: int, end: int, now: int) -> bool:
    """The stack has the batch: send its requests to their workers; whether there was room."""
    service = int64s_at(g.service, g.offered)
    memory = int64s_at(g.memory, g.memory_size)
    worker_at, queue_at, worker = g.worker_at, g.queue_at, 0
    first = messages_of(g, cpu, 0)
    while slot < end:
        if service[at(slot)] >= 0:
            if worker_at >= 0:
                worker = memory[at(worker_at + slot)]
            if queue_at >= 0:
                memory[at(queue_at + slot)] = number
            place = first + STRIDE * worker
            if memory[at(place)] == place + BEGIN + 2 * MOST:
                return False
            append(memory, place, now, slot)
        slot += 1
    return True


@jit_inline
def _complete(g: Any, cpu: int, number: int, q: Any, now: int) -> int:
    """napi_complete_done after a poll of less than its weight; return what its timer costs."""
    g.now, timeout = now, 0
    if q.work > 0:
        q.count = q.defer
    if q.count > 0:
        q.count -= 1
        timeout = q.timeout
    q.owner, q.prefer_bit, q.masked = NOBODY, 0, int(timeout > 0)
    if timeout > 0:
        start_timer(g, cpu, number, q, timeout)
        return int(q.timer_start)
    q.armed, q.armed_at = 1, now
    refresh(g, q)
    return 0
