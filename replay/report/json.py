"""A result as JSON, version 1; see `Result.to_dict`."""

from __future__ import annotations

import json as _json

from replay.result import Result


def json(result: Result, *, verbose: bool = False) -> str:
    """Return the JSON text. It has everything that was asked for: `verbose` adds nothing."""
    return _json.dumps(result.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
