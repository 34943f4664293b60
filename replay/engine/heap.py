"""A heap of rows by the time they arrive, those of equal times by row.

Each node has four below it, beside each other. Nodes follow each other downwards from `heap_at`.
The times are where followers.py has them.
"""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline
from replay.engine.followers import FOLLOWER, TIME
from replay.engine.intrinsics import at
from replay.engine.workload import Int64s


@jit_inline
def _before(time: int, row: int, other_time: int, other_row: int) -> Any:
    """Whether (time, row) is before the other, without a branch."""
    return (time < other_time) | ((time == other_time) & (row < other_row))


@jit_inline
def _time(memory: Int64s, k: Any, row: int) -> int:
    """Return when a row arrives."""
    return int(memory[at(k.follower_at + FOLLOWER * row + TIME)])


@jit_inline
def push(memory: Int64s, k: Any, size: int, time: int, row: int) -> None:
    """Put `row`, which arrives at `time`, into the heap of `size` rows."""
    hole = size
    while hole > 0:
        above = (hole - 1) >> 2
        other = memory[at(k.heap_at - above)]
        if not _before(time, row, _time(memory, k, other), other):
            break
        memory[at(k.heap_at - hole)] = other
        hole = above
    memory[at(k.heap_at - hole)] = row


@jit_inline
def pop(memory: Int64s, k: Any, size: int) -> None:
    """Remove the first of `size` + 1 rows: the last one sinks from its place."""
    row = memory[at(k.heap_at - size)]
    time = _time(memory, k, row)
    hole, below = 0, 1
    while below < size:
        least, first = below, memory[at(k.heap_at - below)]
        earliest = _time(memory, k, first)
        for other in range(below + 1, min(below + 4, size)):
            next_row = memory[at(k.heap_at - other)]
            next_time = _time(memory, k, next_row)
            if _before(next_time, next_row, earliest, first):
                least, first, earliest = other, next_row, next_time
        if not _before(earliest, first, time, row):
            break
        memory[at(k.heap_at - hole)] = first
        hole = least
        below = 4 * hole + 1
    memory[at(k.heap_at - hole)] = row
