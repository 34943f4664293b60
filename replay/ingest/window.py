"""A window that slides over a stream: the part of a source that is in memory."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from replay.ingest.records import Bytes

#: Bytes of the window: they stay in the processor's cache from reading to decoding.
WINDOW = 1 << 18
#: Bytes of a window of packets of which most bytes are not looked at.
WIDEST = 1 << 20

#: The longest record that is believed; nothing that captures packets writes longer ones.
LONGEST_RECORD = 16 << 20


class Readable(Protocol):
    """What is read once; see replay.ingest.stream."""

    def readinto(self, room: memoryview) -> int:
        """Fill `room` from its start; return the bytes, 0 at the end."""
        ...


class Window:
    """The bytes `data` of a stream from its byte `start` on."""

    def __init__(self, stream: Readable, size: int = WINDOW) -> None:
        self._stream = stream
        self.start = 0
        self._size = size
        self._room: Bytes = np.empty(size, dtype=np.uint8)
        self.data: Bytes = self._room[:0]

    def more(self, at: int) -> bool:
        """Drop the bytes before `at`, read more behind the others; what was at `at` is now at 0.

        Return whether there were more; there are none, either, behind LONGEST_RECORD bytes.
        """
        rest = len(self.data) - at
        kept = self._room[at : at + rest]
        if rest == len(self._room):
            if rest >= LONGEST_RECORD:
                return False
            self._size = 2 * rest
        if len(self._room) < self._size:
            self._room = np.empty(self._size, dtype=np.uint8)
        self._room[:rest] = kept
        behind = memoryview(self._room)[rest:]  # type: ignore[arg-type]
        count = 0
        while 2 * count < len(behind):  # a pipe gives little at a time
            read = self._stream.readinto(behind[count:])
            if not read:
                break
            count += read
        self.data = self._room[: rest + count]
        self.start += at
        return count > 0

    def widen(self) -> None:
        """Hold more from the next time on: a window costs as much as some hundred packets."""
        self._size = max(self._size, min(2 * self._size, WIDEST))

    def holds(self, size: int) -> bool:
        """Read until the window holds its first `size` bytes; return whether it does."""
        while len(self.data) < size:
            if not self.more(0):
                return False
        return True

    def cut(self, what: str, at: int) -> str:
        """Say why the record or block at `at` is not whole, now that there is no more."""
        place = f"the {what} at byte {self.start + at:,}"
        if len(self.data) - at >= LONGEST_RECORD:
            return f"{place} is longer than {LONGEST_RECORD >> 20} MiB"
        return f"cut in {place}"
