"""Facts of a manifest that a person may have edited: read with care, refused in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from replay.errors import TraceError
from replay.trace.bundle import Trace


def number(trace: Trace, name: str) -> float:
    """Return a number of the manifest; 0 where it has none.

    Raises TraceError where it is no number, or not one above 0.
    """
    value = trace.manifest.get(name)
    return 0.0 if value is None else _checked(trace, name, value)


def table(trace: Trace, *names: str) -> Mapping[str, Any]:
    """Return a table of the manifest, by the names on the way to it; empty where it has none.

    Raises TraceError where something else stands there.
    """
    found: Any = trace.manifest
    for depth, name in enumerate(names):
        found = found.get(name)
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            said = ".".join(names[: depth + 1])
            raise TraceError(f"{trace.name}: manifest.json: {said} = {found!r} is no table")
    return dict(found)


def numbers(trace: Trace, *names: str, keys: Sequence[str]) -> dict[str, float]:
    """Return these numbers of a table of the manifest; nothing where it has no such table.

    Raises TraceError where one is missing, is no number, or is below 0.
    """
    found = table(trace, *names)
    said = ".".join(names)
    return {key: _checked(trace, f"{said}.{key}", found.get(key)) for key in keys} if found else {}


def _checked(trace: Trace, name: str, value: object) -> float:
    """Return `value`, a finite number from 0 on."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18:
        return value
    raise TraceError(f"{trace.name}: manifest.json: {name} = {value!r} is no number from 0 to 1e18")
