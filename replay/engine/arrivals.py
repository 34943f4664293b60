"""Closed arrivals: when packets arrive that follow responses, as far as that is known."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.followers import FOLLOWER, LINKS, NEXT, ROW, TIME, put
from replay.engine.heap import pop, push
from replay.engine.intrinsics import at, prefetch
from replay.engine.packets import packets
from replay.units import NEVER


@jit_inside
def materialise(s: Any, k: Any, until: int) -> None:
    """Let the packets that arrive up to `until`, inclusive, arrive. Open arrivals: nothing to do.

    Safe as long as no response can be sent before `until`: only responses bring new arrivals.
    """
    while s.upcoming <= until:
        arrive(s, k)


@jit_inline
def arrive(s: Any, k: Any) -> None:
    """Let the next packet arrive."""
    m = packets(k).memory
    time = s.upcoming
    row = next_row(s, k)
    m[at(k.when_at + s.known)] = time
    m[at(k.row_at + s.known)] = row
    follower = k.follower_at + FOLLOWER * row
    m[at(k.service_at + s.known)] = m[at(follower)]
    s.known += 1
    _expect(k, m, follower)


@jit_inline
def next_row(s: Any, k: Any) -> int:
    """Return the row of the packet that arrives at `upcoming`, and look for the next."""
    m = packets(k).memory
    if s.pending == 0:  # all who wait follow nobody, or were answered when nobody did
        _look_ahead(s, k)
    row = m[at(k.heap_at)]
    s.pending -= 1
    if s.pending > 0:
        pop(m, k, s.pending)
    else:
        _look_ahead(s, k)
    s.upcoming = NEVER
    if s.pending > 0:
        s.upcoming = m[at(k.follower_at + FOLLOWER * m[at(k.heap_at)] + TIME)]
    return int(row)


@jit_inline
def _look_ahead(s: Any, k: Any) -> None:
    """Empty buckets into the heap until it holds a packet or no bucket does."""
    m = packets(k).memory
    while s.pending == 0 and s.waiting > 0:
        row = m[at(k.bucket_at + s.emptied)] - 1
        s.emptied += 1
        while row >= 0:
            follower = k.follower_at + FOLLOWER * row
            push(m, k, s.pending, m[at(follower + TIME)], row)
            s.pending += 1
            s.waiting -= 1
            row = (m[at(follower + LINKS)] >> NEXT) - 1


@jit_inline
def _expect(k: Any, m: Any, follower: int) -> None:
    """Ask for who follows: needed when this is answered, and anywhere in memory."""
    prefetch(m, k.follower_at + FOLLOWER * (m[at(follower + LINKS)] & ROW) + TIME)


@jit_inside
def answer(s: Any, k: Any, row: int, now: int) -> None:
    """The response to packet `row` was sent: what follows it arrives after its think time."""
    m = packets(k).memory
    child = m[at(k.follower_at + FOLLOWER * row + LINKS)] & ROW
    while child > 0:
        follower = k.follower_at + FOLLOWER * child
        sibling = m[at(follower + LINKS)] >> NEXT
        time = now + m[at(follower + TIME)]
        if k.scheduled_at >= 0:
            time = max(time, m[at(k.scheduled_at + child)])
        if time < k.end:
            m[at(follower + TIME)] = time
            _expect(k, m, follower)
            s.upcoming = min(s.upcoming, time)
            bucket = time >> k.bucket_shift
            if bucket < s.emptied:
                push(m, k, s.pending, time, child)
                s.pending += 1
            else:
                s.waiting += 1
                put(m, follower, child, k.bucket_at + bucket)
        child = sibling


@jit_inside
def next_arrival(s: Any, k: Any, head: int) -> int:
    """Return when packet `head` arrives, as far as that is known."""
    p = packets(k)
    return int(p.when[head] if head < s.known else s.upcoming)
