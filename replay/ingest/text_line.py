"""One line's header: where its time stands, and the CPU and thread before it.

Perf script: `comm tid [cpu] time:` or `comm pid/tid [cpu] time:`; ftrace and trace-cmd report:
`comm-tid (tgid) [cpu] flags time:`, where all but the time may be absent; trace-cmd report -l glues
the CPU to the flags. The name of a thread may hold anything, so a header is read backwards.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_inline
from replay.ingest.little_endian import Bytes, find8, load8, load32
from replay.ingest.reconstruct_points import NO_CPU, NO_TID

Int64s = npt.NDArray[np.int64]

#: What is found of a header.
TIME, DECIMALS, HEADER_CPU, TID, COMM_BEGIN, COMM_END, AFTER = range(7)
HEADER = 7  # numbers; NO_CPU, NO_TID, NO_NAME where the line does not say
NO_NAME = -1

_BLANK, _OPEN, _CLOSE, _MINUS, _DOT, _SLASH = 0x20, 0x28, 0x29, 0x2D, 0x2E, 0x2F
_COLON, _LESS, _GREATER, _BRACKET, _BRACKET_END, _BRACE = 0x3A, 0x3C, 0x3E, 0x5B, 0x5D, 0x7B
_PERF = int.from_bytes(b"PERF", "little")
_MOST_SECONDS = 4_000_000_000
_MOST_DIGITS = 9  # of a CPU or thread
_LEAST_FLAGS, _MOST_FLAGS = 3, 8

_FLAG = np.zeros(256, np.uint8)  # characters of the latency format's columns
_FLAG[np.frombuffer(b".0123456789abcdefABCDEFXnNpPlLhHsSzZ#~+", np.uint8)] = 1
_FIRST_FLAG = np.zeros(256, np.uint8)  # irqs-off
_FIRST_FLAG[np.frombuffer(b".dDbBX", np.uint8)] = 1


@jit_inline
def is_digit(byte: int) -> bool:
    """Whether it is 0 to 9."""
    return 0x30 <= byte <= 0x39


@jit_inline
def read_header(data: Bytes, start: int, end: int, header: Int64s) -> bool:
    """Read the header of the line data[start:end] into `header`; False where it has no time."""
    colon = _find_time(data, start, end, header)
    if colon < 0:
        return False
    header[AFTER] = colon + 1
    at = _before_blanks(data, start, header[COMM_END])
    header[HEADER_CPU] = NO_CPU
    header[TID] = NO_TID
    at = _skip_flags(data, start, at, header)
    at = _read_cpu(data, start, at, header)
    if at > start and load8(data, at - 1) == _CLOSE:  # (tgid)
        while at > start and load8(data, at) != _OPEN:
            at -= 1
        at = _before_blanks(data, start, at)
    at = _read_tid(data, start, at, header)
    while start < at and load8(data, start) == _BLANK:
        start += 1
    named = start < at and load8(data, start) != _LESS  # <idle>, <...>
    header[COMM_BEGIN] = start if named else NO_NAME
    header[COMM_END] = at
    return True


@jit_inline
def _find_time(data: Bytes, start: int, end: int, header: Int64s) -> int:
    """Find the first `seconds.fraction:` that is a word; returns where its colon stands, or -1.

    Its begin is left in COMM_END.
    """
    at = start + 2
    while True:
        at = find8(data, at + 1, end, _COLON)
        if at == end:
            return -1
        if not is_digit(load8(data, at - 1)):
            continue
        if at + 1 < end and load8(data, at + 1) != _BLANK:
            continue
        dot = at - 1
        while dot > start and is_digit(load8(data, dot)):
            dot -= 1
        begin = dot
        while begin > start and is_digit(load8(data, begin - 1)):
            begin -= 1
        if load8(data, dot) != _DOT or (begin > start and load8(data, begin - 1) != _BLANK):
            continue
        if read_time(data, begin, dot, at, header):
            header[COMM_END] = begin
            return at


@jit_inline
def read_time(data: Bytes, begin: int, dot: int, end: int, header: Int64s) -> bool:
    """Read `seconds.fraction`; False where it is none."""
    decimals = end - dot - 1
    if dot == begin or dot - begin > 10 or not 1 <= decimals <= 9:
        return False
    seconds = 0
    for at in range(begin, dot):
        seconds = 10 * seconds + load8(data, at) - 0x30
    fraction = 0
    for at in range(dot + 1, end):
        if not is_digit(load8(data, at)):
            return False
        fraction = 10 * fraction + load8(data, at) - 0x30
    for _ in range(9 - decimals):
        fraction *= 10
    header[TIME] = 1_000_000_000 * seconds + fraction
    header[DECIMALS] = decimals
    return seconds <= _MOST_SECONDS


@jit_inline
def _before_blanks(data: Bytes, start: int, at: int) -> int:
    while at > start and load8(data, at - 1) == _BLANK:
        at -= 1
    return at


@jit_inline
def _skip_flags(data: Bytes, start: int, end: int, header: Int64s) -> int:
    """Skip columns like `d.h1.` or `0d.h1.` (the CPU before them); returns where the rest ends."""
    at = end
    while at > start and end - at <= _MOST_FLAGS + 4 and _FLAG[load8(data, at - 1)]:
        at -= 1
    flags = at
    while flags < end and is_digit(load8(data, flags)):
        flags += 1
    if not _LEAST_FLAGS <= end - flags <= _MOST_FLAGS or not _FIRST_FLAG[load8(data, flags)]:
        return end
    if at == start or load8(data, at - 1) != _BLANK:
        return end
    if flags > at:
        header[HEADER_CPU] = _number(data, at, flags)
    return _before_blanks(data, start, at)


@jit_inline
def _read_cpu(data: Bytes, start: int, end: int, header: Int64s) -> int:
    """Read `[cpu]`; returns where what is before it ends."""
    if end == start or load8(data, end - 1) != _BRACKET_END:
        return end
    at = end - 1
    while at > start and is_digit(load8(data, at - 1)):
        at -= 1
    if at == start or load8(data, at - 1) != _BRACKET:
        return end
    header[HEADER_CPU] = _number(data, at, end - 1)
    return _before_blanks(data, start, at - 1)


@jit_inline
def _read_tid(data: Bytes, start: int, end: int, header: Int64s) -> int:
    """Read the thread at the end of `comm-tid`, `comm tid` or `comm pid/tid`; where comm ends."""
    at = end
    while at > start and is_digit(load8(data, at - 1)):
        at -= 1
    if at == end:
        return end
    before = load8(data, at - 1) if at > start else _BLANK
    if before not in (_MINUS, _BLANK, _SLASH):
        return end  # a name that ends in digits
    header[TID] = _number(data, at, end)
    if before == _SLASH:
        at -= 1
        while at > start and is_digit(load8(data, at - 1)):
            at -= 1
    elif before == _MINUS:
        at -= 1
    return _before_blanks(data, start, at)


@jit_inline
def _number(data: Bytes, begin: int, end: int) -> int:
    """Return the number that these digits are; -1, which cannot be, where they are too many."""
    if not 0 < end - begin <= _MOST_DIGITS:
        return -1
    number = 0
    for at in range(begin, end):
        number = 10 * number + load8(data, at) - 0x30
    return number


@jit_inline
def plain_name(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the event's name begins and ends; equal: it has none; end -1: a function call.

    `sys_NAME(...)` and `sys_NAME -> ...`, ftrace's own system calls, are named up to that sign.
    """
    while True:
        while at < end and load8(data, at) == _BLANK:
            at += 1
        begin = at
        at = find8(data, at, end, _BLANK)
        # Before the name of what is no tracepoint perf script prints the sample's period.
        if at == end or not is_digit(load8(data, begin)):
            break
    if at > begin and load8(data, at - 1) == _COLON:
        called = find8(data, begin, at, _OPEN)
        return begin, called + 1 if called < at else at - 1
    if at == end:
        return begin, find8(data, begin, at - 1, _OPEN) + 1 if at > begin else begin
    if at + 3 < end and load8(data, at + 1) == _MINUS and load8(data, at + 2) == _GREATER:
        return begin, at + 3
    if at + 2 < end and load8(data, at + 1) == _LESS and load8(data, at + 2) == _MINUS:
        return begin, -1
    if load32(data, begin) == _PERF:  # PERF_RECORD_LOST lost 12
        return begin, at
    return begin, begin


@jit_inline
def read_braced_header(data: Bytes, start: int, end: int, header: Int64s) -> bool:
    """Read the time of babeltrace2's `[time] (+delta) host event: {`; False where it has none."""
    dot = start
    at = start + 1
    while at < end and load8(data, at) != _BRACKET_END:
        if load8(data, at) == _DOT:
            dot = at
        at += 1
    if at + 2 >= end or load8(data, at + 2) != _OPEN or dot == start:
        return False
    for place in range(start + 1, dot):
        if not is_digit(load8(data, place)):
            return False
    if not read_time(data, start + 1, dot, at, header):
        return False
    while at < end and load8(data, at) != _CLOSE:
        at += 1
    header[AFTER] = min(at + 1, end)
    header[COMM_BEGIN] = NO_NAME
    header[COMM_END] = NO_NAME
    return True


@jit_inline
def braced_name(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the event's name begins and ends, which is the word before `: {`."""
    begin = at
    while at + 2 < end:
        byte = load8(data, at)
        if byte == _COLON and load8(data, at + 2) == _BRACE:
            return begin, at
        if byte == _BLANK:
            begin = at + 1
        at += 1
    return end, end
