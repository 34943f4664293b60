"""Where a trace comes from: the bundle named, the only one about, or a capture read on the fly."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replay.errors import TraceError
from replay.trace.bundle import Trace, open_trace

#: Folders in which the only bundle is taken for the one meant.
USUAL = (Path(), Path("traces"))


def only_trace(folder: str | os.PathLike[str] = ".") -> Path:
    """Return the only bundle in `folder` or, where it holds none, in its folder traces/.

    Raises TraceError where there is none or more than one.
    """
    for usual in USUAL:
        found = sorted((Path(folder) / usual).glob("*.trace"))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(path) for path in found[:5]) + ", ..." * (len(found) > 5)
            raise TraceError(f"{len(found)} traces to choose from: name one of {names}")
    raise TraceError(
        "no trace is named, and neither this folder nor traces/ holds one (*.trace);"
        " make one with replay ingest"
    )


@contextmanager
def opened(path: str | os.PathLike[str] | None) -> Iterator[tuple[Trace, list[str]]]:
    """Yield the trace at `path` and what must be said of it; None takes the only one there is.

    A file is a capture: it is ingested into a bundle that lives as long as the context. Raises
    TraceError where there is no such trace.
    """
    place = only_trace() if path is None else Path(path)
    if not place.is_file():
        yield open_trace(place), [f"trace {place}"] if path is None else []
        return
    from replay.ingest.ingest import ingest

    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        bundle = Path(folder) / f"{place.name}.trace"
        ingest([place], bundle)
        yield open_trace(bundle), [f"{place} was ingested for this run: replay ingest keeps it"]
