"""A result as tab-separated values: one line a row, columns whose meaning never changes."""

from __future__ import annotations

from replay.columns import COLUMNS
from replay.result import Result


def tsv(result: Result, *, verbose: bool = False) -> str:
    """Return a line of names and a line a row; nothing stands for what was not seen.

    Every column is always there: `verbose` adds nothing.
    """
    lines = ["\t".join(column.name for column in COLUMNS)]
    for row in result.rows:
        lines.append("\t".join(_text(column.value(row)) for column in COLUMNS))
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    """Return a value without the digits that no measurement has."""
    if value is None:
        return ""
    return repr(round(value, 3)) if isinstance(value, float) else str(value)
