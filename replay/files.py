"""Writing a file completely or not at all, and knowing early that it can be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from replay.errors import ReplayError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file to write; on success it becomes the one at `path`, else it vanishes.

    It has a temporary name beside its place until then. What is no regular file (a pipe,
    /dev/stdout) is written as it stands: renaming would replace it. Raises ReplayError where the
    path cannot be written or the disk is full.
    """
    place = Path(path)
    direct = place.exists() and not place.is_file()
    written = place if direct else place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        with written.open("wb") as file:
            yield file
        if not direct:
            written.replace(place)
    except BaseException as error:
        if not direct:
            written.unlink(missing_ok=True)
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise ReplayError(f"{place}: cannot be written: {reason}") from None
        raise


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path`, as `whole_file` does."""
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))


def require_place(path: str | os.PathLike[str]) -> None:
    """Raise ReplayError where no file can be written at `path`: before long work for it is done."""
    place = Path(path)
    if place.is_dir():
        raise ReplayError(f"{path}: is a folder")
    if not place.absolute().parent.is_dir():
        raise ReplayError(f"{path}: there is no folder {place.parent}")
    replaced = place.is_file() or not place.exists()
    if not os.access(place.absolute().parent if replaced else place, os.W_OK):
        raise ReplayError(f"{path}: cannot be written: Permission denied")
