"""What a recording holds, counted before its points are read one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place
from replay.ingest.points_order import BLOCK
from replay.ingest.reconstruct_points import NO_DEVICE, Point, Points
from replay.ingest.tracepoint_values import MOST_DEVICES

Int64s = npt.NDArray[np.int64]

#: A napi_struct is shorter than this; its timer lies within.
_NAPI_STRUCT = 1024

_POLL, _SWITCH = int(Point.POLL), int(Point.SWITCH)
_WAKEUP, _WAKING = int(Point.WAKEUP), int(Point.WAKING)
_START, _FIRE = int(Point.TIMER_START), int(Point.TIMER_FIRE)


@dataclass(frozen=True)
class Survey:
    """Counts, and the addresses that identify NAPIs and their timers."""

    counts: Int64s  # (Point, device) with one column more, for points without a device
    per_cpu: Int64s
    highest_tid: int
    napis: Int64s  # addresses, sorted
    watchdog: int | None  # address of napi_watchdog(), where its timers can be told apart
    timer_offset: int  # from a NAPI's address to its timer's

    def of(self, *kinds: Point) -> int:
        """Return how many points there are of those kinds."""
        return int(self.counts[list(kinds)].sum())

    def by_device(self, kind: Point) -> Int64s:
        """Return how many points of that kind each device has."""
        return self.counts[kind, :-1]


class Counting:
    """What a survey is made of, gathered as points are read, in any order."""

    def __init__(self) -> None:
        self._counts = np.zeros((len(Point), MOST_DEVICES + 1), np.int64)
        self._per_cpu = np.zeros(1 << 16, np.int64)
        self._polled, self._fired = np.empty(BLOCK, np.int64), np.empty((BLOCK, 2), np.int64)
        self._napis = np.zeros(0, np.int64)
        self.timers = np.zeros((0, 2), np.int64)  # rows of (address, function), each one once
        self._highest_tid = 0

    def count(self, points: Points) -> None:
        """Take more points."""
        for start in range(0, len(points.time), BLOCK):
            block = points.part(start, start + BLOCK)
            polls, fired, highest = _count(
                block, self._counts, self._per_cpu, self._polled, self._fired
            )
            self._highest_tid = max(self._highest_tid, int(highest))
            self._napis = np.union1d(self._napis, self._polled[:polls])
            if fired:
                both = np.concatenate([self.timers, self._fired[:fired]])
                self.timers = np.unique(both, axis=0)

    def survey(self, devices: int, watchdog: int | None = None) -> Survey:
        """Return what was counted; the timers of NAPIs are sought unless `watchdog` is given."""
        timers = self.timers
        if watchdog is not None:
            timers = timers[timers[:, 1] == watchdog]
        function, offset = _find_watchdog(self._napis, timers)
        used = np.flatnonzero(self._per_cpu)
        return Survey(
            counts=self._counts[:, [*range(devices), MOST_DEVICES]],
            per_cpu=self._per_cpu[: used[-1] + 1 if len(used) else 0],
            highest_tid=self._highest_tid,
            napis=self._napis,
            watchdog=function if watchdog is None else watchdog,
            timer_offset=offset,
        )


@jit_in_place
def _count(
    points: Points, counts: Int64s, per_cpu: Int64s, polled: Int64s, timers: Int64s
) -> tuple[int, int, int]:
    """Add to the counts; returns how much of `polled` and `timers` is filled, and the highest tid.

    An address is written down when it is not the one before.
    """
    changes = 0
    fired = 0
    highest = 0
    none = counts.shape[1] - 1
    for place in range(len(points.time)):
        kind = points.kind[place]
        device = points.device[place]
        counts[kind, none if device == NO_DEVICE else device] += 1
        per_cpu[points.cpu[place]] += 1
        highest = max(highest, points.tid[place])
        if kind == _POLL:
            address = points.object[place]
            if changes == 0 or polled[changes - 1] != address:
                polled[changes] = address
                changes += 1
        elif kind in (_START, _FIRE):
            address = points.object[place]
            function = points.other[place]
            if fired == 0 or timers[fired - 1, 0] != address or timers[fired - 1, 1] != function:
                timers[fired, 0] = address
                timers[fired, 1] = function
                fired += 1
        elif kind in (_SWITCH, _WAKEUP, _WAKING):
            highest = max(highest, points.value[place])
    return changes, fired, highest


def _find_watchdog(napis: Int64s, timers: Int64s) -> tuple[int | None, int]:
    """Return napi_watchdog's address and the offset of the timer in a NAPI.

    A recording holds the addresses of functions, not their names; but a NAPI's timer lies within
    its napi_struct, whose address each poll names. timers: rows of (timer, function).
    """
    if not len(napis):
        return None, 0
    best: tuple[int | None, int] = (None, 0)
    for function in np.unique(timers[:, 1]):
        mine = timers[timers[:, 1] == function, 0]
        before = np.searchsorted(napis, mine, side="right") - 1
        distance = mine - napis[np.maximum(before, 0)]
        inside = (before >= 0) & (distance > 0) & (distance < _NAPI_STRUCT)
        # The timers of NAPIs that were never polled lie in none that is known.
        if not inside.any() or np.ptp(distance[inside]):
            continue
        if best[0] is None or distance[inside][0] < best[1]:
            best = int(function), int(distance[inside][0])
    return best
