"""Time as the package holds it: int64 nanoseconds since the trace's start, and text to and from."""

from __future__ import annotations

import re

from replay.errors import PolicyError

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MICROSECOND = 1_000

#: One busy-poll "microsecond": the kernel compares clocks shifted right by ten bits
#: (include/net/busy_poll.h: busy_loop_current_time).
BUSY_POLL_TICK = 1_024

#: No such time: later than every time in a trace, and safe to add durations to.
NEVER = 1 << 62

_SUFFIX = {"ns": 1, "us": MICROSECOND, "µs": MICROSECOND, "ms": MILLISECOND, "s": SECOND}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s)?\Z")


def parse_duration(text: str, *, unit: str = "ns") -> int:
    """Return nanoseconds for a text such as ``20us``, ``1.5ms`` or a bare number of `unit`.

    Raises PolicyError where the text is no duration.
    """
    match = _DURATION.match(text.strip())
    if match is None:
        raise PolicyError(f"{text!r} is no duration: a number with ns, us, ms or s is expected")
    number, suffix = match.groups()
    return round(float(number) * _SUFFIX[suffix or unit])


def duration_text(nanoseconds: int) -> str:
    """Return the shortest text of whole units that `parse_duration` reads back: 20us, 1500ns."""
    for unit, size in (("s", SECOND), ("ms", MILLISECOND), ("us", MICROSECOND)):
        if nanoseconds and nanoseconds % size == 0:
            return f"{nanoseconds // size}{unit}"
    return f"{nanoseconds}ns"
