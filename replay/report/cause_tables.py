"""Why requests waited, as cells: a table of the means, one of the tail, and of percentiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from replay.report.cells import NOTHING, Cell, label, microseconds
from replay.result import CAUSE_PERCENTILES, PARTS, Numbers, Result, Row


class CauseTable(NamedTuple):
    """One table: what it says, its columns, and its rows."""

    title: str
    cells: list[Cell]
    rows: list[Row]


def cause_tables(result: Result, *, verbose: bool = False) -> list[CauseTable]:
    """Return the tables of causes; none where nobody asked. `verbose` adds each one's percentiles.

    A measured row has no causes, and no line.
    """
    rows = [row for row in result.rows if row.causes is not None]
    if not rows:
        return []
    load = Cell("load", lambda row: f"{row.load:g}")
    policy = Cell("policy", label, left=True)
    tables = [
        CauseTable(
            "Causes: the mean latency in its parts, µs",
            [
                policy,
                load,
                *_parts(lambda row: row.causes),
                Cell("mean", lambda row: microseconds(row.latency_us["mean"])),
            ],
            rows,
        ),
        CauseTable(
            "Causes of the tail: the mean over the requests from that percentile on, µs",
            [
                policy,
                load,
                Cell("from", lambda row: row.tail_begins or NOTHING),
                *_parts(lambda row: row.tail_causes),
                Cell("mean", lambda row: microseconds(_sum(row.tail_causes))),
                Cell("main cause", lambda row: row.tail_cause or NOTHING, left=True),
            ],
            rows,
        ),
    ]
    for name in CAUSE_PERCENTILES if verbose else ():
        cells = [policy, load, *(_percentile(cause, name) for cause in PARTS[1:])]
        title = f"Causes: the {name} of each by itself over all requests, µs"
        tables.append(CauseTable(title, cells, rows))
    return tables


def _parts(parts: Callable[[Row], Numbers | None]) -> list[Cell]:
    return [_part(part, parts) for part in PARTS]


def _part(part: str, parts: Callable[[Row], Numbers | None]) -> Cell:
    def text(row: Row) -> str:
        found = parts(row)
        return _time(None if found is None else found[part])

    return Cell(part, text)


def _percentile(cause: str, name: str) -> Cell:
    def text(row: Row) -> str:
        assert row.cause_percentiles is not None
        return _time(row.cause_percentiles[cause][name])

    return Cell(cause, text)


def _time(us: float | None) -> str:
    """Return a part: exactly nothing is 0, less than can be shown is 0.0."""
    return "0" if us == 0 else microseconds(us)


def _sum(parts: Numbers | None) -> float | None:
    """Return the latency that the parts make up."""
    return None if parts is None else sum(us or 0.0 for us in parts.values())
