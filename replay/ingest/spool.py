"""Rows on their way from one pass to the next, in a file without a name: batches of columns."""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.trace.table_file import write_pieces

Array = npt.NDArray[Any]


class Spool:
    """Batches of rows; those of one column stand side by side.

    The file vanishes when it is closed, or with the process. Raises OSError where there is no room.
    """

    def __init__(self, folder: Path, kinds: Sequence[npt.DTypeLike]) -> None:
        self.kinds = [np.dtype(kind) for kind in kinds]
        self.folder = folder
        self.starts: list[int] = []  # the first row of each batch
        self.rows = 0
        self._places: list[int] = []
        self._size = 0
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def __len__(self) -> int:
        return len(self.starts)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the room back."""
        self._file.close()

    def append(self, columns: Sequence[Array]) -> None:
        """Add a batch: arrays of the same length, of the kinds in turn."""
        self.starts.append(self.rows)
        self.rows += len(columns[0])
        self._places.append(self._size)
        views = [column.view(np.uint8).data for column in columns]
        write_pieces(self._file.fileno(), views)
        self._size += sum(len(view) for view in views)

    def rows_of(self, number: int) -> int:
        """Return the rows of a batch."""
        behind = self.starts[number + 1] if number + 1 < len(self.starts) else self.rows
        return behind - self.starts[number]

    def read(self, number: int, room: Sequence[Array]) -> list[Array]:
        """Return the columns of a batch, in the first rows of `room`."""
        rows = self.rows_of(number)
        found = [column[:rows] for column in room]
        place = self._places[number]
        for column in found:
            self._fill(column, place)
            place += column.nbytes
        return found

    def part(self, number: int, column: int, rows: slice) -> Array:
        """Return some rows of one column of a batch."""
        kind = self.kinds[column]
        found = np.empty(rows.stop - rows.start, dtype=kind)
        self._fill(found, self._place(number, column, rows.start))
        return found

    def set_bits(self, row: int, column: int, bits: int) -> None:
        """Set bits of one number."""
        number = bisect_right(self.starts, row) - 1
        place = self._place(number, column, row - self.starts[number])
        value = np.empty(1, dtype=self.kinds[column])
        self._fill(value, place)
        os.pwrite(self._file.fileno(), (value | value.dtype.type(bits)).tobytes(), place)

    def _place(self, number: int, column: int, row: int) -> int:
        before = sum(kind.itemsize for kind in self.kinds[:column])
        wide = self.kinds[column].itemsize
        return self._places[number] + before * self.rows_of(number) + row * wide

    def _fill(self, column: Array, place: int) -> None:
        view = column.view(np.uint8).data
        while len(view):
            count = os.preadv(self._file.fileno(), [view], place)
            if not count:
                raise OSError("a temporary file was cut")
            view, place = view[count:], place + count
