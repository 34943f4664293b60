"""Rows put aside by a first pass; in the second, with settled times, in order, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from replay.ingest.decode import Batch, Decoded
from replay.ingest.flow_state import end_turns, forget_turns
from replay.ingest.records import KINDS, LAST_OF_TURN, NO_TIME, ROWS, Columns, Int64s
from replay.ingest.sorting import sort_rows
from replay.ingest.spool import Array, Spool
from replay.ingest.times import settle

_MARKS = Columns._fields.index("marks")


class Rows(NamedTuple):
    """Packets; `columns.time` counts from the trace's start, its bounds are NO_TIME for most."""

    columns: Columns
    earliest: Int64s | None = None  # None where every packet has a time
    latest: Int64s | None = None


def put_aside(batch: Batch, late: Int64s, spool: Spool) -> None:
    """Add the rows of a batch to `spool`, of the types KINDS; `late` is what Decoded.add returned.

    Raises OSError where there is no room.
    """
    for row in late[:, 0].tolist():
        spool.set_bits(row, _MARKS, LAST_OF_TURN)
    spool.append(batch.columns)


def rows_in_order(decoded: Decoded, spool: Spool, folder: Path) -> Iterator[Rows]:
    """Yield all packets of `spool` in order of time; equal times stay in the file's order.

    The memory of one is used again for the one after the next but one. Rows that must be sorted are
    kept in `folder` meanwhile.
    """
    if not decoded.clock.backwards:
        yield from _settled(decoded, spool)
        return
    kinds = [*KINDS, np.int64, np.int64] if decoded.clock.untimed else list(KINDS)
    with Spool(folder, kinds) as runs, Spool(folder, kinds) as merged:
        forget_turns(decoded.state)
        late = np.empty((ROWS, 2), dtype=np.int64)

        def give(arrays: list[Array]) -> None:
            columns = Columns(*arrays[: len(KINDS)])
            np.bitwise_and(columns.marks, ~np.uint16(LAST_OF_TURN), out=columns.marks)
            for row, _ in late[: end_turns(columns, merged.rows, decoded.state, late)].tolist():
                merged.set_bits(row, _MARKS, LAST_OF_TURN)
            merged.append(arrays)

        sort_rows((_arrays(rows) for rows in _settled(decoded, spool)), runs, ROWS, give)
        spool.close()
        runs.close()
        for arrays in _read(merged):
            yield Rows(Columns(*arrays[: len(KINDS)]), *arrays[len(KINDS) :])


def _settled(decoded: Decoded, spool: Spool) -> Iterator[Rows]:
    """Yield packets in the file's order, with times since the first one."""
    clock, origin = decoded.clock, decoded.clock.origin
    before = NO_TIME
    for arrays, behind in zip(_read(spool), clock.behind(), strict=True):
        columns = Columns(*arrays)
        time = columns.time
        if not clock.untimed or origin is None:
            np.subtract(time, time if origin is None else origin, out=time)
            yield Rows(columns)
            continue
        settled, earliest, latest = settle(time, before, behind)
        timed = time[time != NO_TIME]
        before = int(timed[-1]) if len(timed) else before
        for bound in (earliest, latest):
            np.subtract(bound, origin, out=bound, where=bound != NO_TIME)
        np.subtract(settled, origin, out=time)
        yield Rows(columns, earliest, latest)


def _read(spool: Spool) -> Iterator[list[Array]]:
    """Yield the batches of a spool; the memory of three goes round."""
    rooms = [[np.empty(ROWS, dtype=kind) for kind in spool.kinds] for _ in range(3)]
    for number in range(len(spool)):
        yield spool.read(number, rooms[number % len(rooms)])


def _arrays(rows: Rows) -> list[Array]:
    bounds = [it for it in (rows.earliest, rows.latest) if it is not None]
    return [*rows.columns, *bounds]
