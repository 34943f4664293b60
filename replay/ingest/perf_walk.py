"""The walk over perf.data's records: what they are, and what its samples of tracepoints say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place, jit_inline
from replay.ingest.little_endian import Bytes, load16, load32, load64
from replay.ingest.perf_samples import (
    CALLCHAIN,
    CPU,
    GROUP,
    GROUP_ENTRY,
    GROUP_TIMES,
    HAS_RAW,
    TAIL_CPU,
    TAIL_TIME,
    TIME,
    VARIABLE,
    Layouts,
)
from replay.ingest.reconstruct_points import Points
from replay.ingest.tracepoint_decode import BAD_SAMPLE, GOOD, PROBLEM_KINDS, Names, decode
from replay.ingest.tracepoints import Slots

Int64s = npt.NDArray[np.int64]

#: Record types: include/uapi/linux/perf_event.h, and from 64 on perf's own.
LOST, COMM, SAMPLE, LOST_SAMPLES = 2, 3, 9, 13
HEADER_ATTR, TRACING_DATA, ID_INDEX, AUXTRACE, HEADER_FEATURE = 64, 66, 69, 71, 80
COMPRESSED, COMPRESSED2 = PACKED = 81, 83
TYPES = 128  # types counted apart; greater ones are counted together as the last
HEADER = 8
_NO_CPU = (1 << 31) - 1  # greater than any
_MOST_BETWEEN = 1 << 62

#: Of no tracepoint that is known.
UNKNOWN_SLOT = 255


class Tally(NamedTuple):
    """What is counted on the way."""

    records: Int64s  # (TYPES,)
    unknown: Int64s  # (65536,) samples of other tracepoints, by number
    slots: Int64s  # (256,) samples of known ones
    problems: Int64s  # (PROBLEM_KINDS,) samples left out because they are damaged
    first_problem: Int64s  # (1,) where the first of them begins, within its block
    state: Int64s  # (3,) time of the last sample, its id, its row of layouts

    @classmethod
    def empty(cls) -> Tally:
        """Return zeros."""
        return cls(
            np.zeros(TYPES, np.int64),
            np.zeros(1 << 16, np.int64),
            np.zeros(256, np.int64),
            np.zeros(PROBLEM_KINDS, np.int64),
            np.full(1, -1, np.int64),
            np.array([-1, -1, 0], np.int64),
        )


@jit_inline
def record_size(data: Bytes, at: int, end: int) -> int:
    """Return how far it is from the record at byte `at` to the next one.

    0 where no whole record header lies before `end`, or its size cannot be. The record or what
    follows it may end beyond `end`.
    """
    if at + HEADER > end:
        return 0
    size = load16(data, at + 6)
    if size < HEADER:
        return 0
    kind = load32(data, at)
    # What follows these is not counted in their size.
    if kind == TRACING_DATA and size >= 12:
        return size + (load32(data, at + 8) + 7 & ~7) if at + 12 <= end else 0
    if kind == AUXTRACE and size >= 16:
        more = load64(data, at + 8) if at + 16 <= end else -1
        return size + more if 0 <= more <= _MOST_BETWEEN else 0
    return size


@jit_in_place
def whole_record(data: Bytes, at: int, end: int) -> int:
    """Return the size of the record at byte `at` and what follows it; 0: no whole one is there."""
    size = record_size(data, at, end)
    return size if at + size <= end else 0


@jit_in_place
def find_records(
    data: Bytes, at: int, end: int, wanted: npt.NDArray[np.uint8], places: Int64s
) -> tuple[int, int]:
    """Fill `places` with where records of the wanted types (TYPES,) begin.

    Returns (how many, byte after the last record looked at): that is before the end where
    `places` is full, or where no whole record follows.
    """
    found = 0
    while found < len(places):
        size = record_size(data, at, end)
        if size == 0 or at + size > end:
            break
        if wanted[min(load32(data, at), TYPES - 1)]:
            places[found] = at
            found += 1
        at += size
    return found, at


@jit_in_place
def read_samples(
    data: Bytes,
    at: int,
    end: int,
    layouts: Layouts,
    slots: Slots,
    names: Names,
    tally: Tally,
    points: Points,
    done: int,
    runs: Int64s,
    others: Int64s,
) -> tuple[int, int, int, int]:
    """Decode samples of known tracepoints into `points`, in the order of the data.

    done: points before these. `runs` takes the numbers of points that are earlier than the one
    before; `others` the places of records that are no samples but of use (LOST, LOST_SAMPLES,
    COMM, ID_INDEX). Returns (byte after the last record taken, points, runs, others): that is
    before the end where one of the arrays is full, or where a compressed or no whole record
    follows.
    """
    found = 0
    found_runs = 0
    found_others = 0
    last = tally.state[0]
    last_id = tally.state[1]
    row = tally.state[2]
    room = min(len(points.time), len(runs))
    while found < room and found_others < len(others):
        whole = record_size(data, at, end)
        if whole == 0 or at + whole > end:
            break
        kind = load32(data, at)
        if kind in (COMPRESSED, COMPRESSED2):
            break
        tally.records[min(kind, TYPES - 1)] += 1
        if kind == SAMPLE:
            size = load16(data, at + 6)
            if len(layouts.identifiers) > 0 and size >= 16:
                this = load64(data, at + 8)
                if this != last_id:
                    row = layouts.classes[_place(layouts.identifiers, this)]
                    last_id = this
            begin = _raw_begin(data, at, size, layouts.rows, row)
            problem = GOOD
            if begin < 0:
                problem = BAD_SAMPLE
            elif begin > 0:
                number = load16(data, begin)
                slot = slots.by_number[number]
                length = load32(data, begin - 4)
                if slot == UNKNOWN_SLOT:
                    tally.unknown[number] += 1
                elif length < slots.needed[slot]:
                    problem = BAD_SAMPLE
                else:
                    time = load64(data, at + layouts.rows[row, TIME])
                    cpu = min(load32(data, at + layouts.rows[row, CPU]), _NO_CPU)
                    problem = decode(
                        data,
                        begin,
                        length,
                        slots.kind[slot],
                        slots.fields[slot],
                        time,
                        cpu,
                        names,
                        points,
                        found,
                    )
                    if problem == GOOD:
                        tally.slots[slot] += 1
                        if time < last:
                            runs[found_runs] = done + found
                            found_runs += 1
                        last = time
                        found += 1
            if problem != GOOD:
                tally.problems[problem] += 1
                if tally.first_problem[0] < 0:
                    tally.first_problem[0] = at
        elif kind in (LOST, LOST_SAMPLES, COMM, ID_INDEX) and whole >= 16:
            others[found_others] = at
            found_others += 1
        at += whole
    tally.state[0] = last
    tally.state[1] = last_id
    tally.state[2] = row
    return at, found, found_runs, found_others


@jit_inline
def sample_row(data: Bytes, at: int, size: int, layouts: Layouts) -> int:
    """Return the row of layouts that the sample at byte `at` follows."""
    if len(layouts.identifiers) == 0 or size < HEADER + 8:
        return 0
    row: int = layouts.classes[_place(layouts.identifiers, load64(data, at + HEADER))]
    return row


@jit_inline
def _place(identifiers: Int64s, wanted: int) -> int:
    """Return the place of an id, or the first place if it is unknown."""
    low = 0
    high = len(identifiers)
    while low < high:
        middle = (low + high) // 2
        if identifiers[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < len(identifiers) and identifiers[low] == wanted else 0


@jit_inline
def _raw_begin(data: Bytes, at: int, size: int, layouts: Int64s, row: int) -> int:
    """Return where the tracepoint's record begins; 0: it has none, -1: the sample is damaged."""
    place: int = layouts[row, VARIABLE]
    if layouts[row, HAS_RAW] == 0:
        return 0
    if layouts[row, GROUP] != 0:
        if place + 8 > size:
            return -1
        members = load64(data, at + place)
        if members < 0 or members > size:
            return -1
        place += 8 + layouts[row, GROUP_TIMES] + members * layouts[row, GROUP_ENTRY]
    if layouts[row, CALLCHAIN] != 0:
        if place + 8 > size:
            return -1
        calls = load64(data, at + place)
        if calls < 0 or calls > size:
            return -1
        place += 8 + 8 * calls
    if place + 4 > size:
        return -1
    length = load32(data, at + place)
    if length < 8 or place + 4 + length > size:
        return -1
    return at + place + 4


@jit_in_place
def record_time(data: Bytes, at: int, layouts: Int64s, row: int) -> int:
    """Return the time in the tail of a record that is no sample; 0 where it has none."""
    tail = layouts[row, TAIL_TIME]
    size = load16(data, at + 6)
    return load64(data, at + size - tail) if 0 < tail <= size - HEADER else 0


@jit_in_place
def record_cpu(data: Bytes, at: int, layouts: Int64s, row: int) -> int:
    """Return the CPU in the tail of a record that is no sample; -1 where it has none."""
    tail = layouts[row, TAIL_CPU]
    size = load16(data, at + 6)
    return load32(data, at + size - tail) if 0 < tail <= size - HEADER else -1
