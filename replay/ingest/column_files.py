"""Columns as they are filled: in memory while they are short, in files when they are long."""

from __future__ import annotations

import errno
import os
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from replay import mapped

#: Rows that are kept in memory.
FEW = 1 << 16

Table = TypeVar("Table", bound=NamedTuple)


class ColumnFiles(Generic[Table]):
    """Takes a table (a NamedTuple of arrays) block by block, and gives it as a whole.

    One block is written while the next one is filled: who fills them needs two.
    """

    def __init__(self, empty: Table) -> None:
        """`empty` has no rows: it says of what types the columns are."""
        self.rows = 0
        self._empty = empty
        self._blocks: list[Table] = []
        self._files: dict[str, IO[bytes]] = {}
        self._writer: ThreadPoolExecutor | None = None
        self._written: Future[None] | None = None

    def append(self, block: Table) -> None:
        """Add a block; it may be filled again when the one after it was added.

        Raises TraceError: disk full.
        """
        self.rows += len(block[0])
        if self._writer is None and self.rows <= FEW:
            self._blocks.append(self._table({k: v.copy() for k, v in block._asdict().items()}))
            return
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1)
        self._wait()
        self._written = self._writer.submit(self._write, [*self._blocks, block])
        self._blocks = []

    def whole(self) -> Table:
        """Return all rows, in the order in which they came; writable. Nothing can be added then."""
        columns = self._empty._asdict()
        self._wait()
        if self._writer is not None:
            self._writer.shutdown()
        for name, column in columns.items():
            if self._files:
                with self._files[name] as file:
                    columns[name] = mapped.file_array(file, column.dtype)
            elif self._blocks:
                columns[name] = np.concatenate([getattr(it, name) for it in self._blocks])
        return self._table(columns)

    def _wait(self) -> None:
        """Wait until the block before is written."""
        try:
            if self._written is not None:
                self._written.result()
        except OSError as error:
            raise mapped.not_written(error) from None

    def _write(self, blocks: list[Table]) -> None:
        """Write blocks behind those before. Raises OSError."""
        self._files = self._files or {name: _file() for name in self._empty._fields}
        for block in blocks:
            for name, column in block._asdict().items():
                _write(self._files[name], np.ascontiguousarray(column).data.cast("B"))

    def _table(self, columns: dict[str, npt.NDArray[Any]]) -> Table:
        return self._empty._replace(**columns)


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
