"""What an event's text says: the values that follow the keys of its spelling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_inline
from replay.ingest.little_endian import Bytes, find8, load8, load64
from replay.ingest.reconstruct_points import NO_TID, NULL
from replay.ingest.text_fields import (
    ANOTHER_FUNCTION,
    FUNCTION,
    HEXADECIMAL,
    NAPI_WATCHDOG,
    SWITCH_PLUGIN,
    TEXT,
    Keys,
)
from replay.ingest.text_line import is_digit
from replay.ingest.tracepoints import COMM, OTHER, VALUE

Int64s = npt.NDArray[np.int64]

#: Bytes that may be read beyond a line's end: keys and names are compared by whole words.
MARGIN = 64

_BLANK, _QUOTE, _COMMA, _MINUS, _COLON = 0x20, 0x22, 0x2C, 0x2D, 0x3A
_EQUAL, _GREATER, _BRACKET, _BRACE_BEGIN, _BRACE = 0x3D, 0x3E, 0x5B, 0x7B, 0x7D
_LOW = 0xFFFFFFFF

_WATCHDOG = np.frombuffer(b"napi_watchdog", np.uint8)
_CPU = np.frombuffer(b"CPU:", np.uint8)


class Line(NamedTuple):
    """What is read of one line."""

    header: Int64s  # see text_line
    value: Int64s  # (TEXT_ROLES,) by role; where a text begins
    end: Int64s  # (TEXT_ROLES,) where a text ends


@jit_inline
def read_in_order(
    data: Bytes, at: int, end: int, keys: Keys, first: int, last: int, base: int, line: Line
) -> int:
    """Read the values of keys[first:last], which stand in their order; returns bits of roles."""
    found = 0
    key = first
    comm = -1
    while at <= end and key < last:
        # The next key, or one after it where those between may be absent.
        tried = key
        while tried < last and not _is_key(data, at, end, keys, tried):
            tried = tried + 1 if keys.optional[tried] else last
        if tried < last:
            if comm >= 0:
                line.end[comm] = _trimmed(data, line.value[comm], at)
                comm = -1
            role = keys.role[tried]
            after = at + keys.length[tried]
            at = _read_value(data, after, end, keys.look[tried], base, role, line)
            if line.value[role] != NULL:
                found |= 1 << role
            if role == COMM:
                comm = role  # it may hold blanks: it ends where the next key begins
                at = after
            key = tried + 1
        at = next_word(data, at, end)
        if at == end:
            break
    if comm >= 0:
        line.end[comm] = _trimmed(data, line.value[comm], end)
    return found


@jit_inline
def read_anywhere(data: Bytes, at: int, end: int, keys: Keys, among: Int64s, line: Line) -> int:
    """Read the values of keys[among[0]:among[1]] in whatever order; returns bits of roles."""
    found = 0
    while at < end:
        for key in range(among[0], among[1]):
            if _is_key(data, at, end, keys, key):
                role = keys.role[key]
                at = _read_value(data, at + keys.length[key], end, keys.look[key], 10, role, line)
                if line.value[role] != NULL:
                    found |= 1 << role
                break
        at = next_word(data, at, end)
    return found


@jit_inline
def read_plugin(data: Bytes, at: int, end: int, plugin: int, line: Line) -> int:
    """Read `comm:pid [prio]`, or `comm:pid [prio] R ==> comm:pid [prio]`; returns bits of roles.

    A wake-up without a pid, as people shorten it, is one of a thread that is not known.
    """
    if plugin == SWITCH_PLUGIN:
        arrow = at
        while arrow + 4 < end and not _is_arrow(data, arrow):
            arrow += 1
        if arrow + 4 >= end:
            return 0
        if not _read_task(data, at, arrow, OTHER, line):
            return 0
        found = 1 << OTHER
        at = arrow + 4
    else:
        found = 0
        cpu = _find_cpu(data, at, end)
        if cpu >= 0:
            line.value[OTHER], _ = read_number(data, cpu, end, 10)
            found = 1 << OTHER
    if not _read_task(data, at, end, VALUE, line):
        if plugin == SWITCH_PLUGIN or at == end:
            return 0
        line.value[VALUE] = NO_TID
    return found | 1 << VALUE


@jit_inline
def _is_arrow(data: Bytes, at: int) -> bool:
    """Whether `==> ` stands at `at`."""
    return (
        load8(data, at) == _EQUAL
        and load8(data, at + 1) == _EQUAL
        and load8(data, at + 2) == _GREATER
        and load8(data, at + 3) == _BLANK
    )


@jit_inline
def _find_cpu(data: Bytes, at: int, end: int) -> int:
    """Return where the number after `CPU:` stands; -1 without it."""
    for place in range(at, end - 4):
        if all_equal(data, place, _CPU):
            return place + 4
    return -1


@jit_inline
def all_equal(data: Bytes, at: int, text: Bytes) -> bool:
    """Whether `text` stands at `at`."""
    same = True
    for place in range(len(text)):
        same &= load8(data, at + place) == text[place]
    return same


@jit_inline
def _read_task(data: Bytes, at: int, end: int, role: int, line: Line) -> bool:
    """Read `comm:pid [` before `end`; False where there is none."""
    bracket = end - 1
    while bracket > at and load8(data, bracket) != _BRACKET:
        bracket -= 1
    begin = bracket - 1
    if begin <= at or load8(data, begin) != _BLANK:
        return False
    while begin > at and is_digit(load8(data, begin - 1)):
        begin -= 1
    if begin == at or load8(data, begin - 1) != _COLON:
        return False
    line.value[role], _ = read_number(data, begin, bracket - 1, 10)
    line.value[COMM] = at
    line.end[COMM] = begin - 1
    return bool(line.value[role] != NULL)


@jit_inline
def _is_key(data: Bytes, at: int, end: int, keys: Keys, key: int) -> bool:
    length = keys.length[key]
    if at + length > end:
        return False
    for word in range((length + 7) >> 3):
        if (load64(data, at + 8 * word) & keys.mask[key, word]) != keys.words[key, word]:
            return False
    return True


@jit_inline
def next_word(data: Bytes, at: int, end: int) -> int:
    """Return where the word after the one at `at` begins; `end` where there is none."""
    at = find8(data, at, end, _BLANK)
    while at < end and load8(data, at) == _BLANK:
        at += 1
    return at


@jit_inline
def _trimmed(data: Bytes, begin: int, end: int) -> int:
    """Return where the text that begins at `begin` ends, without blanks."""
    while end > begin and load8(data, end - 1) == _BLANK:
        end -= 1
    return end


@jit_inline
def _read_value(data: Bytes, at: int, end: int, look: int, base: int, role: int, line: Line) -> int:
    """Read one value; returns where it ends. A number that is none is NULL."""
    if look == TEXT:
        quoted = at < end and load8(data, at) == _QUOTE
        at += quoted
        line.value[role] = at
        while at < end:
            byte = load8(data, at)
            if byte == _QUOTE if quoted else byte in (_BLANK, _COMMA):
                break
            at += 1
        line.end[role] = at
        return at
    if look == FUNCTION and at < end and not is_digit(load8(data, at)):
        known = at + len(_WATCHDOG) <= end and all_equal(data, at, _WATCHDOG)
        line.value[role] = NAPI_WATCHDOG if known else ANOTHER_FUNCTION
        return at
    line.value[role], at = read_number(data, at, end, 16 if look == HEXADECIMAL else base)
    return at


@jit_inline
def read_number(data: Bytes, at: int, end: int, base: int) -> tuple[int, int]:
    """Read a number, modulo 2^64; returns it (NULL: there is none) and where it ends.

    base: 10, or 16; what begins with 0x is hexadecimal anyway.
    """
    negative = at < end and load8(data, at) == _MINUS
    at += negative
    if at + 2 < end and load8(data, at) == 0x30 and load8(data, at + 1) | 0x20 == 0x78:
        at += 2
        base = 16
    begin = at
    value = 0
    if base == 16:
        while at < end:
            digit = _hexadecimal(load8(data, at))
            if digit < 0:
                break
            value = value << 4 | digit
            at += 1
    else:
        while at < end and at - begin < 18 and is_digit(load8(data, at)):
            value = 10 * value + load8(data, at) - 0x30
            at += 1
        if at < end and is_digit(load8(data, at)):
            value, at = _long_number(data, begin, end)
    if at == begin:
        return NULL, at
    # There is no positive counterpart of the least number.
    return (-value if negative and value != NULL else value), at


@jit_inline
def _long_number(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read a decimal number of 64 bits, an address as LTTng prints it, by halves."""
    high = 0
    low = 0
    while at < end and is_digit(load8(data, at)):
        low = 10 * low + load8(data, at) - 0x30
        high = (10 * high + (low >> 32)) & _LOW
        low &= _LOW
        at += 1
    return high << 32 | low, at


@jit_inline
def _hexadecimal(byte: int) -> int:
    """Return the digit's value, -1 where it is none."""
    if is_digit(byte):
        return byte - 0x30
    byte |= 0x20
    return byte - 0x57 if 0x61 <= byte <= 0x66 else -1


@jit_inline
def two_words(data: Bytes, begin: int, end: int) -> tuple[int, int]:
    """Return up to sixteen bytes of a name as two integers, zero after its end."""
    length = end - begin
    first = load64(data, begin)
    second = load64(data, begin + 8)
    if length < 8:
        return first & ((1 << (8 * length)) - 1), 0
    return first, second & ((1 << (8 * length - 64)) - 1) if length < 16 else second


@jit_inline
def own_fields(data: Bytes, at: int, end: int) -> int:
    """Return where an event's own fields begin: after the last `}, {`; `at` without it."""
    place = end - 4
    while place > at:
        if (
            load8(data, place) == _BRACE
            and load8(data, place + 1) == _COMMA
            and load8(data, place + 3) == _BRACE_BEGIN
        ):
            return place + 4
        place -= 1
    return at
