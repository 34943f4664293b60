"""Points in order of time, block by block, whatever the order in which they were recorded.

Recorders write each CPU's buffer in turn, so that a recording is a sequence of runs that are each
in order. Runs that overlap are merged; nothing else is moved or copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.engine.accelerate import jit_in_place, jit_inline
from replay.ingest.reconstruct_points import Points

Int64s = npt.NDArray[np.int64]

#: Points of a block: all its columns lie in the processor's cache.
BLOCK = 1 << 14


#: ns: 13 days; leaves room to multiply.
LONGEST = 1 << 50


def count_from_first(points: Points, runs: Int64s) -> tuple[int, int]:
    """Count times from the earliest on, unless they span more than LONGEST.

    runs: as for `in_order`. Returns the earliest and the latest, as they were.
    """
    begins, ends = np.append(0, runs), np.append(runs, len(points.time))
    first, last = int(points.time[begins].min()), int(points.time[ends - 1].max())
    if first and last - first <= LONGEST:
        for part in mapped.steps(len(points.time)):
            points.time[part] -= first
    return first, last


def in_order(points: Points, runs: Int64s | None = None) -> Iterator[Points]:
    """Yield `points` sorted by time, equal times in the order in which they stand.

    runs: the numbers of points that are earlier than the one before; None: there are none. A
    block's memory may be used again for the next one.
    """
    if runs is None or not len(runs):
        for start in range(0, len(points.time), BLOCK):
            yield points.part(start, start + BLOCK)
        return
    begins = np.concatenate([np.zeros(1, np.int64), runs])
    ends = np.append(runs, len(points.time))
    order = np.argsort(points.time[begins], kind="stable")
    merge = _Merge(begins, ends, order, np.empty(len(begins), np.int64), np.zeros(2, np.int64))
    block = Points.empty(BLOCK)
    while True:
        filled = _fill(points, merge, block)
        if not filled:
            return
        yield block.part(0, filled)


class _Merge(NamedTuple):
    """Runs that are being merged."""

    at: Int64s  # by run: its next point
    end: Int64s
    order: Int64s  # runs by their first point's time
    heap: Int64s  # runs that have begun, the one with the earliest point first
    state: Int64s  # (2,) runs in the heap, runs of `order` that have begun


@jit_in_place
def _fill(points: Points, merge: _Merge, block: Points) -> int:
    """Fill `block` with the next points; return how many there are."""
    filled = 0
    size = merge.state[0]
    begun = merge.state[1]
    room = len(block.time)
    while filled < room:
        # Runs begin when nothing earlier is left.
        while begun < len(merge.order) and (
            size == 0 or _before(points, merge, merge.order[begun], merge.heap[0])
        ):
            merge.heap[size] = merge.order[begun]
            size += 1
            begun += 1
            _rise(points, merge, size - 1)
        if size == 0:
            break
        run = merge.heap[0]
        at = merge.at[run]
        # All up to the first point of any other run need no further look.
        until = merge.end[run]
        limit = _limit(points, merge, size, begun)
        first = True
        while at < until and filled < room and (first or points.time[at] < limit):
            first = False
            block.time[filled] = points.time[at]
            block.cpu[filled] = points.cpu[at]
            block.kind[filled] = points.kind[at]
            block.device[filled] = points.device[at]
            block.tid[filled] = points.tid[at]
            block.object[filled] = points.object[at]
            block.value[filled] = points.value[at]
            block.other[filled] = points.other[at]
            filled += 1
            at += 1
        merge.at[run] = at
        if at == until:
            size -= 1
            merge.heap[0] = merge.heap[size]
        _sink(points, merge, size)
    merge.state[0] = size
    merge.state[1] = begun
    return filled


@jit_inline
def _before(points: Points, merge: _Merge, one: int, other: int) -> bool:
    """Whether a run's next point is earlier, or stands before the other run's at the same time."""
    first, second = points.time[merge.at[one]], points.time[merge.at[other]]
    return bool(first < second or (first == second and one < other))


@jit_inline
def _limit(points: Points, merge: _Merge, size: int, begun: int) -> int:
    """Return the earliest time of all runs but the first of the heap."""
    limit = (1 << 63) - 1
    for place in (1, 2):
        if place < size:
            limit = min(limit, points.time[merge.at[merge.heap[place]]])
    if begun < len(merge.order):
        limit = min(limit, points.time[merge.at[merge.order[begun]]])
    return limit


@jit_inline
def _rise(points: Points, merge: _Merge, place: int) -> None:
    """Move a run towards the heap's top until none above it comes later."""
    heap = merge.heap
    while place > 0:
        above = (place - 1) // 2
        if not _before(points, merge, heap[place], heap[above]):
            return
        heap[place], heap[above] = heap[above], heap[place]
        place = above


@jit_inline
def _sink(points: Points, merge: _Merge, size: int) -> None:
    """Move the top of the heap down until none below it comes earlier."""
    heap = merge.heap
    place = 0
    while True:
        below = 2 * place + 1
        if below >= size:
            return
        if below + 1 < size and _before(points, merge, heap[below + 1], heap[below]):
            below += 1
        if not _before(points, merge, heap[below], heap[place]):
            return
        heap[place], heap[below] = heap[below], heap[place]
        place = below
