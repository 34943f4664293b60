"""A result as a Markdown table under its head."""

from __future__ import annotations

from replay.report.cells import columns
from replay.result import Result


def markdown(result: Result, *, verbose: bool = False) -> str:
    """Return the same cells as the text table, as Markdown. Latencies in us."""
    cells = columns(verbose)
    head = [f"- **{name}**: {_plain(about)}" for name, about in result.about.items()]
    lines = [[cell.head for cell in cells], [":--" if cell.left else "--:" for cell in cells]]
    lines += [[_plain(cell.text(row).strip()) for cell in cells] for row in result.rows]
    return "\n".join([*head, "", *(f"| {' | '.join(line)} |" for line in lines)]) + "\n"


def _plain(text: str) -> str:
    """Keep a `|` in a name from ending its cell."""
    return text.replace("|", "\\|")
