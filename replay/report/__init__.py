"""Reports: a result as a table, JSON, TSV, Markdown or a page. They read results only."""

from replay.report.json import json
from replay.report.markdown import markdown
from replay.report.table import table
from replay.report.tsv import tsv

#: Text reports by the name of their format.
FORMATS = {"table": table, "json": json, "tsv": tsv, "md": markdown}

__all__ = ["FORMATS", "json", "markdown", "table", "tsv"]
