"""What is counted of served requests: their latencies, and with causes why each of them waited.

A batch that is handed to the stack leaves a record for its requests: the packet that follows it;
until when the device's signal, and the timer, was waited for, 0 where it was not; when the first
poll began; and now. A served request leaves a row. Some rows together are then explained by the
records; those that no request needs any more make room.
"""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.causes import CAUSES
from replay.engine.histogram import BUCKETS, MAX_BITS, SUB_BITS
from replay.engine.intrinsics import add_line, at, bit_length
from replay.engine.packets import packets

KINDS = len(CAUSES)
COALESCING, TIMER, CPU, RING, WAKEUP, QUEUEING, SERVICE = range(KINDS)
STRIDE = BUCKETS + 136  # between causes' histograms: not by whole pages, whose caches would collide
ROW = KINDS + 1  # numbers of a row, a cache line: the causes of a latency, at last the latency
RECORD = 5  # numbers of a record
TOGETHER = 64  # requests that are explained together


@jit_inline
def bucket(latency: int) -> int:
    """Return the histogram's bucket of a latency (see histogram.py)."""
    return bucket_within(min(latency, (1 << MAX_BITS) - 1))


@jit_inline
def bucket_within(latency: int) -> int:
    """Return the same for a latency that the histogram holds."""
    shift = bit_length(latency | (1 << (SUB_BITS - 1))) - SUB_BITS
    return int((shift << (SUB_BITS - 1)) + (latency >> shift))


@jit_inline
def note(s: Any, memory: Any, why_at: int, beyond: int, why: Any, now: int) -> None:
    """Packets before `beyond` are handed to the stack; `why`: cause, since, and when polled."""
    record = why_at + s.noted
    memory[at(record)] = beyond
    memory[at(record + 1)] = why[1] * (why[0] == COALESCING)
    memory[at(record + 2)] = why[1] * (why[0] == TIMER)
    memory[at(record + 3)] = why[2]
    memory[at(record + 4)] = now
    s.noted += RECORD


@jit_inside
def note_here(s: Any, k: Any, beyond: int, now: int) -> None:
    """The same in the poll that goes on."""
    p = packets(k)
    note(s, p.memory, k.why_at, beyond, (s.why, s.since, s.polled_since), now)


@jit_inline
def note_served(
    memory: Any, row: int, packet: int, begun: int, woken: int, own: int, latency: int
) -> int:
    """Write down a served request; `row` is where. Returns the next row."""
    memory[at(row)] = packet
    memory[at(row + 1)] = begun
    memory[at(row + 2)] = woken
    memory[at(row + SERVICE)] = own
    memory[at(row + KINDS)] = latency
    return row + ROW


@jit_inside
def explain(s: Any, k: Any, packet: int, begun: int, done: int) -> None:
    """Count one request's latency and its causes."""
    p = packets(k)
    own, latency = p.service[packet], done - p.when[packet]
    explain_all(s, k, note_served(p.memory, k.parts_at, packet, begun, s.woken, own, latency))


@jit_inside
def explain_all(s: Any, k: Any, end: int) -> None:
    """Count the latencies and the causes of the served requests whose rows end at `end`.

    A step for all of them, then the next: each is of few kinds of instructions, many at a time.
    """
    memory = packets(k).memory
    parts_at, place_at, cause_at, tail_at = k.parts_at, k.place_at, k.cause_at, k.tail_at
    _split(s, k, end)
    for number in range(end - parts_at):
        memory[at(place_at + number)] = bucket(memory[at(parts_at + number)])
    for number in range(0, end - parts_at, ROW):
        place = place_at + number
        for kind in range(ROW):
            memory[at(cause_at + kind * STRIDE + memory[at(place + kind)])] += 1
        add_line(memory, tail_at + ROW * memory[at(place + KINDS)], parts_at + number)
    _make_room(s, k)


@jit_inline
def _split(s: Any, k: Any, end: int) -> None:
    """Replace what was written down of each request by its latency's causes."""
    p = packets(k)
    when, memory = p.when, p.memory
    record = k.why_at + s.explained
    for row in range(k.parts_at, end, ROW):
        packet, begun, woken = memory[at(row)], memory[at(row + 1)], memory[at(row + 2)]
        own, latency = memory[at(row + SERVICE)], memory[at(row + KINDS)]
        record += RECORD * (memory[at(record)] <= packet)  # at most one, as a rule: no branch
        while memory[at(record)] <= packet:
            record += RECORD
        arrived, delivered = when[at(packet)], memory[at(record + 4)]
        coalescing = max(memory[at(record + 1)] - arrived, 0)
        timer = max(memory[at(record + 2)] - arrived, 0)
        polled = max(memory[at(record + 3)], arrived)
        awake = max(delivered, woken)
        memory[at(row + COALESCING)] = coalescing
        memory[at(row + TIMER)] = timer
        memory[at(row + CPU)] = polled - coalescing - timer + latency - begun - own
        memory[at(row + RING)] = delivered - polled
        memory[at(row + WAKEUP)] = awake - delivered
        memory[at(row + QUEUEING)] = begun - awake
    s.explained = record - k.why_at


@jit_inline
def _make_room(s: Any, k: Any) -> None:
    """Move the records that are still needed to the front, once most are not."""
    p = packets(k)
    left = s.noted - s.explained
    if s.explained >= left + RECORD:
        first, second = k.why_at, k.why_at + s.explained
        for number in range(left):
            p.memory[at(first + number)] = p.memory[at(second + number)]
        s.noted, s.explained = left, 0
