"""Facts of a manifest that a person may have edited: read with care, refused in one line."""

from __future__ import annotations

from replay.errors import TraceError
from replay.trace.bundle import Trace


def number(trace: Trace, name: str) -> float:
    """Return a number of the manifest; 0 where it has none.

    Raises TraceError where it is no number, or not one above 0.
    """
    value = trace.manifest.get(name)
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise TraceError(f"{trace.path}/manifest.json: {name} = {value!r} is no number from 0 on")
    return value
