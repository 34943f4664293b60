"""The walk over a perf.data file's records: what they are, and where its samples lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place
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
)

Int64s = npt.NDArray[np.int64]

#: Record types: include/uapi/linux/perf_event.h, and from 64 on perf's own.
LOST, COMM, SAMPLE, LOST_SAMPLES = 2, 3, 9, 13
AUXTRACE, COMPRESSED, COMPRESSED2 = 71, 81, 83
TYPES = 128  # types counted apart; greater ones are counted together as the last
_HEADER = 8
_NO_CPU = (1 << 31) - 1  # greater than any

#: Of no tracepoint that is known.
UNKNOWN_SLOT = 255


class Walked(NamedTuple):
    """How many records of each type there are, and where the walk ended."""

    counts: Int64s  # (TYPES,)
    end: int  # byte after the last whole record
    whole: bool  # the walk came to the end of the data, not to a damaged record


class Index(NamedTuple):
    """One entry a sample of a known tracepoint, in the order of the file."""

    time: Int64s  # ns of the recording's clock
    raw: Int64s  # byte at which the tracepoint's record begins
    cpu: npt.NDArray[np.int32]
    slot: npt.NDArray[np.uint8]

    @classmethod
    def empty(cls, samples: int) -> Index:
        """Return room for `samples` samples; the system gives memory to what is written only."""
        return cls(
            np.empty(samples, np.int64),
            np.empty(samples, np.int64),
            np.empty(samples, np.int32),
            np.empty(samples, np.uint8),
        )

    def first(self, samples: int) -> Index:
        """Return the first `samples` samples, sharing memory."""
        return Index(**{name: column[:samples] for name, column in self._asdict().items()})


def walk(data: Bytes, start: int, end: int) -> Walked:
    """Count the records of data[start:end] by type."""
    counts = np.zeros(TYPES, np.int64)
    last = int(_count(data, start, end, counts))
    return Walked(counts, last, last == end)


@jit_in_place
def _count(data: Bytes, start: int, end: int, counts: Int64s) -> int:
    """Return the byte at which the last whole record ends."""
    at = start
    while True:
        size = record_size(data, at, end)
        if size == 0:
            return at
        counts[min(load32(data, at), TYPES - 1)] += 1
        at += size


@jit_in_place
def record_size(data: Bytes, at: int, end: int) -> int:
    """Return the size of the record at byte `at`; 0 where there is no whole one before `end`."""
    if at + _HEADER > end:
        return 0
    size = load16(data, at + 6)
    if size < _HEADER or at + size > end:
        return 0
    if load32(data, at) == AUXTRACE and size >= 16:
        # The trace itself follows the record and is not counted in its size.
        more = load64(data, at + 8)
        return size + more if 0 <= more <= end - at - size else 0
    return size


@jit_in_place
def index_samples(
    data: Bytes,
    start: int,
    end: int,
    identifiers: Int64s,
    classes: Int64s,
    layouts: Int64s,
    slots: npt.NDArray[np.uint8],
    needed: Int64s,
    index: Index,
    counts: Int64s,
    unknown: Int64s,
    others: Int64s,
) -> tuple[int, int, int, int]:
    """Find the samples of known tracepoints.

    identifiers (sorted) and classes: which row of `layouts` an id's samples follow; empty where
    all follow the first. slots: by tracepoint number. needed: bytes that a slot's fields take.
    `index` is filled; `counts` takes the records by type, `unknown` other tracepoints by number,
    `others` the places of records that are no samples but of use (LOST, LOST_SAMPLES, COMM).
    Returns (samples found, other records found, byte after the last whole record, byte of a
    damaged sample or -1).
    """
    found = 0
    found_others = 0
    at = start
    row = 0
    last_id = -1
    while True:
        whole = record_size(data, at, end)
        if whole == 0:
            return found, found_others, at, -1
        kind = load32(data, at)
        counts[min(kind, TYPES - 1)] += 1
        if kind == SAMPLE:
            size = load16(data, at + 6)
            if len(identifiers) > 0 and size >= 16:
                this = load64(data, at + 8)
                if this != last_id:
                    row = classes[_place(identifiers, this)]
                    last_id = this
            begin = _raw_begin(data, at, size, layouts, row)
            if begin < 0:
                return found, found_others, at, at
            if begin > 0:
                number = load16(data, begin)
                slot = slots[number]
                if slot == UNKNOWN_SLOT:
                    unknown[number] += 1
                elif load32(data, begin - 4) < needed[slot]:
                    return found, found_others, at, at
                else:
                    index.time[found] = load64(data, at + layouts[row, TIME])
                    index.cpu[found] = min(load32(data, at + layouts[row, CPU]), _NO_CPU)
                    index.raw[found] = begin
                    index.slot[found] = slot
                    found += 1
        elif kind in (LOST, LOST_SAMPLES, COMM) and whole >= 16:
            others[found_others] = at
            found_others += 1
        at += whole


@jit_in_place
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


@jit_in_place
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
    return load64(data, at + size - tail) if 0 < tail <= size - _HEADER else 0


@jit_in_place
def record_cpu(data: Bytes, at: int, layouts: Int64s, row: int) -> int:
    """Return the CPU in the tail of a record that is no sample; -1 where it has none."""
    tail = layouts[row, TAIL_CPU]
    size = load16(data, at + 6)
    return load32(data, at + size - tail) if 0 < tail <= size - _HEADER else -1
