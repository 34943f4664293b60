"""perf.data's records as blocks of bytes: parts of the file, or what its zstd stream holds.

perf compresses all that a buffer gave into one endless zstd stream, whose pieces are the bodies of
COMPRESSED records; records may straddle two of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from replay.ingest.little_endian import Bytes
from replay.ingest.perf_turn import turn_frames
from replay.ingest.perf_walk import COMPRESSED, HEADER, PACKED, whole_record
from replay.ingest.zstd import ZstdDecompressor, ZstdError

#: Bytes of a block of decompressed records.
BLOCK = 1 << 20
_LARGEST_RECORD = 1 << 16


@dataclass
class Block:
    """Bytes of records; who reads them moves `at` past the whole ones, up to one that is packed."""

    data: Bytes
    at: int
    end: int


@dataclass
class Stream:
    """The records of one file, data[start:end]."""

    data: Bytes
    start: int
    end: int
    big: bool = False  # of a machine of the other byte order, its frames turned already
    cut: str | None = None  # where it ended too early

    def blocks(self) -> Iterator[Block]:
        """Yield all records, decompressed, in the order of the file."""
        unpacked = _Unpacked(self)
        block = Block(self.data, self.start, self.end)
        while True:
            yield block
            if not packed_record(self.data, block.at, self.end):
                break
            try:
                yield from unpacked.blocks(block.at)
            except ZstdError:
                self.cut = f"byte {unpacked.at}, where its zstd stream is damaged"
                return
            block.at = unpacked.at
        if block.at < self.end:
            self.cut = f"byte {block.at}"
        elif len(unpacked.rest):
            self.cut = f"byte {block.at}, within its zstd stream"


def packed_record(data: Bytes, at: int, end: int) -> int:
    """Return the size of the whole packed record at byte `at`; 0 where there is none."""
    size = int(whole_record(data, at, end))
    return size if size and struct.unpack_from("<I", data.data, at)[0] in PACKED else 0


def _body(data: Bytes, at: int, size: int) -> slice:
    """Return where the compressed bytes of a record lie."""
    if struct.unpack_from("<I", data.data, at)[0] == COMPRESSED:
        return slice(at + HEADER, at + size)
    # Its real length comes first, for the rest is padding.
    length = struct.unpack_from("<q", data.data, at + HEADER)[0] if size >= HEADER + 8 else 0
    start = at + HEADER + 8
    return slice(start, start + max(0, min(length, at + size - start)))


class _Unpacked:
    """One zstd stream: what packed records hold, and the record at its end that is not whole yet.

    A piece is unpacked while the one before it is read.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.at = 0  # the packed record that is being read, or the byte after the last one
        self.rest = np.empty(0, np.uint8)  # of the record that is not whole
        self._behind = 0  # the byte after the last one that was unpacked
        self._frame = ZstdDecompressor()

    def blocks(self, at: int) -> Iterator[Block]:
        """Yield what the packed record at byte `at` and those behind it hold.

        Raises ZstdError where one is damaged.
        """
        pieces = self._pieces(at)
        with ThreadPoolExecutor(1) as beside:
            coming = beside.submit(next, pieces, None)
            while (piece := coming.result()) is not None:
                buffer, end, self.at = piece
                if not end:
                    raise ZstdError
                begin = _LARGEST_RECORD - len(self.rest)
                buffer[begin:_LARGEST_RECORD] = self.rest
                coming = beside.submit(next, pieces, None)
                big = self.stream.big
                block = Block(buffer, begin, int(turn_frames(buffer, begin, end)) if big else end)
                yield block
                if end - block.at > _LARGEST_RECORD:
                    raise ZstdError
                self.rest = buffer[block.at : end].copy()
        self.at = self._behind

    def _pieces(self, at: int) -> Iterator[tuple[Bytes, int, int]]:
        """Yield buffers whose bytes from _LARGEST_RECORD up to an end are the next ones.

        There are two of them, filled in turn. Beside them stand the ends, and the packed record
        that they are from; where that is damaged, the end is 0.
        """
        data, end = self.stream.data, self.stream.end
        buffers = cycle([np.empty(_LARGEST_RECORD + BLOCK, np.uint8) for _ in range(2)])
        while size := packed_record(data, at, end):
            packed = bytes(data[_body(data, at, size)])
            while packed or not (self._frame.needs_input or self._frame.eof):
                if self._frame.eof:
                    self._frame = ZstdDecompressor()
                buffer = next(buffers)
                try:
                    got = self._frame.decompress(packed, BLOCK)
                except ZstdError:
                    yield buffer, 0, at
                    return
                packed = self._frame.unused_data if self._frame.eof else b""
                filled = _LARGEST_RECORD + len(got)
                buffer[_LARGEST_RECORD:filled] = np.frombuffer(got, np.uint8)
                yield buffer, filled, at
            at += size
        self._behind = at
