"""Points as a reader finds them: in memory while they are few, in files when they are many."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import IO

import numpy as np

from replay import mapped
from replay.errors import TraceError
from replay.ingest.reconstruct_points import Points

#: Points that are kept in memory: 43 bytes each.
FEW = 1 << 18


class PointsFile:
    """Takes points block by block; `points` gives all of them."""

    def __init__(self) -> None:
        self.count = 0
        self._blocks: list[Points] = []
        self._files: dict[str, IO[bytes]] = {}

    def append(self, block: Points) -> None:
        """Add a block, of which nothing is kept but its content. Raises TraceError: disk full."""
        self.count += len(block.time)
        if not self._files and self.count <= FEW:
            copies = {name: column.copy() for name, column in block._asdict().items()}
            self._blocks.append(Points(**copies))
            return
        try:
            self._files = self._files or {name: _file() for name in Points._fields}
            for part in (*self._blocks, block):
                for name, column in part._asdict().items():
                    _write(self._files[name], np.ascontiguousarray(column).data.cast("B"))
            self._blocks.clear()
        except OSError as error:
            raise TraceError(
                f"{mapped.folder()}: cannot be written: {error.strerror}; set TMPDIR to a folder"
                " with more room"
            ) from None

    def points(self) -> Points:
        """Return all points, in the order in which they came."""
        columns = Points.empty(0)._asdict()
        for name, column in columns.items():
            if self._files:
                columns[name] = mapped.file_array(self._files[name], column.dtype)
            elif self._blocks:
                columns[name] = np.concatenate([getattr(it, name) for it in self._blocks])
        return Points(**columns)


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
