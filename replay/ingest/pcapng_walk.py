"""The blocks of a pcapng section that hold packets; blocks of no use here are stepped over."""

from __future__ import annotations

from replay.engine.accelerate import jit_in_place, jit_inline, jit_inside
from replay.engine.intrinsics import at as index
from replay.ingest.records import (
    BLOCK,
    CUT,
    FULL,
    MALFORMED,
    NO_TIME,
    STRUCTURE,
    TIME_LIMIT,
    Bytes,
    Int64s,
    u16,
    u32,
)

#: Block types.
SECTION, INTERFACE, STATISTICS = 0x0A0D0D0A, 1, 5
PACKET, SIMPLE, ENHANCED = 2, 3, 6  # the first is obsolete

#: Columns of the interfaces' table, shape (interfaces, 7). A tick is `scale` / `divisor`
#: nanoseconds, or 2 ** -`shift` seconds where `shift` is not negative; ticks above `limit` are no
#: time; `offset` nanoseconds are added; `row` is the interface's number in the whole file.
SNAPLEN, SCALE, DIVISOR, SHIFT, LIMIT, OFFSET, ROW = 0, 1, 2, 3, 4, 5, 6
INTERFACE_COLUMNS = 7

_SECOND = 1_000_000_000
_DROP_COUNT = 4  # option of an enhanced packet block


@jit_in_place
def walk_section(
    data: Bytes, at: int, big: bool, interfaces: Int64s, block: Int64s
) -> tuple[int, int, int, int]:
    """Fill `block` from byte `at` on.

    Return the next byte, the rows filled, packets that blocks say were dropped, and: FULL,
    CUT, MALFORMED, or STRUCTURE at a section, interface or statistics block. A block moves on by
    at least twelve bytes, and never beyond the data.
    """
    if big:  # asked once, not in every block
        return _blocks(data, at, True, interfaces, block)
    return _blocks(data, at, False, interfaces, block)


@jit_inline
def _blocks(
    data: Bytes, at: int, big: bool, interfaces: Int64s, block: Int64s
) -> tuple[int, int, int, int]:
    """Do what `walk_section` does, of one byte order."""
    size = len(data)
    dropped = 0
    row = 0
    while row < BLOCK:
        if at + 12 > size:
            return at, row, dropped, CUT
        kind = u32(data, at, big)
        if kind in (SECTION, INTERFACE, STATISTICS):
            return at, row, dropped, STRUCTURE
        total = u32(data, at + 4, big)
        if total < 12 or total % 4:
            return at, row, dropped, MALFORMED
        if at + total > size:
            return at, row, dropped, CUT
        if u32(data, at + total - 4, big) != total:
            return at, row, dropped, MALFORMED
        if kind in (PACKET, SIMPLE, ENHANCED):
            if not _packet(data, at, total, kind, big, interfaces, block, row):
                return at, row, dropped, MALFORMED
            if kind == PACKET:
                count = u16(data, at + 10, big)
                dropped += count if count != 0xFFFF else 0  # which says: not known
            elif kind == ENHANCED:
                options = block[index(row), 1] + (block[index(row), 2] + 3 & ~3)
                if options + 4 < at + total:
                    dropped += _drop_count(data, options, at + total - 4, big)
            row += 1
        at += total
    return at, row, dropped, FULL


@jit_inline
def _packet(
    data: Bytes,
    at: int,
    total: int,
    kind: int,
    big: bool,
    interfaces: Int64s,
    block: Int64s,
    row: int,
) -> bool:
    """Write one packet's row; return False where its block contradicts itself."""
    header = 12 if kind == SIMPLE else 28
    if total < header + 4:
        return False
    interface = 0
    if kind == ENHANCED:
        interface = u32(data, at + 8, big)
    elif kind == PACKET:
        interface = u16(data, at + 8, big)
    if interface >= len(interfaces):
        return False
    one = interfaces[index(interface)]
    room = total - header - 4
    time = NO_TIME
    if kind == SIMPLE:
        length = u32(data, at + 8, big)
        captured = min(length, room)
        if one[SNAPLEN] > 0:
            captured = min(captured, one[SNAPLEN])
    else:
        captured, length = u32(data, at + 20, big), u32(data, at + 24, big)
        if captured > room:
            return False
        time = _nanoseconds(u32(data, at + 12, big), u32(data, at + 16, big), one)
    place = index(row)
    block[place, 0] = time
    block[place, 1] = at + header
    block[place, 2] = captured
    block[place, 3] = max(captured, length)
    block[place, 4] = one[ROW]
    return True


@jit_inline
def _nanoseconds(high: int, low: int, interface: Int64s) -> int:
    """Return ticks, in two halves, as nanoseconds since 1970, rounded down; or NO_TIME."""
    if high >= 1 << 31:
        return NO_TIME
    ticks = high << 32 | low
    if ticks > interface[LIMIT]:
        return NO_TIME
    shift = interface[SHIFT]
    if shift < 0:
        time = ticks * interface[SCALE]
        if interface[DIVISOR] > 1:  # to divide by one takes as long
            time //= interface[DIVISOR]
    elif shift < 32:
        fraction = ticks & ((1 << shift) - 1)
        time = (ticks >> shift) * _SECOND + (fraction * _SECOND >> shift)
    else:  # the fraction times 10 ** 9 needs more than 64 bits: in two halves
        seconds = ticks >> shift if shift < 63 else 0
        fraction = ticks - (seconds << shift) if shift < 63 else ticks
        upper = (fraction >> 32) * _SECOND + ((fraction & 0xFFFF_FFFF) * _SECOND >> 32)
        time = seconds * _SECOND + (upper >> min(shift - 32, 62))
    time += interface[OFFSET]
    return time if 0 <= time < TIME_LIMIT else NO_TIME


@jit_inside
def _drop_count(data: Bytes, at: int, end: int, big: bool) -> int:
    """Return the drop count among the options from `at` to `end`; 0 where there is none."""
    while at + 4 <= end:
        code, length = u16(data, at, big), u16(data, at + 2, big)
        if code == 0 or at + 4 + length > end:
            break
        if code == _DROP_COUNT and length == 8:
            high, low = u32(data, at + 8, big), u32(data, at + 4, big)
            if big:
                high, low = low, high
            return low if high == 0 else 0
        at += 4 + (length + 3 & ~3)
    return 0
