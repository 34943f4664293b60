"""A result as a Markdown table under its head."""

from __future__ import annotations

from collections.abc import Sequence

from replay.report.cause_tables import cause_tables
from replay.report.cells import Cell, columns
from replay.report.likely_table import likely_tables
from replay.result import Result, Row


def markdown(result: Result, *, verbose: bool = False) -> str:
    """Return the same cells as the text table, as Markdown. Latencies in us."""
    lines = [f"- **{name}**: {_plain(about)}" for name, about in result.about.items()]
    lines += ["", *_lines(columns(result.rows, verbose), result.rows)]
    below = [*likely_tables(result), *cause_tables(result, verbose=verbose)]
    for title, cells, rows in below:
        lines += ["", f"**{title}**", "", *_lines(cells, rows)]
    return "\n".join(lines) + "\n"


def _lines(cells: Sequence[Cell], rows: Sequence[Row]) -> list[str]:
    lines = [[cell.head for cell in cells], [":--" if cell.left else "--:" for cell in cells]]
    lines += [[_plain(cell.text(row).strip()) for cell in cells] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _plain(text: str) -> str:
    """Keep a `|` in a name from ending its cell."""
    return text.replace("|", "\\|")
