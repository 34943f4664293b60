"""A result as an aligned text table under lines that say what it is of."""

from __future__ import annotations

from collections.abc import Sequence

from replay.report.align import aligned
from replay.report.cause_tables import cause_tables
from replay.report.cells import Cell, columns
from replay.result import Result, Row


def table(result: Result, *, verbose: bool = False) -> str:
    """Return the table, its head in lines that begin with `#`. Latencies in us.

    Where causes were asked for, their tables stand below, each under a `#` line of its own.
    """
    head = "".join(f"# {name:<9} {about}\n" for name, about in result.about.items())
    text = head + _lines(columns(result.rows, verbose), result.rows)
    for title, cells, rows in cause_tables(result, verbose=verbose):
        text += f"\n# {title}\n{_lines(cells, rows)}"
    return text


def _lines(cells: Sequence[Cell], rows: Sequence[Row]) -> str:
    lines = [[cell.head for cell in cells]]
    lines += [[cell.text(row) for cell in cells] for row in rows]
    return aligned(lines, [cell.left for cell in cells])
