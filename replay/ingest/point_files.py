"""Points as a reader finds them, block by block, and as a whole counted from the earliest one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay.ingest.column_files import ColumnFiles
from replay.ingest.points_order import count_from_first
from replay.ingest.reconstruct_points import Points
from replay.ingest.reconstruct_survey import Counting

Int64s = npt.NDArray[np.int64]


class PointFiles:
    """Takes points with times of the recorder's clock, as ColumnFiles takes rows."""

    def __init__(self) -> None:
        self.counted = Counting()
        self._files = ColumnFiles(Points.empty(0), self.counted.count)
        self._room = Points.empty(0)
        self._base = 0  # the first point's time: most recordings begin with the earliest one

    @property
    def rows(self) -> int:
        """How many points there are."""
        return self._files.rows

    def room(self, points: int) -> Points:
        """Return room for the next points, up to so many. Raises TraceError: disk full."""
        self._room = self._files.room(points)
        return self._room

    def add(self, points: int) -> None:
        """Take the first points of the room that was given last."""
        time = self._room.time[:points]
        if points and not self._files.rows:
            self._base = int(time[0])
        np.subtract(time, self._base, out=time)
        self._files.add(points)

    def whole(self, runs: Int64s) -> tuple[Points, int, int]:
        """Return all points, and the earliest and the latest time on the recorder's clock.

        runs: as for `in_order`. Points' times count from the earliest on, unless they span more
        than LONGEST.
        """
        points = self._files.whole()
        first, last = count_from_first(points, runs)
        return points, self._base + first, self._base + last
