"""Being told to stop: noticed at once, obeyed at the next safe place.

A handler that raises would raise anywhere, in the middle of tidying up as well. These only take
note; the client's loop ends on it, and everything between two runs is short.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []


class StoppedError(Exception):
    """The user, or the system, wants this program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_status = 128 + number


@contextmanager
def noticed() -> Iterator[None]:
    """Within, a signal to stop is only noted."""
    before = {number: signal.signal(number, _note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def obey() -> None:
    """Raise StoppedError if a signal has been noted."""
    if _received:
        raise StoppedError(_received[0])


def _note(number: int, _: FrameType | None) -> None:
    _received.append(number)
