"""Lines without a time: call chains, comments, what a tool says of itself, and lost events."""

from __future__ import annotations

import numpy as np

from replay.engine.accelerate import jit_inside
from replay.ingest.little_endian import Bytes, load8

#: What such a line is.
UNKNOWN_LINE, OTHER, STACK_LINE, LOST_EVENTS = range(4)

_TAB, _BLANK, _EQUAL, _GREATER, _BRACKET = 0x09, 0x20, 0x3D, 0x3E, 0x5B
_LEAST_ADDRESS = 4  # hexadecimal digits

_CPU = np.frombuffer(b"CPU:", np.uint8)
#: What trace-cmd report and ftrace say of themselves.
_SAID = (
    np.frombuffer(b"CPU ", np.uint8),  # CPU 3 is empty
    np.frombuffer(b"cpus=", np.uint8),
    np.frombuffer(b"version = ", np.uint8),
    np.frombuffer(b"tracer: ", np.uint8),
)


@jit_inside
def without_time(data: Bytes, start: int, end: int) -> int:
    """Return what the line data[start:end] is, which has no time."""
    at = start
    while at < end and load8(data, at) in (_BLANK, _TAB):
        at += 1
    if at == end:
        return OTHER
    if _begins(data, at, end, _CPU):  # CPU:2 [LOST 12 EVENTS], CPU:2 [12 EVENTS DROPPED]
        while at < end and load8(data, at) != _BRACKET:
            at += 1
        return LOST_EVENTS if at < end else UNKNOWN_LINE
    if at > start and _is_address(data, at, end):  # perf script -g
        return STACK_LINE
    if load8(data, at) == _EQUAL and at + 1 < end and load8(data, at + 1) == _GREATER:
        return STACK_LINE  # ftrace's
    for said in _SAID:
        if _begins(data, at, end, said):
            return OTHER
    return UNKNOWN_LINE


@jit_inside
def _begins(data: Bytes, at: int, end: int, text: Bytes) -> bool:
    """Whether data[at:end] begins with `text`."""
    if at + len(text) > end:
        return False
    same = True
    for place in range(len(text)):
        same &= load8(data, at + place) == text[place]
    return same


@jit_inside
def _is_address(data: Bytes, at: int, end: int) -> bool:
    """Whether a word of hexadecimal digits stands at `at`, and another after it."""
    begin = at
    while at < end:
        byte = load8(data, at)
        lower = byte | 0x20
        if not (0x30 <= byte <= 0x39 or 0x61 <= lower <= 0x66):
            break
        at += 1
    return at - begin >= _LEAST_ADDRESS and at + 1 < end and load8(data, at) == _BLANK
