"""Rows in order of time, however many: sorted runs, merged a stretch of time after the other.

Runs of recordings overlap little, and one pass merges them. In the worst order, passes are as many
as the logarithm of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.ingest.spool import Array, Spool

#: Every so many rows of a run its time is kept in memory, to find rows by.
_STRIDE = 512
#: A stretch ends at every so many of these times: it has about as many rows as a run.
_STRETCH = 64


#: More runs than this that overlap in time are merged in groups of so many first: the cost of a
#: stretch grows with them, and of rows in random order all overlap.
_TOGETHER = 64


class _Runs:
    """Sorted runs of rows in a spool; none stands behind a later one's rows of the same time."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.firsts: list[int] = []
        self.signposts: list[Array] = []  # a run's times at every _STRIDE-th row, and at its last

    def append(self, ordered: Sequence[Array]) -> None:
        """Add a run."""
        self.spool.append(ordered)
        time = ordered[0]
        self.firsts.append(int(time[0]))
        self.signposts.append(time[_posts(len(time))])

    def overlapping(self) -> int:
        """Return how many runs overlap at most; of equal times, those of earlier runs are first."""
        numbers = np.arange(len(self.firsts))
        time = np.array([*self.firsts, *(int(posts[-1]) for posts in self.signposts)])
        change = np.repeat([1, -1], len(numbers))
        order = np.lexsort((-change, np.tile(numbers, 2), time))
        return int(np.cumsum(change[order]).max(initial=0))


def sort_rows(
    batches: Iterable[Sequence[Array]], spool: Spool, most: int, give: Callable[[list[Array]], None]
) -> None:
    """Give all rows in order of time, the first column; equal times stay as they were.

    `spool` is empty and of the same columns; at most `most` rows are given at once.
    """
    runs = _Runs(spool)
    for columns in batches:
        order = np.argsort(columns[0], kind="stable")
        runs.append([column[order] for column in columns])
    groups = [range(run, run + 1) for run in range(len(spool))]  # runs that follow each other
    with ExitStack() as opened:
        while runs.overlapping() > _TOGETHER:
            merged = _Runs(opened.enter_context(Spool(spool.folder, spool.kinds)))
            before, groups = groups, []
            for start in range(0, len(before), _TOGETHER):
                some = before[start : start + _TOGETHER]
                first = len(merged.spool)
                _merge(runs, range(some[0].start, some[-1].stop), most, merged.append)
                groups.append(range(first, len(merged.spool)))
            runs.spool.close()
            runs = merged
        _merge(runs, range(len(runs.spool)), most, give)


def _merge(runs: _Runs, which: range, most: int, give: Callable[[list[Array]], None]) -> None:
    """Give the rows of some runs in order of time."""
    spool, signposts, firsts = runs.spool, runs.signposts, runs.firsts
    waiting = sorted(which, key=lambda run: (firsts[run], run), reverse=True)
    active: dict[int, int] = {}  # run: rows of it that were given
    for time, last_run, last_row in _ends(runs, which):
        while waiting and (firsts[waiting[-1]], waiting[-1]) <= (time, last_run):
            active[waiting.pop()] = 0
        parts = []
        for run in sorted(active):
            if run == last_run:
                end = last_row + 1
            else:
                side: Literal["left", "right"] = "right" if run < last_run else "left"
                end = _count(spool, signposts[run], run, time, side)
            rows = slice(active[run], end)
            if rows.stop > rows.start:
                parts.append([spool.part(run, i, rows) for i in range(len(spool.kinds))])
            active[run] = end
            if end == spool.rows_of(run):
                del active[run]
        joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
        order = np.argsort(joined[0], kind="stable")
        for start in range(0, len(order), most):
            give([column[order[start : start + most]] for column in joined])


def order_of(times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the places of `times` in order of time; equal ones stay as they were.

    Raises TraceError where temporary files have no room.
    """
    order = mapped.column(len(times))
    if len(times) <= mapped.STEP:
        order[:] = np.argsort(times, kind="stable")
        return order
    kinds = (np.int64, np.int64)
    filled = 0

    def give(columns: list[Array]) -> None:
        nonlocal filled
        order[filled : filled + len(columns[1])] = columns[1]
        filled += len(columns[1])

    rows = mapped.steps(len(times))
    pairs = ((times[part], np.arange(part.start, part.stop)) for part in rows)
    try:
        with Spool(Path(mapped.folder()), kinds) as runs:
            sort_rows(pairs, runs, mapped.STEP, give)
    except OSError as error:
        raise mapped.not_written(error) from None
    return order


def _ends(runs: _Runs, which: range) -> list[tuple[int, int, int]]:
    """Return where stretches end, in order: a time, and the run and row that has it."""
    if not which:
        return []
    signposts = [runs.signposts[run] for run in which]
    time = np.concatenate(signposts)
    run = np.repeat(np.array(which), [len(it) for it in signposts])
    row = np.concatenate([_posts(runs.spool.rows_of(number)) for number in which])
    order = np.lexsort((row, run, time))
    chosen = np.append(order[_STRETCH - 1 : -1 : _STRETCH], order[-1])
    return list(zip(time[chosen].tolist(), run[chosen].tolist(), row[chosen].tolist(), strict=True))


def _posts(rows: int) -> npt.NDArray[np.int64]:
    """Return the rows of a run whose times are signposts."""
    return np.minimum(np.arange(_STRIDE, rows + _STRIDE, _STRIDE), rows) - 1


def _count(
    runs: Spool, signposts: Array, run: int, time: int, side: Literal["left", "right"]
) -> int:
    """Return the rows of a run before `time`; where `side` is right, with those at it."""
    post = int(np.searchsorted(signposts, time, side))
    if post == len(signposts):
        return runs.rows_of(run)
    start = post * _STRIDE
    near = runs.part(run, 0, slice(start, min(start + _STRIDE, runs.rows_of(run))))
    return start + int(np.searchsorted(near, time, side))
