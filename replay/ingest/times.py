"""Capture times made fit for a trace: none missing, in order, counted from the first packet."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place, jit_inline
from replay.engine.intrinsics import at
from replay.ingest.records import NO_TIME
from replay.units import SECOND

Int64s = npt.NDArray[np.int64]

#: Steps back beyond this many are not told one by one.
_MOST_STEPS = 1_000

#: What `_look` keeps.
_LATEST, _LOW, _HIGH, _BACKWARDS, _UNTIMED, _STEPS, _FACTS = 0, 1, 2, 3, 4, 5, 6


@dataclass
class Clock:
    """What was seen of the packets' times, batch by batch, in the file's order."""

    packets: int = 0
    firsts: list[int] = field(default_factory=list)  # first time in each batch, or NO_TIME
    _facts: Int64s = field(
        default_factory=lambda: np.array([NO_TIME, NO_TIME, NO_TIME, 0, 0, 0], dtype=np.int64)
    )
    _steps: Int64s = field(default_factory=lambda: np.empty((_MOST_STEPS, 2), dtype=np.int64))

    def look(self, time: Int64s) -> None:
        """Take note of the next batch."""
        self.packets += len(time)
        self.firsts.append(int(_look(time, self._facts, self._steps)))

    @property
    def origin(self) -> int | None:
        """Nanoseconds since 1970 of the earliest packet; None where none has a time."""
        return None if self._facts[_LOW] == NO_TIME else int(self._facts[_LOW])

    @property
    def duration(self) -> int:
        """Nanoseconds from the first packet up to and with the last."""
        return int(self._facts[_HIGH] - self._facts[_LOW]) + 1 if self.packets else 0

    @property
    def untimed(self) -> int:
        """Packets without a time."""
        return int(self._facts[_UNTIMED])

    @property
    def backwards(self) -> int:
        """Packets that stood behind a later one."""
        return int(self._facts[_BACKWARDS])

    @property
    def steps(self) -> list[tuple[int, int]]:
        """Steps of a second and more back: from, to, in nanoseconds since the origin."""
        steps = self._steps[: self._facts[_STEPS]] - (self.origin or 0)
        return [(int(before), int(after)) for before, after in steps]

    def behind(self) -> list[int]:
        """Return the first time in the batches behind each one, or NO_TIME."""
        found, later = [], NO_TIME
        for first in reversed(self.firsts):
            found.append(later)
            later = later if first == NO_TIME else first
        return found[::-1]


@jit_in_place
def _look(time: Int64s, facts: Int64s, steps: Int64s) -> int:
    """Bring `facts` and `steps` up to date; return the first time, or NO_TIME."""
    first = NO_TIME
    latest, low, high = facts[_LATEST], facts[_LOW], facts[_HIGH]
    backwards = untimed = 0
    if _in_order(time, latest):  # as nearly always
        first, last = time[0], time[-1]
        facts[_LATEST], facts[_HIGH] = last, max(high, last)
        if latest == NO_TIME:
            facts[_LOW] = first
        return int(first)
    for row in range(len(time)):
        now = time[row]
        if now == NO_TIME:
            untimed += 1
            continue
        if latest == NO_TIME:
            low = high = now
        elif now < latest:
            backwards += 1
            if latest - now >= SECOND and facts[_STEPS] < len(steps):
                steps[facts[_STEPS], 0], steps[facts[_STEPS], 1] = latest, now
                facts[_STEPS] += 1
        if first == NO_TIME:
            first = now
        latest, low, high = now, min(low, now), max(high, now)
    facts[_LATEST], facts[_LOW], facts[_HIGH] = latest, low, high
    facts[_BACKWARDS] += backwards
    facts[_UNTIMED] += untimed
    return first


@jit_inline
def _in_order(time: Int64s, latest: int) -> bool:
    """Return whether there are times, all known, and each is at or behind the one before it."""
    if not len(time) or time[0] < latest or time[0] == NO_TIME:
        return False
    falls = 0
    for row in range(1, len(time)):
        falls += time[at(row)] < time[at(row - 1)]
    return falls == 0


def settle(time: Int64s, before: int, behind: int) -> tuple[Int64s, Int64s, Int64s]:
    """Return the times of one batch, none missing, and bounds of those that were, else NO_TIME.

    A packet without a time takes that of the packet before it (at the start, behind it). `before`
    and `behind` are the times next to the batch, or NO_TIME.
    """
    missing = time == NO_TIME
    earlier = _filled(time, missing, before)
    later = _filled(time[::-1], missing[::-1], behind)[::-1]
    settled = np.where(earlier == NO_TIME, later, earlier)
    return settled, np.where(missing, earlier, NO_TIME), np.where(missing, later, NO_TIME)


def _filled(time: Int64s, missing: npt.NDArray[np.bool_], before: int) -> Int64s:
    """Return times, those missing replaced by the last one seen, at first by `before`."""
    row = np.maximum.accumulate(np.where(missing, -1, np.arange(len(time))))
    filled: Int64s = np.where(row >= 0, time[row], before)
    return filled
