"""The bytes of a perf.data recording: a file, or the folder of perf record --threads."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from replay import mapped
from replay.errors import TraceError
from replay.ingest import perf_header, perf_pipe
from replay.ingest.little_endian import Bytes
from replay.ingest.perf_header import PerfHeader
from replay.ingest.perf_stream import Stream
from replay.ingest.perf_turn import turn_frames

_MOST_FILES = 1 << 14


@dataclass
class PerfFiles:
    """One recording, opened: its frame, and the records of each of its files."""

    header: PerfHeader
    contents: list[memoryview]  # of its files
    streams: list[Stream]

    @property
    def cut(self) -> str | None:
        """Where it ends too early."""
        found = [stream.cut for stream in self.streams if stream.cut]
        return found[0] if found else None


def open_perf(path: Path) -> PerfFiles:
    """Open a recording. Raises TraceError where it is none or damaged."""
    return open_contents(path, *(_bytes(part) for part in _parts(path)))


def open_contents(path: Path, data: Bytes, *more: Bytes) -> PerfFiles:
    """Open a recording whose files hold `data` (the one with the frame) and `more`."""
    if not len(data):
        raise TraceError(f"{path}: is empty")
    contents = [data.data, *(it.data for it in more)]
    order = perf_header.byte_order(path, data.data)
    big = order == ">"
    if perf_header.is_pipe(path, data.data, order):
        data = _turned(data, perf_header.PIPE_HEADER, len(data)) if big else data
        header = perf_pipe.read_pipe_header(path, data, order)
    else:
        header = perf_header.read_header(path, data.data, order)
        data = _turned(data, header.data_start, header.data_end) if big else data
    first = Stream(data, header.data_start, header.data_end, big)
    first.cut = f"byte {len(data)}" if header.cut else None
    others = [_turned(it, 0, len(it)) if big else it for it in more]
    streams = [first, *(Stream(it, 0, len(it), big) for it in others)]
    return PerfFiles(header, contents, streams)


def _parts(path: Path) -> list[Path]:
    """Return the files of a recording, the one with the frame first."""
    if not path.is_dir():
        return [path]
    if not (path / "data").is_file():
        raise TraceError(f"{path}: is a folder without perf's file `data`")
    others = [it for it in path.glob("data.*") if it.suffix[1:].isdecimal() and it.is_file()]
    if len(others) > _MOST_FILES:
        raise TraceError(f"{path}: holds {len(others)} files, at most {_MOST_FILES} are read")
    return [path / "data", *sorted(others, key=lambda it: int(it.suffix[1:]))]


def _bytes(path: Path) -> Bytes:
    """Map a file."""
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return np.zeros(0, np.uint8)
            content = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None
    mapped.keep_small(content)
    return np.frombuffer(content, np.uint8)


def _turned(data: Bytes, start: int, end: int) -> Bytes:
    """Return a copy whose records' frames are little-endian."""
    copy = mapped.zeros(len(data), np.uint8)
    copy[:] = data
    turn_frames(copy, start, end)
    return copy
