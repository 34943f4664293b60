"""Input so little that to interpret it takes less time than to load the compiler."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from replay.errors import TraceError
from replay.ingest.sniff import CAPTURES, TEXT, sniff_stream
from replay.ingest.stream import Stream

#: Bytes that are interpreted in a fifth of a second, as it takes to load the compiler and its code:
#: some 1,000 packets.
LITTLE = 1 << 16

#: What may hold no compressed parts: those are of any length, however short the file is.
_PLAIN = (*CAPTURES, TEXT)


def is_little(sources: Sequence[Path]) -> bool:
    """Whether all sources are files of captures or text, LITTLE bytes together at most.

    What cannot be read is not: who reads it says so.
    """
    try:
        status = [source.stat() for source in sources]
        if not all(stat.S_ISREG(it.st_mode) for it in status):
            return False
        if sum(it.st_size for it in status) > LITTLE:
            return False
        return all(_is_plain(source) for source in sources)
    except (OSError, ValueError, TraceError):
        return False


def _is_plain(source: Path) -> bool:
    with Stream(source) as stream:
        return stream.compression is None and sniff_stream(stream) in _PLAIN
