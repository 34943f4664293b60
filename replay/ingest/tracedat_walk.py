"""The walk over ring buffer pages as the kernel keeps them: times added up, records decoded.

Layout: include/linux/ring_buffer.h and kernel/trace/ring_buffer.c.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place
from replay.ingest.little_endian import Bytes, load16, load32, load64
from replay.ingest.perf_walk import UNKNOWN_SLOT, Tally
from replay.ingest.reconstruct_points import Points
from replay.ingest.tracepoint_decode import BAD_SAMPLE, GOOD, LATEST, Names, decode
from replay.ingest.tracepoints import Slots

Int64s = npt.NDArray[np.int64]

#: A record's type_len, where it is no length.
_LARGE, _PADDING, _TIME_EXTEND, _TIME_STAMP = 0, 29, 30, 31
_TIME_SHIFT = 27
_STAMP_BITS = 59  # of an absolute time: rb_fix_abs_ts() takes the others from the page's
_SIZE = (1 << 30) - 1  # of commit: bytes of records; the two bits above are RB_MISSED_*
_MISSED, _MISSED_STORED = 1 << 31, 1 << 30

#: What is counted: records of any kind, pages that end in damage, losses written down.
EVENTS, DAMAGED, LOSSES = range(3)
LEAST_RECORD = 8  # bytes


@jit_in_place
def read_pages(
    data: Bytes,
    at: int,
    end: int,
    page_size: int,
    long_size: int,
    cpu: int,
    slots: Slots,
    names: Names,
    tally: Tally,
    points: Points,
    done: int,
    runs: Int64s,
    losses: Int64s,
    counts: Int64s,
) -> tuple[int, int]:
    """Decode the records of one CPU's pages, which begin at `at`, all that are whole before `end`.

    done: points before these. `runs` takes the numbers of points that are earlier than the one
    before, `losses` (room, 3) time, CPU and records (0: nobody counted); both, and `points`, must
    have room. Returns (points, runs).
    """
    found = 0
    found_runs = 0
    while at + page_size <= end:
        time = load64(data, at)
        commit = load64(data, at + 8) if long_size == 8 else load32(data, at + 8)
        begin = at + 8 + long_size
        stop = min(begin + (commit & _SIZE), at + page_size)
        if commit & _MISSED:
            stored = commit & _MISSED_STORED and stop + long_size <= at + page_size
            place = counts[LOSSES]
            losses[place, 0] = min(max(time, 0), LATEST)
            losses[place, 1] = cpu
            losses[place, 2] = load32(data, stop) if stored else 0
            counts[LOSSES] += 1
        at += page_size
        high = time >> _STAMP_BITS << _STAMP_BITS
        here = begin
        while here + 4 <= stop:
            word = load32(data, here)
            kind = word & 31
            delta = word >> 5
            if kind == _PADDING and delta == 0:
                break  # nothing but padding up to the page's end
            if not 0 <= time <= LATEST:
                counts[DAMAGED] += 1
                break
            body = here + 4
            if kind in (_TIME_EXTEND, _TIME_STAMP, _PADDING, _LARGE):
                if here + 8 > stop:
                    counts[DAMAGED] += 1
                    break
                more = load32(data, here + 4)
                if kind == _TIME_EXTEND:
                    time += (more << _TIME_SHIFT) + delta
                    here += 8
                    continue
                if kind == _TIME_STAMP:
                    time = high | (more << _TIME_SHIFT) + delta
                    here += 8
                    continue
                if kind == _PADDING:  # a record that was thrown away
                    time += delta
                    here += 4 + max(more, 4)
                    continue
                length = more - 4
                body = here + 8
            else:
                length = 4 * kind
            if length < 0 or body + length > stop:
                counts[DAMAGED] += 1
                break
            time += delta
            here = body + (length + 3 & ~3)
            counts[EVENTS] += 1
            if length < 2:
                continue
            number = load16(data, body)
            slot = slots.by_number[number]
            if slot == UNKNOWN_SLOT:
                tally.unknown[number] += 1
                continue
            problem = BAD_SAMPLE
            if length >= slots.needed[slot]:
                problem = decode(
                    data,
                    body,
                    length,
                    slots.kind[slot],
                    slots.fields[slot],
                    time,
                    cpu,
                    names,
                    points,
                    found,
                )
            if problem != GOOD:
                tally.problems[problem] += 1
                continue
            tally.slots[slot] += 1
            if time < tally.state[0]:
                runs[found_runs] = done + found
                found_runs += 1
            tally.state[0] = time
            found += 1
    return found, found_runs
