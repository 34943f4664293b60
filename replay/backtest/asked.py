"""What the bench's client asks and sees: Poisson requests, late where its own CPU was taken away.

The client's CPU pauses now and then: another task has its turn, the host of the virtual machine
takes it. What falls due meanwhile is sent in one burst, and answers wait to be seen. Other tasks
go where a CPU is idle, so the client pauses more often the busier the server's CPU is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.units import SECOND

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pauses:
    """How often the client's CPU pauses, by the share that the server's CPU is busy; how long."""

    busy: tuple[float, ...]  # percent, ascending
    per_s: tuple[float, ...]  # at these
    lengths: Int64s  # of all that were seen, ns, ascending

    def draw(self, busy: float, duration_ns: int, random: np.random.Generator) -> Int64s:
        """Return pauses of that long a run: beginning and length, ns; shape (pauses, 2)."""
        if not len(self.lengths):
            return np.zeros((0, 2), np.int64)
        rate = float(np.interp(busy, self.busy, self.per_s))
        count = random.poisson(rate * duration_ns / SECOND)
        starts = np.sort(random.integers(0, duration_ns, count))
        return np.stack([starts, random.choice(self.lengths, count)], axis=1)


NEVER_PAUSES = Pauses((0.0,), (0.0,), np.zeros(0, np.int64))


def pauses_of(runs: Iterable[Mapping[str, Any]]) -> Pauses:
    """Return the pauses of counted runs, those under one policy and load together; none of none."""
    by_cell: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    lengths: list[int] = []
    for run in runs:
        window_ns = run["window_end_ns"] - run["window_start_ns"]
        seen = [length for _, length in run["client"]["pauses"]]
        lengths += seen
        busy = 100.0 * (1 - run["spinner"]["idle_ns"] / window_ns)
        cell = run["policy"]["name"], run["load"]["rate"]
        by_cell[cell].append((busy, len(seen) * SECOND / window_ns))
    if not by_cell:
        return NEVER_PAUSES
    points = sorted((fmean(b for b, _ in it), fmean(r for _, r in it)) for it in by_cell.values())
    busy_, per_s = zip(*points, strict=True)
    return Pauses(busy_, per_s, np.sort(np.array(lengths, np.int64)))


def sent(intended: Int64s, pauses: Int64s, send_ns: int) -> Int64s:
    """Return when requests leave that fall due at `intended`, each after the one before."""
    ready = _after(intended, pauses)
    turn = np.arange(len(ready)) * send_ns
    found: Int64s = np.maximum.accumulate(ready - turn) + turn
    return found


def seen(answered: Int64s, pauses: Int64s) -> Int64s:
    """Return when answers are seen that come at `answered`."""
    return _after(answered, pauses)


def _after(instants: Int64s, pauses: Int64s) -> Int64s:
    """Return the instants, those within a pause moved to its end."""
    if not len(pauses):
        return instants
    ends = np.maximum.accumulate(pauses.sum(axis=1))
    first = np.append(True, pauses[1:, 0] > ends[:-1])  # pauses that overlap are one
    starts, ends = pauses[first, 0], ends[np.append(first[1:], True)]
    last = np.searchsorted(starts, instants, side="right") - 1
    found: Int64s = np.where(last >= 0, np.maximum(instants, ends[last]), instants)
    return found
