"""A request is answered: its latency, why it was that long, and what follows."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.arrivals import answer
from replay.engine.general.device import answer_size_of, row_of, transmit, transmits_on
from replay.engine.general.state import queue_of
from replay.engine.histogram import BUCKETS
from replay.engine.intrinsics import at, int64s_at
from replay.engine.tally import KINDS, bucket


@jit_inside
def answer_request(g: Any, cpu: int, t: Any) -> None:
    """The response is handed to the device."""
    memory = int64s_at(g.memory, g.memory_size)
    slot = t.packet
    latency = g.now - int64s_at(g.when, g.offered)[slot]
    place = count_answer(g, queue_of_slot(g, slot), latency)
    if g.times:
        memory[at(g.done_at + row_of(g, slot))] = g.now
    if g.causes:
        _explain(g, t, slot, place)
    if g.closed:
        answer(g, g, row_of(g, slot), g.now)
        g.quiet = min(g.quiet, g.upcoming)
    if g.tx_completions:
        transmit(g, transmits_on(g, cpu, queue_of_slot(g, slot)), answer_size_of(g, slot))


@jit_inline
def queue_of_slot(g: Any, slot: int) -> int:
    """Return the queue that received a delivered request."""
    if g.queue_at < 0:
        return 0
    return int(int64s_at(g.memory, g.memory_size)[at(g.queue_at + slot)])


@jit_inside
def count_answer(g: Any, number: int, latency: int) -> int:
    """Count an answered request of a queue; return its latency's bucket."""
    q = queue_of(g, number)
    q.served += 1
    q.latency_sum += latency
    q.latency_low = min(q.latency_low, latency)
    q.latency_high = max(q.latency_high, latency)
    place = bucket(latency)
    int64s_at(g.memory, g.memory_size)[g.latency_at + number * BUCKETS + place] += 1
    return place


@jit_inside
def _explain(g: Any, t: Any, slot: int, place: int) -> None:
    """Add the request's causes, which sum to its latency, to their histograms and to its bucket."""
    memory = int64s_at(g.memory, g.memory_size)
    why = g.why_at + 5 * slot
    delivered = memory[at(why + 4)]
    awake = max(delivered, t.woken)
    memory[at(why + 2)] += g.now - t.started - t.own
    memory[at(why + 4)] = awake - delivered
    _count(g, place, 5, t.started - awake)
    _count(g, place, 6, t.own)
    for cause in range(5):
        _count(g, place, cause, memory[at(why + cause)])


@jit_inline
def _count(g: Any, place: int, cause: int, time: int) -> None:
    """Count one cause's time of a request whose latency's bucket is `place`."""
    memory = int64s_at(g.memory, g.memory_size)
    memory[at(g.cause_at + cause * BUCKETS + bucket(time))] += 1
    memory[at(g.tail_at + place * KINDS + cause)] += time
