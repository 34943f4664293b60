"""A file that Arrow writes a table to: what it gives piece by piece is written together.

Columns of a batch are pieces of a few pages each; the kernel takes them in larger folios, and in
fewer calls, where they come as one, and faster into room that was allocated before.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

#: Pieces that one call takes: no system allows fewer.
_PIECES = 512
#: Bytes of room that are allocated at once, of a file that has as many already.
_ROOM = 32 << 20


class TableFile:
    """A new file, as pyarrow writes to it; what it gives must last until `flush`."""

    closed = False

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._pieces: list[memoryview] = []
        self._size = 0
        self._room: int | None = _ROOM  # bytes allocated; None where that cannot be

    def write(self, piece: Any) -> int:
        """Take the next piece."""
        view = memoryview(piece)
        self._pieces.append(view)
        self._size += view.nbytes
        if len(self._pieces) == _PIECES:
            self.flush()
        return view.nbytes

    def tell(self) -> int:
        """Return the bytes taken."""
        return self._size

    def flush(self) -> None:
        """Write what was taken. Raises OSError where there is no room."""
        if self._room is not None and self._size > self._room:
            self._room = self._allocate(self._size + _ROOM)
        write_pieces(self._file, self._pieces)
        self._pieces = []

    def close(self) -> None:
        """Write the rest, and give back what room is left."""
        if self.closed:
            return
        self.closed = True
        try:
            self.flush()
            if self._room != _ROOM:
                os.ftruncate(self._file, self._size)
        finally:
            os.close(self._file)

    def _allocate(self, size: int) -> int | None:
        """Allocate room; not by posix_fallocate, which writes where a file system cannot."""
        try:
            allocate = ctypes.CDLL(None).fallocate64
        except AttributeError:  # no Linux
            return None
        refused = allocate(self._file, 0, ctypes.c_int64(0), ctypes.c_int64(size))
        return None if refused else size


class TableWriter:
    """Writes the batches of one table."""

    def __init__(self, file: TableFile, writer: Any) -> None:
        self._file = file
        self._writer = writer

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Write the next batch; its memory is not needed any more then."""
        self._writer.write_batch(batch)
        self._file.flush()


@contextmanager
def table_file(path: Path, schema: pa.Schema, compress: str | None) -> Iterator[TableWriter]:
    """Yield the writer of a new Arrow file at `path`; `compress` is zstd, lz4 or None.

    Raises OSError where there is no room.
    """
    file = TableFile(path)
    try:
        options = pa.ipc.IpcWriteOptions(compression=compress)
        with pa.ipc.new_file(pa.PythonFile(file, "w"), schema, options=options) as writer:
            yield TableWriter(file, writer)
    finally:
        file.close()


def write_pieces(file: int, pieces: list[memoryview]) -> None:
    """Write all of `pieces` to a descriptor: a full disk takes a part, and refuses the rest."""
    size = sum(it.nbytes for it in pieces)
    written = os.writev(file, pieces) if size else 0
    if written < size:
        rest = memoryview(b"".join(pieces))[written:]
        while len(rest):
            rest = rest[os.write(file, rest) :]
