"""What a recording holds, counted before its points are read one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.engine.accelerate import jit_in_place
from replay.ingest.points_order import BLOCK, in_order
from replay.ingest.reconstruct_points import NO_DEVICE, Point, Points

Int64s = npt.NDArray[np.int64]

#: A napi_struct is shorter than this; its timer lies within.
_NAPI_STRUCT = 1024

_POLL, _SWITCH = int(Point.POLL), int(Point.SWITCH)
_WAKEUP, _WAKING = int(Point.WAKEUP), int(Point.WAKING)
_START, _FIRE = int(Point.TIMER_START), int(Point.TIMER_FIRE)


#: Blocks between two looks at memory.
_LOOK = 8


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


def survey(points: Points, devices: int, watchdog: int | None = None) -> Survey:
    """Count `points`, in any order, and seek the timers of NAPIs unless `watchdog` is given."""
    counts = np.zeros((len(Point), devices + 1), np.int64)
    per_cpu = np.zeros(1 << 16, np.int64)
    polled, timers = np.empty(BLOCK, np.int64), np.empty((BLOCK, 2), np.int64)
    napis, seen = np.zeros(0, np.int64), np.zeros((0, 2), np.int64)
    highest = 0
    for number, block in enumerate(in_order(points)):
        changes, fired, found = _survey(block, counts, per_cpu, polled, timers)
        highest = max(highest, int(found))
        napis = np.union1d(napis, polled[:changes])
        if fired:
            seen = np.unique(np.concatenate([seen, timers[:fired]]), axis=0)
        if number % _LOOK == 0:
            mapped.make_room()
    if watchdog is not None:
        seen = seen[seen[:, 1] == watchdog]
    function, offset = _find_watchdog(napis, seen)
    watchdog = function if watchdog is None else watchdog
    used = np.flatnonzero(per_cpu)
    per_cpu = per_cpu[: used[-1] + 1 if len(used) else 0]
    return Survey(counts, per_cpu, highest, napis, watchdog, offset)


@jit_in_place
def _survey(
    points: Points, counts: Int64s, per_cpu: Int64s, polled: Int64s, timers: Int64s
) -> tuple[int, int, int]:
    """Fill the arrays; returns how much of `polled` and `timers` is filled, and the highest tid.

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
