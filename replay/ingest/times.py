"""Capture times made fit for a trace: none missing, in order, counted from the first packet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replay.ingest.records import NO_TIME, Columns
from replay.units import SECOND

Int64s = npt.NDArray[np.int64]

#: Steps back beyond this many are not told one by one.
_MOST_STEPS = 1_000


@dataclass(frozen=True)
class Timed:
    """Packets in order of time."""

    columns: Columns  # time: ns since the first packet
    origin: int | None = None  # ns since 1970 of the first packet; None where none has a time
    untimed: int = 0  # packets whose time is that of the packet before them
    earliest: Int64s | None = None  # bounds of their times, NO_TIME for others; None without any
    latest: Int64s | None = None
    backwards: int = 0  # packets that stood behind a later one
    steps: tuple[tuple[int, int], ...] = ()  # of a second and more back: from, to

    @property
    def duration(self) -> int:
        """Nanoseconds from the first packet up to and with the last."""
        return int(self.columns.time[-1]) + 1 if len(self.columns.time) else 0


def settle_times(columns: Columns) -> Timed:
    """Return packets with times since the first, sorted; equal times stay in the file's order.

    A packet without a time takes that of the packet before it (at the start, behind it).
    """
    time = columns.time
    if not len(time):
        return Timed(columns)
    earliest = latest = None
    untimed = 0
    if time.min() == NO_TIME:
        missing = time == NO_TIME
        untimed = int(np.count_nonzero(missing))
        if untimed == len(time):
            return Timed(columns._replace(time=np.zeros_like(time)), None, untimed)
        before, behind = _filled(time, missing), _filled(time[::-1], missing[::-1])[::-1]
        earliest, latest = np.where(missing, before, NO_TIME), np.where(missing, behind, NO_TIME)
        time = np.where(before == NO_TIME, behind, before)
    origin = int(time.min())
    columns = columns._replace(time=np.subtract(time, origin, out=time))
    for bound in (earliest, latest):
        if bound is not None:
            np.subtract(bound, origin, out=bound, where=bound != NO_TIME)
    back = np.flatnonzero(time[1:] < time[:-1])
    if not len(back):
        return Timed(columns, origin, untimed, earliest, latest)
    far = back[time[back] - time[back + 1] >= SECOND][:_MOST_STEPS]
    steps = tuple(zip(time[far].tolist(), time[far + 1].tolist(), strict=True))
    order = np.argsort(time, kind="stable")
    sorted_columns = Columns(**{name: column[order] for name, column in columns._asdict().items()})
    if earliest is not None and latest is not None:
        earliest, latest = earliest[order], latest[order]
    return Timed(sorted_columns, origin, untimed, earliest, latest, len(back), steps)


def _filled(time: Int64s, missing: npt.NDArray[np.bool_]) -> Int64s:
    """Return times, those missing replaced by the last one seen; NO_TIME before the first."""
    row = np.maximum.accumulate(np.where(missing, -1, np.arange(len(time))))
    filled: Int64s = np.where(row >= 0, time[row], NO_TIME)
    return filled
