"""A bundle as Parquet, CSV or pcapng, for other tools: the verb behind `replay convert`."""

from __future__ import annotations

import os
from pathlib import Path

from replay.errors import ReplayError, nearest
from replay.trace.bundle import Trace, open_trace

__all__ = ["FORMATS", "convert"]

#: Formats, and what each is written as.
FORMATS = {"parquet": "a folder", "csv": "a folder", "pcapng": "a file"}


def convert(
    trace: Trace | str | os.PathLike[str],
    output: str | os.PathLike[str],
    form: str | None = None,
) -> Path:
    """Write `trace` at `output`, complete or not at all, and return that path.

    parquet and csv are a folder with a file a table, and the manifest; pcapng is the packets, with
    headers rebuilt from their flows; None takes the one that `output` ends with, else parquet.
    Raises ReplayError for another format, TraceError where
    something stands at `output` or the bundle cannot be read.
    """
    place = Path(output)
    if form is None:
        form = place.suffix[1:] if place.suffix[1:] in FORMATS else "parquet"
    if form not in FORMATS:
        raise ReplayError(f"to = {form!r} is none of {', '.join(FORMATS)}{nearest(form, FORMATS)}")
    trace = trace if isinstance(trace, Trace) else open_trace(trace)
    if form == "pcapng":
        from replay.convert.pcapng import write_pcapng

        write_pcapng(trace, place)
    else:
        from replay.convert.tables import write_tables

        write_tables(trace, place, form)
    return place
