"""Closed arrivals: a heap of the packets whose time of arrival is known but not yet reached."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inside
from replay.engine.packets import packets
from replay.units import NEVER


@jit_inside
def materialise(s: Any, k: Any, until: int) -> None:
    """Let the packets that arrive up to `until`, inclusive, arrive. Open arrivals: nothing to do.

    Safe as long as no response can be sent before `until`: only responses bring new arrivals.
    """
    p = packets(k)
    m, first = p.memory, k.heap_time_at
    while s.pending > 0 and m[first] <= until and m[first] < k.end:
        row = m[k.heap_row_at]
        m[k.when_at + s.known] = m[first]
        m[k.row_at + s.known] = row
        m[k.service_at + s.known] = m[k.workload_service_at + row]
        s.known += 1
        s.pending -= 1
        remove_first(k, s.pending)


@jit_inside
def answer(s: Any, k: Any, row: int) -> None:
    """The response to packet `row` was sent: what follows it arrives after its think time."""
    p = packets(k)
    m = p.memory
    for index in range(m[k.first_child_at + row], m[k.first_child_at + row + 1]):
        child = m[k.child_at + index]
        _sift_up(k, s.pending, s.now + m[k.think_at + child], child)
        s.pending += 1


@jit_inside
def next_arrival(s: Any, k: Any) -> int:
    """Return when the next packet arrives that the ring has not seen, as far as is known."""
    p = packets(k)
    if s.head < s.known:
        return int(p.when[s.head])
    if s.pending > 0:
        return int(p.memory[k.heap_time_at])
    return NEVER


@jit_inside
def _before(k: Any, first: int, time: int, row: int) -> bool:
    """Whether the heap's packet at `first` arrives before (time, row)."""
    p = packets(k)
    first_time = p.memory[k.heap_time_at + first]
    if first_time != time:
        return bool(first_time < time)
    return bool(p.memory[k.heap_row_at + first] <= row)


@jit_inside
def _put(k: Any, hole: int, time: int, row: int) -> None:
    """Put (time, row) into a place of the heap."""
    p = packets(k)
    p.memory[k.heap_time_at + hole] = time
    p.memory[k.heap_row_at + hole] = row


@jit_inside
def _move(k: Any, source: int, hole: int) -> None:
    """Move a packet of the heap to another place."""
    p = packets(k)
    _put(k, hole, p.memory[k.heap_time_at + source], p.memory[k.heap_row_at + source])


@jit_inside
def _sift_up(k: Any, hole: int, time: int, row: int) -> None:
    """Put (time, row) into the heap of `hole` packets; equal times are ordered by row."""
    while hole > 0:
        above = (hole - 1) >> 1
        if _before(k, above, time, row):
            break
        _move(k, above, hole)
        hole = above
    _put(k, hole, time, row)


@jit_inside
def remove_first(k: Any, size: int) -> None:
    """Remove the first of `size` + 1 packets: the last one sinks from its place."""
    p = packets(k)
    time, row = p.memory[k.heap_time_at + size], p.memory[k.heap_row_at + size]
    hole = 0
    while True:
        below = 2 * hole + 1
        if below >= size:
            break
        right = below + 1
        if right < size and _before(
            k, right, p.memory[k.heap_time_at + below], p.memory[k.heap_row_at + below]
        ):
            below = right
        if not _before(k, below, time, row):
            break
        _move(k, below, hole)
        hole = below
    _put(k, hole, time, row)
