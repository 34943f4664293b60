"""Columns as they are filled: in memory while they are short, in files when they are long."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Generic, NamedTuple, TypeVar

import numpy as np

from replay import mapped

#: Rows that are kept in memory, and written together when there are more.
FEW = 1 << 16

Table = TypeVar("Table", bound=NamedTuple)


class ColumnFiles(Generic[Table]):
    """Gives room for the next rows of a table (a NamedTuple of arrays), and in the end all of it.

    Rows are written while those after them are filled.
    """

    def __init__(self, empty: Table, look: Callable[[Table], None] = lambda rows: None) -> None:
        """`empty` has no rows: it says of what types the columns are.

        look: is given all rows, in parts, one after the other, until `whole` returns.
        """
        self._look = look
        self.rows = 0
        self._empty = empty
        self._buffer, self._other = empty, empty
        self._filled = 0  # rows of the buffer
        self._files: list[IO[bytes]] = []
        self._writer: ThreadPoolExecutor | None = None
        self._written: Future[None] | None = None

    def room(self, rows: int) -> Table:
        """Return room for the next rows, up to so many; `add` takes those that were filled.

        Raises TraceError: disk full.
        """
        if self._filled + rows > len(self._buffer[0]):
            if self._filled:
                self._write_buffer()
            if rows > len(self._buffer[0]):
                columns = [np.empty(max(rows, FEW), it.dtype) for it in self._empty]
                self._buffer = self._empty._make(columns)
        return self._part(self._filled, self._filled + rows)

    def add(self, rows: int) -> None:
        """Take the first rows of the room that was given last."""
        self._filled += rows
        self.rows += rows

    def whole(self) -> Table:
        """Return all rows, in the order in which they came; writable. Nothing can be added then.

        Raises TraceError: disk full.
        """
        if self._writer is None:
            rows = self._empty._make([it.copy() for it in self._part(0, self._filled)])
            self._look(rows)
            return rows
        if self._filled:
            self._write_buffer()
        self._wait()
        self._writer.shutdown()
        columns = []
        for file, column in zip(self._files, self._empty, strict=True):
            with file:
                columns.append(mapped.file_array(file, column.dtype))
        self._buffer = self._other = self._empty
        return self._empty._make(columns)

    def _part(self, begin: int, end: int) -> Table:
        """Return rows of the buffer, sharing memory."""
        return self._empty._make([it[begin:end] for it in self._buffer])

    def _write_buffer(self) -> None:
        """Have the filled rows written, and fill the other buffer meanwhile."""
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1)
        self._wait()
        self._written = self._writer.submit(self._write, self._part(0, self._filled))
        self._buffer, self._other = self._other, self._buffer
        self._filled = 0

    def _wait(self) -> None:
        """Wait until the block before is written."""
        try:
            if self._written is not None:
                self._written.result()
        except OSError as error:
            raise mapped.not_written(error) from None

    def _write(self, rows: Table) -> None:
        """Write rows behind those before. Raises OSError."""
        self._files = self._files or [_file() for _ in self._empty]
        for file, column in zip(self._files, rows, strict=True):
            _write(file, column.data.cast("B"))
        self._look(rows)


def _file() -> IO[bytes]:
    """Return a file without a name, which goes when nobody holds it."""
    folder = mapped.folder()
    return tempfile.TemporaryFile(prefix="replay-", dir=folder, buffering=0)


def _write(file: IO[bytes], data: memoryview) -> None:
    """Write all of `data`: a full disk takes a part, and refuses the rest."""
    while data:
        written = os.write(file.fileno(), data)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data = data[written:]
