"""Rows in order of time, however many: sorted runs, merged a stretch of time after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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


def sort_rows(
    batches: Iterable[Sequence[Array]], runs: Spool, most: int, give: Callable[[list[Array]], None]
) -> None:
    """Give all rows in order of time, the first column; equal times stay as they were.

    `runs` is an empty spool of the same columns; at most `most` rows are given at once.
    """
    signposts: list[Array] = []  # a run's times at every _STRIDE-th row, and at its last
    for columns in batches:
        order = np.argsort(columns[0], kind="stable")
        ordered = [column[order] for column in columns]
        runs.append(ordered)
        signposts.append(ordered[0][_posts(len(order))])
    firsts = [int(runs.part(run, 0, slice(0, 1))[0]) for run in range(len(runs))]
    waiting = sorted(range(len(runs)), key=firsts.__getitem__, reverse=True)
    active: dict[int, int] = {}  # run: rows of it that were given
    for time, last_run, last_row in _ends(signposts, runs):
        while waiting and firsts[waiting[-1]] <= time:
            active[waiting.pop()] = 0
        parts = []
        for run in sorted(active):
            if run == last_run:
                end = last_row + 1
            else:
                end = _count(runs, signposts[run], run, time, "right" if run < last_run else "left")
            rows = slice(active[run], end)
            if rows.stop > rows.start:
                parts.append([runs.part(run, i, rows) for i in range(len(runs.kinds))])
            active[run] = end
            if end == runs.rows_of(run):
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


def _ends(signposts: list[Array], runs: Spool) -> list[tuple[int, int, int]]:
    """Return where stretches end, in order: a time, and the run and row that has it."""
    time = np.concatenate(signposts)
    run = np.repeat(np.arange(len(runs)), [len(it) for it in signposts])
    row = np.concatenate([_posts(runs.rows_of(number)) for number in range(len(runs))])
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
