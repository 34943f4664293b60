"""A result as an aligned text table under lines that say what it is of."""

from __future__ import annotations

from replay.report.align import aligned
from replay.report.cells import columns
from replay.result import Result


def table(result: Result, *, verbose: bool = False) -> str:
    """Return the table, its head in lines that begin with `#`. Latencies in us."""
    cells = columns(verbose)
    head = "".join(f"# {name:<9} {about}\n" for name, about in result.about.items())
    lines = [[cell.head for cell in cells]]
    lines += [[cell.text(row) for cell in cells] for row in result.rows]
    return head + aligned(lines, [cell.left for cell in cells])
