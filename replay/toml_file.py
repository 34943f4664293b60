"""A TOML file that a person may have edited: read whole, each problem one line that names it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from replay.errors import PolicyError

LONGEST = 1 << 20  # bytes of such a file

Made = TypeVar("Made")


def read_toml(path: str | os.PathLike[str], make: Callable[[dict[str, Any]], Made]) -> Made:
    """Return what `make` makes of the file's tables.

    Raises PolicyError, naming the file, where it cannot be read, is longer than LONGEST or no
    TOML, and where `make` raises one.
    """
    place = Path(path)
    try:
        if place.stat().st_size > LONGEST:
            raise PolicyError(f"{place}: is longer than {LONGEST:,} bytes: no profile")
        tables = tomllib.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"{place}: cannot be read: {error.strerror}") from None
    except (RecursionError, ValueError) as error:  # of nesting, UTF-8, TOML, or a huge integer
        raise PolicyError(f"{place}: not TOML: {error}") from None
    try:
        return make(tables)
    except PolicyError as error:
        raise PolicyError(f"{place}: {error}") from None
