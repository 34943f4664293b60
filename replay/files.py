"""Writing a file completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from replay.errors import ReplayError


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` under a temporary name beside it, then rename it.

    What is no regular file (a pipe, /dev/stdout) is written as it stands: renaming would replace
    it. Raises ReplayError where the path cannot be written or the disk is full.
    """
    place = Path(path)
    direct = place.exists() and not place.is_file()
    written = place if direct else place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        written.write_text(text, encoding="utf-8")
        if not direct:
            written.replace(place)
    except OSError as error:
        if not direct:
            written.unlink(missing_ok=True)
        raise ReplayError(f"{place}: cannot be written: {error.strerror or error}") from None
