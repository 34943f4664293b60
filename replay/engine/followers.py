"""Closed arrivals: who follows whom, and buckets of the packets whose time is known.

A bucket holds, in no order, those that arrive in one stretch of time. The next one is emptied into
the heap when that is empty (see arrivals.py), so the heap is small and most packets cost it little.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from replay.engine.accelerate import jit_in_place, jit_inline
from replay.engine.intrinsics import at, int64s_at
from replay.engine.workload import Int64s, Workload
from replay.units import NEVER

#: Numbers of a row: its service, its think time or, once that is known, when it arrives, and links:
#: the first row that follows this one; above, the next of its parent, or of its bucket + 1.
FOLLOWER = 3
TIME, LINKS = 1, 2
NEXT = 32  # bits
ROW = (1 << NEXT) - 1  # 0: none, as row 0 follows nobody


def bucket_shift(rows: int, end: int) -> int:
    """Return the bits of a time, in ns, that say where in its bucket it is."""
    return (end // max(rows, 1)).bit_length()


def buckets(rows: int, end: int) -> int:
    """Return how many buckets there are: at most one a row, and one."""
    return (end >> bucket_shift(rows, end)) + 1


def plan(workload: Workload, memory: Int64s, k: Any) -> tuple[int, int]:
    """Write who follows whom, and into buckets who follows nobody.

    Returns when the first of these arrives, and how many of them do.
    `k` says where: `follower_at`, `bucket_at`, `bucket_shift`, and `end`.
    """
    assert workload.parent is not None
    assert workload.think_ns is not None
    columns = (workload.parent, workload.think_ns, workload.service_ns, workload.arrival_ns)
    arrays = [np.ascontiguousarray(column, np.int64) for column in columns]
    where = (k.follower_at, k.bucket_at, k.bucket_shift, k.end)
    addresses = [array.ctypes.data for array in (memory, *arrays)]
    sizes = (len(memory), len(workload.parent))
    first, waiting = _plan(*sizes, *addresses, *(int(number) for number in where))
    return int(first), int(waiting)


@jit_in_place
def _plan(
    size: int,
    rows: int,
    memory_address: int,
    parent_address: int,
    think_address: int,
    service_address: int,
    arrival_address: int,
    follower_at: int,
    bucket_at: int,
    shift: int,
    end: int,
) -> tuple[int, int]:
    """The same, given the arrays by their addresses."""
    memory, parent = int64s_at(memory_address, size), int64s_at(parent_address, rows)
    think, service = int64s_at(think_address, rows), int64s_at(service_address, rows)
    arrival = int64s_at(arrival_address, rows)
    first, waiting = NEVER, 0
    for row in range(rows):
        follower = follower_at + FOLLOWER * row
        memory[follower] = service[row]
        if parent[row] >= 0:
            memory[follower + TIME] = think[row]
            links = follower_at + FOLLOWER * parent[row] + LINKS
            siblings = memory[links]
            memory[follower + LINKS] = (siblings & ROW) << NEXT
            memory[links] = siblings - (siblings & ROW) + row
        elif arrival[row] < end:
            memory[follower + TIME] = arrival[row]
            put(memory, follower, row, bucket_at + (arrival[row] >> shift))
            first = min(first, arrival[row])
            waiting += 1
    return first, waiting


@jit_inline
def put(memory: Int64s, follower: int, row: int, bucket: int) -> None:
    """Put a row into a bucket."""
    links = at(follower + LINKS)
    memory[links] = (memory[at(bucket)] << NEXT) | (memory[links] & ROW)
    memory[at(bucket)] = row + 1
