"""The walk over a text's lines: each is a point, or is counted as what else it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place, jit_inline, jit_inside
from replay.ingest.little_endian import Bytes, load8
from replay.ingest.reconstruct_points import NO_CPU, NO_TID, NULL, Points
from replay.ingest.text_fields import CPU, LOST, NO_PLUGIN, Dialects
from replay.ingest.text_line import (
    AFTER,
    COMM_BEGIN,
    COMM_END,
    DECIMALS,
    HEADER_CPU,
    NO_NAME,
    TID,
    TIME,
    braced_name,
    plain_name,
    read_braced_header,
    read_header,
)
from replay.ingest.text_names import NO_SLOT, find_name
from replay.ingest.text_other import LOST_EVENTS, OTHER, STACK_LINE, without_time
from replay.ingest.text_point import write_point
from replay.ingest.text_values import (
    Line,
    own_fields,
    read_anywhere,
    read_in_order,
    read_number,
    read_plugin,
    two_words,
)
from replay.ingest.tracepoint_values import MOST_THREADS
from replay.ingest.tracepoints import COMM, PID, VALUE

Int64s = npt.NDArray[np.int64]

#: What a line is. UNPARSED and INCOMPLETE, an event that lacks what it needs, are shown to people.
UNPARSED, INCOMPLETE, POINT, OTHER_EVENT, FUNCTION_CALL, STACK, COMMENT, LOSS = range(8)
#: Numbers beside the counts by status: points without a CPU or thread, the most decimals of a
#: point's time, the last point's time.
CPU_MISSING, TID_MISSING, MOST_DECIMALS, LAST_TIME = range(8, 12)
COUNTS = 12
SHOWN = 3  # of each status that is shown
MOST_LOSSES = 1 << 12

_BLANK, _HASH, _COLON, _BRACKET, _RETURN = 0x20, 0x23, 0x3A, 0x5B, 0x0D
_BY_HEADER, _BY_SCHEDULER = 1, 2


class Found(NamedTuple):
    """What a text holds beside its points; all zero at first."""

    counts: Int64s  # (COUNTS,)
    shown: Int64s  # (2, SHOWN, 2) place and length of the first lines UNPARSED and INCOMPLETE
    devices: Int64s  # (MOST_DEVICES, 2) names
    threads: Int64s  # (MOST_THREADS, 3) thread, name; a later one replaces an earlier
    names: Int64s  # (2,) how many devices and threads
    named: npt.NDArray[np.uint8]  # (NO_TID + 1,) 1: by a header, 2: by the scheduler
    losses: Int64s  # (MOST_LOSSES, 3) time, CPU, records


@jit_in_place
def walk(
    data: Bytes,
    start: int,
    ends: Int64s,
    dialects: Dialects,
    line: Line,
    points: Points,
    found: Found,
) -> int:
    """Read the lines that begin at `start` and end before each of `ends`; times are absolute.

    data must go on for MARGIN bytes after the last, points have room for all lines. Returns the
    number of points.
    """
    rows = 0
    for end in ends:
        stop = end
        while stop > start and load8(data, stop - 1) in (_RETURN, _BLANK):
            stop -= 1
        status = _read(data, start, stop, dialects, line, points, rows, found)
        if status == POINT:
            rows += 1
        elif status <= INCOMPLETE and found.counts[status] < SHOWN:
            found.shown[status, found.counts[status], 0] = start
            found.shown[status, found.counts[status], 1] = stop - start
        found.counts[status] += 1
        start = end + 1
    return rows


@jit_inline
def _read(
    data: Bytes,
    start: int,
    end: int,
    dialects: Dialects,
    line: Line,
    points: Points,
    row: int,
    found: Found,
) -> int:
    """Read one line; returns its status."""
    if start == end or load8(data, start) == _HASH:
        return COMMENT
    braced = load8(data, start) == _BRACKET and read_braced_header(data, start, end, line.header)
    timed = braced or read_header(data, start, end, line.header)
    if not timed:
        return _without_time(data, start, end, found)
    if braced:
        name, after = braced_name(data, line.header[AFTER], end)
    else:
        name, after = plain_name(data, line.header[AFTER], end)
    if after < 0:
        return FUNCTION_CALL
    if name == after:
        return UNPARSED
    at = after
    while at < end and (load8(data, at) == _BLANK or load8(data, at) == _COLON):
        at += 1
    place = find_name(dialects.names, data, name, after)
    slot = dialects.names.slot[place]
    if slot == NO_SLOT:
        dialects.names.lines[place] += 1
        return OTHER_EVENT
    line.value[:] = NULL
    if braced:
        fields = own_fields(data, at, end)
        context = fields if fields > at else end
        read_anywhere(data, at, context, dialects.keys, dialects.context, line)
        line.header[HEADER_CPU] = NO_CPU if line.value[CPU] == NULL else line.value[CPU]
        line.header[TID] = NO_TID if line.value[PID] == NULL else line.value[PID]
        roles = read_anywhere(data, fields, end, dialects.keys, dialects.braced[slot], line)
    else:
        keys, base = dialects.plain[slot], dialects.base[slot]
        roles = read_in_order(data, at, end, dialects.keys, keys[0], keys[1], base, line)
    needed = dialects.needed[slot]
    if roles & needed != needed and dialects.plugin[slot] != NO_PLUGIN:
        roles = read_plugin(data, at, end, dialects.plugin[slot], line)
    if roles & needed != needed:
        return INCOMPLETE
    found.counts[LAST_TIME] = line.header[TIME]
    if dialects.kind[slot] == LOST:
        _add_loss(found, line.header[TIME], line.header[HEADER_CPU], line.value[VALUE])
        return LOSS
    if not write_point(data, dialects.kind[slot], line, points, row, found.devices, found.names):
        return INCOMPLETE
    dialects.names.lines[place] += 1
    _note(data, line, found)
    return POINT


@jit_inline
def _note(data: Bytes, line: Line, found: Found) -> None:
    """Note what a point's line says beside the point."""
    header = line.header
    found.counts[CPU_MISSING] += header[HEADER_CPU] == NO_CPU
    found.counts[TID_MISSING] += header[TID] == NO_TID
    found.counts[MOST_DECIMALS] = max(found.counts[MOST_DECIMALS], header[DECIMALS])
    if header[COMM_BEGIN] != NO_NAME and found.named[header[TID]] == 0:
        _name_thread(data, header[TID], header[COMM_BEGIN], header[COMM_END], found, _BY_HEADER)
    if line.value[COMM] != NULL:
        tid = line.value[VALUE]
        if tid > 0 and found.named[tid] != _BY_SCHEDULER:
            _name_thread(data, tid, line.value[COMM], line.end[COMM], found, _BY_SCHEDULER)


@jit_inside
def _name_thread(data: Bytes, tid: int, begin: int, end: int, found: Found, by: int) -> None:
    threads = found.names[1]
    if begin < end and threads < MOST_THREADS:
        found.threads[threads, 0] = tid
        found.threads[threads, 1], found.threads[threads, 2] = two_words(data, begin, end)
        found.named[tid] = by
        found.names[1] = threads + 1


@jit_inside
def _without_time(data: Bytes, start: int, end: int, found: Found) -> int:
    """Return the status of a line that has no time: no event of the kernel."""
    what = without_time(data, start, end)
    if what == LOST_EVENTS:
        at = start + len("CPU:")
        cpu, at = read_number(data, at, end, 10)
        while at < end and not 0x30 <= load8(data, at) <= 0x39:
            at += 1
        records, _ = read_number(data, at, end, 10)
        _add_loss(found, found.counts[LAST_TIME], cpu, records)
        return LOSS
    if what == STACK_LINE:
        return STACK
    return COMMENT if what == OTHER else UNPARSED


@jit_inside
def _add_loss(found: Found, time: int, cpu: int, records: int) -> None:
    """Note that records were lost before `time`; NULL: nobody says how many."""
    place = min(found.counts[LOSS], MOST_LOSSES - 1)
    kept = found.losses[place, 2] if found.counts[LOSS] >= MOST_LOSSES else 0
    found.losses[place, 0] = time
    found.losses[place, 1] = max(cpu, -1)
    found.losses[place, 2] = kept + min(max(records, 0), 1 << 40)
