"""Where a sample's parts lie: what perf_event_attr.sample_type says of the order of its fields."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.errors import TraceError
from replay.ingest.perf_header import TRACEPOINT, Attr

#: Columns of a row of layouts: bytes from the record's start, but for flags.
TIME, CPU, VARIABLE, GROUP, GROUP_TIMES, GROUP_ENTRY, CALLCHAIN, HAS_RAW = range(8)
#: Bytes from the record's end to the time and cpu of a record that is no sample; 0: has none.
TAIL_TIME, TAIL_CPU = 8, 9
TID = 10  # bytes from the record's start
COLUMNS = 11

_IP, _TID, _TIME, _ADDR, _READ, _CALLCHAIN, _ID, _CPU, _PERIOD, _STREAM_ID, _RAW = (
    1 << bit for bit in range(11)
)
_IDENTIFIER = 1 << 16
#: Fields of eight bytes each, in the order in which they lie before the variable part.
_FIXED = (_IDENTIFIER, _IP, _TID, _TIME, _ADDR, _ID, _STREAM_ID, _CPU, _PERIOD)
_TAIL = (_IDENTIFIER, _CPU, _STREAM_ID, _ID, _TIME, _TID)  # from the record's end
_HEADER = 8

_TIME_ENABLED, _TIME_RUNNING, _READ_ID, _READ_GROUP, _READ_LOST = (1 << bit for bit in range(5))


class Layouts(NamedTuple):
    """Where a sample's parts lie, by the id of its event."""

    identifiers: npt.NDArray[np.int64]  # sorted; empty where all samples follow the first row
    classes: npt.NDArray[np.int64]  # row of each
    rows: npt.NDArray[np.int64]  # (rows, COLUMNS)


def sample_layouts(path: Path, attrs: list[Attr]) -> Layouts:
    """Return where the parts of the samples of these events lie.

    Raises TraceError where samples cannot be told apart, or have neither time nor CPU.
    """
    if not attrs:
        raise TraceError(f"{path}: cut: it does not say what events it holds")
    kinds = sorted({_kind(attr) for attr in attrs})
    layouts = np.array([_layout(*kind) for kind in kinds], np.int64).reshape(-1, COLUMNS)
    for kind, row in zip(kinds, layouts, strict=True):
        if row[HAS_RAW] and (row[TIME] == 0 or row[CPU] == 0):
            raise TraceError(
                f"{path}: samples without time or CPU (type {kind[0]:#x}); record with perf -a"
            )
    nothing = np.zeros(0, np.int64)
    if len(kinds) == 1:
        return Layouts(nothing, nothing, layouts)
    if not all(attr.sample_type & _IDENTIFIER for attr in attrs):
        raise TraceError(f"{path}: its events differ in sample type and their samples carry no id")
    pairs = {
        identifier - (1 << 64 if identifier >= 1 << 63 else 0): kinds.index(_kind(attr))
        for attr in attrs
        for identifier in attr.ids
    }
    if not pairs:
        raise TraceError(f"{path}: its events differ in sample type and have no ids")
    identifiers = np.array(sorted(pairs), np.int64)
    classes = np.array([pairs[i] for i in sorted(pairs)], np.int64)
    return Layouts(identifiers, classes, layouts)


def _kind(attr: Attr) -> tuple[int, int, bool, bool]:
    """Return what decides where the parts of an event's samples lie."""
    # Other events have raw data too (AMD's IBS, BPF output), which is no tracepoint's record.
    return attr.sample_type, attr.read_format, attr.sample_id_all, attr.type == TRACEPOINT


def _layout(sample_type: int, read_format: int, id_all: bool, tracepoint: bool) -> list[int]:
    """Return one row of layouts."""
    row = [0] * COLUMNS
    place = _HEADER
    for bit in _FIXED:
        if not sample_type & bit:
            continue
        if bit == _TID:
            row[TID] = place
        if bit == _TIME:
            row[TIME] = place
        if bit == _CPU:
            row[CPU] = place
        place += 8
    if sample_type & _READ:
        times = 8 * bool(read_format & _TIME_ENABLED) + 8 * bool(read_format & _TIME_RUNNING)
        entry = 8 + 8 * bool(read_format & _READ_ID) + 8 * bool(read_format & _READ_LOST)
        if read_format & _READ_GROUP:
            row[GROUP], row[GROUP_TIMES], row[GROUP_ENTRY] = 1, times, entry
        else:
            place += times + entry
    row[VARIABLE] = place
    row[CALLCHAIN] = int(bool(sample_type & _CALLCHAIN))
    row[HAS_RAW] = int(tracepoint and bool(sample_type & _RAW))
    if id_all:
        tail = 0
        for bit in _TAIL:
            tail += 8 * bool(sample_type & bit)
            if bit == _TIME and sample_type & bit:
                row[TAIL_TIME] = tail
            if bit == _CPU and sample_type & bit:
                row[TAIL_CPU] = tail
    return row
