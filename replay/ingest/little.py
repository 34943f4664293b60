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
    """Whether there is one source, a file of a capture or text, of LITTLE bytes at most.

    Two are compared packet by packet, which takes longer than they are long. What cannot be read is
    not little: who reads it says so.
    """
    if len(sources) != 1:
        return False
    try:
        status = sources[0].stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LITTLE:
            return False
        return _is_plain(sources[0])
    except (OSError, ValueError, TraceError):
        return False


def _is_plain(source: Path) -> bool:
    with Stream(source) as stream:
        return stream.compression is None and sniff_stream(stream) in _PLAIN
