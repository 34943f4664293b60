"""What is counted of served requests: their latencies, and with causes why each of them waited.

A batch that is handed to the stack leaves a record for its requests: the packet that follows it,
the cause of its poll (an index in CAUSES), since when, when the first poll began, and now. A
request reads it when it has been served; records that no request needs any more make room.
"""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import at, bit_length, jit_inline, jit_inside
from replay.engine.causes import CAUSES
from replay.engine.histogram import BUCKETS, MAX_BITS, SUB_BITS
from replay.engine.packets import packets

KINDS = len(CAUSES)
COALESCING, TIMER, CPU, RING, WAKEUP, QUEUEING, SERVICE = range(KINDS)
STRIDE = BUCKETS + 136  # between causes' histograms: not by whole pages, whose caches would collide
TAIL = 8  # numbers of a row of sums: a cache line, one more than there are causes
RECORD = 5  # numbers of a record
SERVED = 4  # numbers of a served request: packet, begun, woken, done
MOST_SERVED = 128  # requests that are explained together


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
    memory[at(record + 1)] = why[0]
    memory[at(record + 2)] = why[1]
    memory[at(record + 3)] = why[2]
    memory[at(record + 4)] = now
    s.noted += RECORD


@jit_inside
def note_here(s: Any, k: Any, beyond: int, now: int) -> None:
    """The same in the poll that goes on."""
    p = packets(k)
    note(s, p.memory, k.why_at, beyond, (s.why, s.since, s.polled_since), now)


@jit_inside
def explain(s: Any, k: Any, packet: int, begun: int, done: int) -> None:
    """Add the causes of one request's latency."""
    p = packets(k)
    p.memory[k.served_at] = packet
    p.memory[k.served_at + 1] = begun
    p.memory[k.served_at + 2] = s.woken
    p.memory[k.served_at + 3] = done
    explain_all(s, k, k.served_at + SERVED)


@jit_inside
def explain_all(s: Any, k: Any, end: int) -> None:
    """Add the causes of the requests that were served, noted up to `end`."""
    p = packets(k)
    when, service, memory = p.when, p.service, p.memory
    record, cause_at, tail_at = k.why_at + s.explained, k.cause_at, k.tail_at
    for served in range(k.served_at, end, SERVED):
        packet, begun = memory[at(served)], memory[at(served + 1)]
        woken, done = memory[at(served + 2)], memory[at(served + 3)]
        while memory[at(record)] <= packet:
            record += RECORD
        why, delivered = memory[at(record + 1)], memory[at(record + 4)]
        arrived, own = when[at(packet)], service[at(packet)]
        signalled = max(arrived, memory[at(record + 2)])
        polled = max(signalled, memory[at(record + 3)])
        awake = max(delivered, woken)
        cpu = polled - signalled + done - begun - own
        masked = signalled - arrived
        if why == CPU:
            cpu += masked
            why, masked = COALESCING, 0
        ring, wakeup, queueing = delivered - polled, awake - delivered, begun - awake
        memory[at(cause_at + why * STRIDE + bucket(masked))] += 1
        memory[at(cause_at + CPU * STRIDE + bucket(cpu))] += 1
        memory[at(cause_at + RING * STRIDE + bucket(ring))] += 1
        memory[at(cause_at + WAKEUP * STRIDE + bucket(wakeup))] += 1
        memory[at(cause_at + QUEUEING * STRIDE + bucket(queueing))] += 1
        memory[at(cause_at + SERVICE * STRIDE + bucket(own))] += 1
        row = tail_at + TAIL * bucket(done - arrived)
        memory[at(row + why)] += masked
        memory[at(row + CPU)] += cpu
        memory[at(row + RING)] += ring
        memory[at(row + WAKEUP)] += wakeup
        memory[at(row + QUEUEING)] += queueing
        memory[at(row + SERVICE)] += own
    s.explained = record - k.why_at
    _make_room(s, k)


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
