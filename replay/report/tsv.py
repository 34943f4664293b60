"""A result as tab-separated values: one line a row, columns whose meaning never changes."""

from __future__ import annotations

from replay.columns import columns_of
from replay.result import Result


def tsv(result: Result, *, verbose: bool = False) -> str:
    """Return a line of names and a line a row; nothing stands for what was not seen.

    Those of causes are there where these were asked for, all others always: `verbose` adds nothing.
    """
    columns = columns_of(result)
    lines = ["\t".join(column.name for column in columns)]
    for row in result.rows:
        lines.append("\t".join(_text(column.value(row)) for column in columns))
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    """Return a value without the digits that no measurement has."""
    if value is None:
        return ""
    return repr(round(value, 3)) if isinstance(value, float) else str(value)
