"""The text of perf script, ftrace or trace-cmd report as a Recording, read as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.errors import TraceError
from replay.ingest import text_summary, text_walk
from replay.ingest.little_endian import Bytes
from replay.ingest.point_files import PointFiles
from replay.ingest.points_order import LONGEST
from replay.ingest.reconstruct_points import NO_TID
from replay.ingest.reconstruct_survey import Counting
from replay.ingest.recording import Loss, Recording
from replay.ingest.text_fields import (
    ANOTHER_FUNCTION,
    NAPI_WATCHDOG,
    TEXT_ROLES,
    Dialects,
    make_dialects,
)
from replay.ingest.text_line import HEADER
from replay.ingest.text_summary import Said
from replay.ingest.text_values import MARGIN, Line
from replay.ingest.text_walk import LAST_TIME, LOSS, MOST_LOSSES, Found
from replay.ingest.tracepoint_values import MOST_DEVICES, MOST_THREADS

Int64s = npt.NDArray[np.int64]

_CHUNK = 1 << 20  # bytes at a time: they stay in the cache between two looks at them
_LONGEST_LINE = 1 << 16
_NEWLINE = 0x0A
_NAMED = (NAPI_WATCHDOG, ANOTHER_FUNCTION)


class Source(Protocol):
    """What is read of a Stream."""

    name: str
    note: str | None

    def readinto(self, room: memoryview) -> int:
        """Fill `room` as far as one read does; return the bytes, 0 at the end."""


def read_text(stream: Source) -> Recording:
    """Read text to its end, a few megabytes at a time; what is kept of a line is its point.

    Raises TraceError where no line is of a tracepoint that is known, or the times are of no one
    recording.
    """
    dialects = make_dialects()
    line = Line(
        np.zeros(HEADER, np.int64),
        np.zeros(TEXT_ROLES, np.int64),
        np.zeros(TEXT_ROLES, np.int64),
    )
    found = empty_found()
    said = Said()
    whole = PointFiles()
    runs, last = [np.zeros(0, np.int64)], 0
    for buffer, start, ends in _chunks(stream):
        points = whole.room(len(ends))
        before = found.counts.copy()
        rows = int(text_walk.walk(buffer, start, ends, dialects, line, points, found))
        said.collect(buffer, start, before, found)
        runs.append(whole.rows + _runs(points.time[:rows], last))
        whole.add(rows)
        last = int(found.counts[LAST_TIME])
        mapped.make_room()
    if not whole.rows:
        raise TraceError(
            f"{stream.name}: {text_summary.nothing_known(said, found, dialects.names)}"
        )
    return _recording(whole, np.concatenate(runs), found, said, dialects, stream)


def empty_found() -> Found:
    """Return room for what a text holds beside its points."""
    return Found(
        counts=np.zeros(text_walk.COUNTS, np.int64),
        shown=np.zeros((2, text_walk.SHOWN, 2), np.int64),
        devices=np.zeros((MOST_DEVICES, 2), np.int64),
        threads=np.zeros((MOST_THREADS, 3), np.int64),
        names=np.zeros(2, np.int64),
        named=np.zeros(NO_TID + 1, np.uint8),
        losses=np.zeros((MOST_LOSSES, 3), np.int64),
    )


def _chunks(stream: Source) -> Iterator[tuple[Bytes, int, Int64s]]:
    """Yield buffers with where their first line begins and where their lines end.

    The next one is read meanwhile; the beginning of a line that it goes on with is put before it. A
    line that is longer than that takes is cut in two.
    """
    buffers = [np.zeros(_LONGEST_LINE + _CHUNK + MARGIN, np.uint8) for _ in range(2)]
    start = _LONGEST_LINE
    with ThreadPoolExecutor(1) as beside:
        coming = beside.submit(_read, stream, buffers[0])
        while True:
            this, other = buffers
            size, ends = coming.result()
            if size:
                coming = beside.submit(_read, stream, other)
            stop = _LONGEST_LINE + size
            rest = int(ends[-1]) + 1 if len(ends) else start
            if stop - rest > (_LONGEST_LINE if size else 0):
                ends, rest = np.append(ends, stop), stop
            yield this, start, ends
            if not size:
                return
            start = _LONGEST_LINE - (stop - rest)
            other[start:_LONGEST_LINE] = this[rest:stop]
            buffers.reverse()


def _read(stream: Source, buffer: Bytes) -> tuple[int, Int64s]:
    """Fill a buffer; returns how many bytes there are, 0 at the end, and where lines end."""
    room = buffer.data[_LONGEST_LINE : _LONGEST_LINE + _CHUNK]
    filled = 0
    while filled < _CHUNK:
        size = stream.readinto(room[filled:])
        if not size:
            break
        filled += size
    ends = np.flatnonzero(buffer[_LONGEST_LINE : _LONGEST_LINE + filled] == _NEWLINE)
    return filled, ends + _LONGEST_LINE


def _runs(times: Int64s, last: int) -> Int64s:
    """Return the numbers of points that are earlier than the one before, the first's `last`."""
    return np.flatnonzero(times < np.concatenate([[last], times[:-1]]))


def _recording(
    whole: PointFiles, runs: Int64s, found: Found, said: Said, dialects: Dialects, stream: Source
) -> Recording:
    """Count times from the first point on, and give names to numbers."""
    points, origin, latest = whole.whole(runs)
    if latest - origin > LONGEST:
        raise TraceError(f"{stream.name}: times {origin} to {latest} ns are not of one recording")
    losses = [
        Loss(max(int(time) - origin, 0), int(cpu), int(records))
        for time, cpu, records in found.losses[: found.counts[LOSS]]
    ]
    if said.overwritten:
        losses.insert(0, Loss(0, -1, said.overwritten))
    clock, facts = text_summary.facts(said, found, origin)
    threads = {
        int(tid): (first.tobytes() + second.tobytes()).split(b"\0")[0].decode("utf-8", "replace")
        for tid, first, second in found.threads[: found.names[1]]
    }
    return Recording(
        points=points,
        counted=whole.counted,
        runs=runs,
        origin=origin,
        devices=[
            device.tobytes().split(b"\0")[0].decode("utf-8", "replace")
            for device in found.devices[: found.names[0]]
        ],
        threads=threads,
        clock=clock,
        losses=losses,
        cut=stream.note,
        watchdog=NAPI_WATCHDOG if _names_functions(whole.counted) else None,
        facts=facts,
        left_out=text_summary.left_out(said, found, dialects.names),
    )


def _names_functions(counted: Counting) -> bool:
    """Whether timers' functions stand in the text by name."""
    return bool(np.isin(counted.timers[:, 1], _NAMED).any())
