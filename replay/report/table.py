"""A result as an aligned text table under lines that say what it is of."""

from __future__ import annotations

from collections.abc import Sequence

from replay.report.align import aligned
from replay.report.cause_tables import cause_tables
from replay.report.cells import Cell, columns
from replay.report.likely_table import likely_tables
from replay.result import Result, Row


def table(result: Result, *, verbose: bool = False) -> str:
    """Return the table, its head in lines that begin with `#`. Latencies in us.

    Intervals, and causes where they were asked for, stand below, each under a `#` line of its own.
    """
    head = "".join(f"# {name:<9} {about}\n" for name, about in result.about.items())
    text = head + _lines(columns(result.rows, verbose), result.rows)
    below = [*likely_tables(result), *cause_tables(result, verbose=verbose)]
    for title, cells, rows in below:
        text += f"\n# {title}\n{_lines(cells, rows)}"
    return text


def _lines(cells: Sequence[Cell], rows: Sequence[Row]) -> str:
    lines = [[cell.head for cell in cells]]
    lines += [[cell.text(row) for cell in cells] for row in rows]
    return aligned(lines, [cell.left for cell in cells])
