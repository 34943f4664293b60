"""perf.data's records as blocks of bytes: parts of the file, or what its zstd stream holds.

perf compresses all that a buffer gave into one endless zstd stream, whose pieces are the bodies of
COMPRESSED records; records may straddle two of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

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
        unpacked = _Unpacked(self.big)
        block = Block(self.data, self.start, self.end)
        while True:
            yield block
            at = block.at
            size = int(whole_record(self.data, at, self.end))
            kind = struct.unpack_from("<I", self.data.data, at)[0] if size else 0
            if kind not in PACKED:
                break
            try:
                yield from unpacked.blocks(self.data[_body(self.data, at, kind, size)])
            except ZstdError:
                self.cut = f"byte {at}, where its zstd stream is damaged"
                return
            block.at = at + size
        if at < self.end:
            self.cut = f"byte {at}"
        elif unpacked.rest:
            self.cut = f"byte {at}, within its zstd stream"


def _body(data: Bytes, at: int, kind: int, size: int) -> slice:
    """Return where the compressed bytes of a record lie."""
    if kind == COMPRESSED:
        return slice(at + HEADER, at + size)
    # Its real length comes first, for the rest is padding.
    length = struct.unpack_from("<q", data.data, at + HEADER)[0] if size >= HEADER + 8 else 0
    start = at + HEADER + 8
    return slice(start, start + max(0, min(length, at + size - start)))


class _Unpacked:
    """One zstd stream, and the record at its end that is not whole yet."""

    def __init__(self, big: bool) -> None:
        self.big = big
        self.rest = 0  # bytes of that record, at the buffer's start
        self._buffer = np.empty(BLOCK + _LARGEST_RECORD, np.uint8)
        self._frame = ZstdDecompressor()

    def blocks(self, packed: Bytes) -> Iterator[Block]:
        """Yield the records that `packed` adds. Raises ZstdError where it is damaged."""
        data = bytes(packed)
        while data or not (self._frame.needs_input or self._frame.eof):
            if self._frame.eof:
                self._frame = ZstdDecompressor()
            got = self._frame.decompress(data, BLOCK)
            data = self._frame.unused_data if self._frame.eof else b""
            end = self.rest + len(got)
            self._buffer[self.rest : end] = np.frombuffer(got, np.uint8)
            if self.big:
                turned = int(turn_frames(self._buffer, 0, end))
            yield (block := Block(self._buffer, 0, turned if self.big else end))
            self.rest = end - block.at
            if self.rest > _LARGEST_RECORD:
                raise ZstdError
            self._buffer[: self.rest] = self._buffer[block.at : end].copy()
