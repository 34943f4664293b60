"""Closed arrivals: when packets arrive that follow responses, as far as that is known."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.followers import FOLLOWER, LINKS, NEXT, ROW, put
from replay.engine.heap import pop, push
from replay.engine.packets import packets
from replay.units import NEVER


@jit_inside
def materialise(s: Any, k: Any, until: int) -> None:
    """Let the packets that arrive up to `until`, inclusive, arrive. Open arrivals: nothing to do.

    Safe as long as no response can be sent before `until`: only responses bring new arrivals.
    """
    m = packets(k).memory
    while s.upcoming <= until:
        time = s.upcoming
        row = next_row(s, k)
        m[k.when_at + s.known] = time
        m[k.row_at + s.known] = row
        m[k.service_at + s.known] = m[k.follower_at + FOLLOWER * row]
        s.known += 1


@jit_inside
def next_row(s: Any, k: Any) -> int:
    """Return the row of the packet that arrives at `upcoming`, and look for the next."""
    m = packets(k).memory
    if s.pending == 0:  # only before the first packet
        _look_ahead(s, k)
    row = m[k.heap_at + 1]
    s.pending -= 1
    if s.pending > 0:
        pop(m, k.heap_at, s.pending)
    else:
        _look_ahead(s, k)
    s.upcoming = m[k.heap_at] if s.pending > 0 else NEVER
    return int(row)


@jit_inline
def _look_ahead(s: Any, k: Any) -> None:
    """Empty buckets into the heap until it holds a packet or there are no more."""
    m = packets(k).memory
    while s.pending == 0 and s.emptied < k.buckets:
        row = m[k.bucket_at + s.emptied] - 1
        s.emptied += 1
        while row >= 0:
            follower = k.follower_at + FOLLOWER * row
            push(m, k.heap_at, s.pending, m[follower + 1], row)
            s.pending += 1
            row = (m[follower + LINKS] >> NEXT) - 1


@jit_inside
def answer(s: Any, k: Any, row: int) -> None:
    """The response to packet `row` was sent: what follows it arrives after its think time."""
    m = packets(k).memory
    child = m[k.follower_at + FOLLOWER * row + LINKS] & ROW
    while child > 0:
        follower = k.follower_at + FOLLOWER * child
        sibling = m[follower + LINKS] >> NEXT
        time = s.now + m[follower + 1]
        if time < k.end:
            bucket = time >> k.bucket_shift
            if bucket < s.emptied:
                push(m, k.heap_at, s.pending, time, child)
                s.pending += 1
                s.upcoming = min(s.upcoming, time)
            else:
                m[follower + 1] = time
                put(m, follower, child, k.bucket_at + bucket)
        child = sibling


@jit_inside
def next_arrival(s: Any, k: Any) -> int:
    """Return when the next packet arrives that the ring has not seen, as far as is known."""
    p = packets(k)
    return int(p.when[s.head] if s.head < s.known else s.upcoming)
