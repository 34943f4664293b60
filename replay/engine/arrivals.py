"""Closed arrivals: a heap of the packets whose time of arrival is known but not yet reached."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit
from replay.engine.state import Constants, Packets
from replay.units import NEVER


@jit
def materialise(s: Any, p: Packets, k: Constants, until: int) -> None:
    """Let the packets that arrive up to `until`, inclusive, arrive. Open arrivals: nothing to do.

    Safe as long as no response can be sent before `until`: only responses bring new arrivals.
    """
    while s.pending > 0 and p.heap_time[0] <= until and p.heap_time[0] < k.end:
        row = p.heap_row[0]
        p.fill_when[s.known] = p.heap_time[0]
        p.row[s.known] = row
        p.fill_service[s.known] = p.workload_service[row]
        s.known += 1
        s.pending -= 1
        _sift_down(p, s.pending)


@jit
def answer(s: Any, p: Packets, row: int) -> None:
    """The response to packet `row` was sent: what follows it arrives after its think time."""
    for index in range(p.first_child[row], p.first_child[row + 1]):
        child = p.child[index]
        _sift_up(p, s.pending, s.now + p.think[child], child)
        s.pending += 1


@jit
def next_arrival(s: Any, p: Packets) -> int:
    """Return when the next packet arrives that the ring has not seen, as far as is known."""
    if s.head < s.known:
        return int(p.when[s.head])
    if s.pending > 0:
        return int(p.heap_time[0])
    return NEVER


@jit
def _sift_up(p: Packets, hole: int, time: int, row: int) -> None:
    """Put (time, row) into the heap of `hole` packets; equal times are ordered by row."""
    while hole > 0:
        above = (hole - 1) >> 1
        if (p.heap_time[above], p.heap_row[above]) <= (time, row):
            break
        p.heap_time[hole], p.heap_row[hole] = p.heap_time[above], p.heap_row[above]
        hole = above
    p.heap_time[hole], p.heap_row[hole] = time, row


@jit
def _sift_down(p: Packets, size: int) -> None:
    """Remove the first of `size` + 1 packets."""
    time, row = p.heap_time[size], p.heap_row[size]
    hole = 0
    while True:
        below = 2 * hole + 1
        if below >= size:
            break
        if below + 1 < size and (p.heap_time[below + 1], p.heap_row[below + 1]) < (
            p.heap_time[below],
            p.heap_row[below],
        ):
            below += 1
        if (time, row) <= (p.heap_time[below], p.heap_row[below]):
            break
        p.heap_time[hole], p.heap_row[hole] = p.heap_time[below], p.heap_row[below]
        hole = below
    p.heap_time[hole], p.heap_row[hole] = time, row
