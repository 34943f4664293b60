"""The frame of perf.data that was written to a pipe: records say what a file's header would."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from replay.errors import TraceError
from replay.ingest.little_endian import Bytes
from replay.ingest.perf_header import (
    ATTR_SIZE,
    PIPE_HEADER,
    PerfHeader,
    read_attr,
)
from replay.ingest.perf_header import (
    TRACING_DATA as TRACING_FEATURE,
)
from replay.ingest.perf_walk import (
    HEADER,
    HEADER_ATTR,
    HEADER_FEATURE,
    TRACING_DATA,
    TYPES,
    find_records,
)

_MOST_ATTRS = 4096
_PLACES = 1 << 12


def read_pipe_header(path: Path, data: Bytes, order: str) -> PerfHeader:
    """Gather attributes, formats and features from the records; their frames are little-endian.

    Raises TraceError where attributes are damaged or too many.
    """
    view = data.data
    wanted = np.zeros(TYPES, np.uint8)
    wanted[[HEADER_ATTR, HEADER_FEATURE, TRACING_DATA]] = 1
    places = np.empty(_PLACES, np.int64)
    header = PerfHeader([], PIPE_HEADER, len(data), order=order)
    at, found = PIPE_HEADER, _PLACES
    while found == _PLACES:
        found, at = find_records(data, at, len(data), wanted, places)
        for place in places[:found].tolist():
            kind, size = struct.unpack_from("<I2xH", view, place)
            _take(path, view, place, kind, size, header)
    return header


def _take(path: Path, view: memoryview, at: int, kind: int, size: int, header: PerfHeader) -> None:
    """Add what one record says."""
    body = view[at + HEADER : at + size]
    order = header.order
    if kind == HEADER_ATTR:
        length = struct.unpack_from(order + "I", body, 4)[0] if len(body) >= ATTR_SIZE else 0
        length = length or ATTR_SIZE  # the first perfs left it out
        if not ATTR_SIZE <= length <= len(body) or len(header.attrs) == _MOST_ATTRS:
            raise TraceError(f"{path}: the event's attributes at byte {at} are damaged")
        header.attrs.append(read_attr(body[:length], body[length:], order))
    elif kind == TRACING_DATA and len(body) >= 4:
        # What follows the record is not counted in its size.
        length = int.from_bytes(body[:4], "little")
        header.features[TRACING_FEATURE] = view[at + size : at + size + length]
    elif kind == HEADER_FEATURE and len(body) >= 8:
        feature = struct.unpack_from(order + "Q", body)[0]
        if feature < 256:
            header.features[feature] = body[8:]
