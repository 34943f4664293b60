"""Records of a machine of the other byte order turned round in place, so that all is read alike.

First the frames (every record's header), which needs nothing else; then, when the layouts of
samples and tracepoints are known, what they hold.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place, jit_inside
from replay.ingest.little_endian import Bytes, load8, load16, load32, load64
from replay.ingest.perf_samples import (
    CALLCHAIN,
    CPU,
    GROUP,
    GROUP_ENTRY,
    GROUP_TIMES,
    HAS_RAW,
    TAIL_CPU,
    TID,
    VARIABLE,
    Layouts,
)
from replay.ingest.perf_walk import (
    AUXTRACE,
    COMM,
    COMPRESSED2,
    HEADER,
    ID_INDEX,
    LOST,
    LOST_SAMPLES,
    SAMPLE,
    TRACING_DATA,
    UNKNOWN_SLOT,
    record_size,
    sample_row,
)

Int64s = npt.NDArray[np.int64]


@jit_inside
def turn(data: Bytes, at: int, size: int) -> None:
    """Turn round the bytes of one number."""
    for place in range(size // 2):
        other = at + size - 1 - place
        byte = data[at + place]
        data[at + place] = data[other]
        data[other] = byte


@jit_in_place
def turn_frames(data: Bytes, at: int, end: int) -> int:
    """Turn the headers of whole records before `end`; return where the last of them ends.

    With them the sizes of what follows a record, and of what is compressed in it.
    """
    while at + HEADER <= end:
        # What a record says of its size must be known before it is touched.
        size = load8(data, at + 6) << 8 | load8(data, at + 7)
        if size < HEADER or at + size > end:
            return at
        turn(data, at, 4)
        turn(data, at + 4, 2)
        turn(data, at + 6, 2)
        kind = load32(data, at)
        if kind in (AUXTRACE, COMPRESSED2) and size >= HEADER + 8:
            turn(data, at + HEADER, 8)
        elif kind == TRACING_DATA and size >= HEADER + 4:
            turn(data, at + HEADER, 4)
        whole = record_size(data, at, end)
        if whole == 0 or at + whole > end:
            return at + size
        at += whole
    return at


@jit_in_place
def turn_bodies(
    data: Bytes,
    at: int,
    end: int,
    layouts: Layouts,
    by_number: npt.NDArray[np.uint8],
    fields: Int64s,
) -> None:
    """Turn what records hold that the reader looks at; their frames are turned already.

    by_number: slot of a tracepoint's number. fields (slots, ROLES, COLUMNS): where its fields lie.
    """
    while True:
        whole = record_size(data, at, end)
        if whole == 0 or at + whole > end:
            return
        kind = load32(data, at)
        size = load16(data, at + 6)
        if kind == SAMPLE:
            _turn_sample(data, at, size, layouts, by_number, fields)
        elif kind in (LOST, LOST_SAMPLES, ID_INDEX):
            _turn_words(data, at + HEADER, at + size)
            tail = layouts.rows[0, TAIL_CPU]
            if kind != ID_INDEX and 0 < tail <= size - HEADER:
                _turn_pair(data, at + size - tail)
        elif kind == COMM and size >= 16:
            turn(data, at + 8, 4)
            turn(data, at + 12, 4)
        at += whole


@jit_inside
def _turn_words(data: Bytes, at: int, end: int) -> None:
    """Turn numbers of eight bytes."""
    while at + 8 <= end:
        turn(data, at, 8)
        at += 8


@jit_inside
def _turn_pair(data: Bytes, at: int) -> None:
    """Make two numbers of four bytes out of one of eight that has been turned."""
    turn(data, at, 8)
    turn(data, at, 4)
    turn(data, at + 4, 4)


@jit_inside
def _turn_sample(
    data: Bytes,
    at: int,
    size: int,
    layouts: Layouts,
    by_number: npt.NDArray[np.uint8],
    fields: Int64s,
) -> None:
    """Turn one sample: words up to the variable part, then that, then the tracepoint's fields."""
    if size >= HEADER + 8:
        turn(data, at + HEADER, 8)  # the id, where there is one, says how the rest is laid out
    row = sample_row(data, at, size, layouts)
    rows = layouts.rows
    place = rows[row, VARIABLE]
    if place > size or rows[row, HAS_RAW] == 0:
        return
    _turn_words(data, at + HEADER + 8, at + place)
    if rows[row, TID] != 0:
        _turn_pair(data, at + rows[row, TID])
    if rows[row, CPU] != 0:
        _turn_pair(data, at + rows[row, CPU])
    if rows[row, GROUP] != 0:
        entry, times = rows[row, GROUP_ENTRY], rows[row, GROUP_TIMES]
        place = _turn_list(data, at, place, size, times, entry)
    if rows[row, CALLCHAIN] != 0:
        place = _turn_list(data, at, place, size, 0, 8)
    if place + 4 > size:
        return
    turn(data, at + place, 4)
    begin = at + place + 4
    length = load32(data, at + place)
    if length < 8 or begin + length > at + size:
        return
    turn(data, begin, 2)
    slot = by_number[load16(data, begin)]
    if slot == UNKNOWN_SLOT:
        return
    for role in range(fields.shape[1]):
        offset, text, width = fields[slot, role, 0], fields[slot, role, 3], fields[slot, role, 4]
        if offset >= 0 and text != 1 and offset + width <= length:
            turn(data, begin + offset, width)


@jit_inside
def _turn_list(data: Bytes, at: int, place: int, size: int, more: int, each: int) -> int:
    """Turn a count and what follows it: `more` bytes, and `each` so many; return where that ends.

    That is the sample's end where the count reaches beyond it.
    """
    if place + 8 > size:
        return size
    turn(data, at + place, 8)
    count = load64(data, at + place)
    if not 0 <= count <= size:
        return size
    end = place + 8 + more + each * count
    if end > size:
        return size
    _turn_words(data, at + place + 8, at + end)
    return end
