"""Reports: a result as a table, JSON, TSV, Markdown or a page. They read results only."""

from collections.abc import Callable

from replay.errors import ReplayError
from replay.report.json import json
from replay.report.markdown import markdown
from replay.report.table import table
from replay.report.tsv import tsv

#: Text reports by the name of their format.
FORMATS = {"table": table, "json": json, "tsv": tsv, "md": markdown}

__all__ = ["FORMATS", "json", "markdown", "report_named", "table", "tsv"]


def report_named(name: str) -> Callable[..., str]:
    """Return the report of that format. Raises ReplayError where there is none."""
    if name not in FORMATS:
        raise ReplayError(f"format = {name!r} is none of {', '.join(FORMATS)}")
    return FORMATS[name]
