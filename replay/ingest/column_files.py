"""Columns as they are filled: in memory while they are short, in files when they are long."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import IO, Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.errors import TraceError

#: Rows that are kept in memory.
FEW = 1 << 18

Table = TypeVar("Table", bound=NamedTuple)


class ColumnFiles(Generic[Table]):
    """Takes a table (a NamedTuple of arrays) block by block, and gives it as a whole."""

    def __init__(self, empty: Table) -> None:
        """`empty` has no rows: it says of what types the columns are."""
        self.rows = 0
        self._empty = empty
        self._blocks: list[Table] = []
        self._files: dict[str, IO[bytes]] = {}

    def append(self, block: Table) -> None:
        """Add a block, of which nothing is kept but its content. Raises TraceError: disk full."""
        self.rows += len(block[0])
        if not self._files and self.rows <= FEW:
            self._blocks.append(self._table({k: v.copy() for k, v in block._asdict().items()}))
            return
        try:
            self._files = self._files or {name: _file() for name in self._empty._fields}
            for part in (*self._blocks, block):
                for name, column in part._asdict().items():
                    _write(self._files[name], np.ascontiguousarray(column).data.cast("B"))
            self._blocks.clear()
        except OSError as error:
            raise TraceError(
                f"{mapped.folder()}: cannot be written: {error.strerror}; set TMPDIR to a folder"
                " with more room"
            ) from None

    def whole(self) -> Table:
        """Return all rows, in the order in which they came; writable. Nothing can be added then."""
        columns = self._empty._asdict()
        for name, column in columns.items():
            if self._files:
                with self._files[name] as file:
                    columns[name] = mapped.file_array(file, column.dtype)
            elif self._blocks:
                columns[name] = np.concatenate([getattr(it, name) for it in self._blocks])
        return self._table(columns)

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
