"""A heap of packets by the time they arrive, those of equal times by row.

Each node has four below it, beside each other.
"""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline
from replay.engine.workload import Int64s

PAIR = 2  # numbers of a packet in the heap: its time, its row


@jit_inline
def _before(time: int, row: int, other_time: int, other_row: int) -> Any:
    """Whether (time, row) is before the other, without a branch."""
    return (time < other_time) | ((time == other_time) & (row < other_row))


@jit_inline
def push(memory: Int64s, heap_at: int, size: int, time: int, row: int) -> None:
    """Put (time, row) into the heap of `size` packets."""
    hole = size
    while hole > 0:
        above = (hole - 1) >> 2
        pair = heap_at + PAIR * above
        if not _before(time, row, memory[pair], memory[pair + 1]):
            break
        memory[heap_at + PAIR * hole] = memory[pair]
        memory[heap_at + PAIR * hole + 1] = memory[pair + 1]
        hole = above
    memory[heap_at + PAIR * hole] = time
    memory[heap_at + PAIR * hole + 1] = row


@jit_inline
def pop(memory: Int64s, heap_at: int, size: int) -> None:
    """Remove the first of `size` + 1 packets: the last one sinks from its place."""
    last = heap_at + PAIR * size
    time, row = memory[last], memory[last + 1]
    hole, below = 0, 1
    while below < size:
        first = heap_at + PAIR * below
        least = first
        for other in range(first + PAIR, min(first + 4 * PAIR, last), PAIR):
            if _before(memory[other], memory[other + 1], memory[least], memory[least + 1]):
                least = other
        if not _before(memory[least], memory[least + 1], time, row):
            break
        memory[heap_at + PAIR * hole] = memory[least]
        memory[heap_at + PAIR * hole + 1] = memory[least + 1]
        hole = (least - heap_at) // PAIR
        below = 4 * hole + 1
    memory[heap_at + PAIR * hole] = time
    memory[heap_at + PAIR * hole + 1] = row
