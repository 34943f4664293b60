"""pcapng files: sections, each with its byte order and its interfaces, each with its own clock."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from replay.errors import TraceError
from replay.ingest.pcapng_walk import (
    DIVISOR,
    INTERFACE,
    INTERFACE_COLUMNS,
    LIMIT,
    OFFSET,
    ROW,
    SCALE,
    SECTION,
    SHIFT,
    SNAPLEN,
    walk_section,
)
from replay.ingest.records import (
    CUT,
    MALFORMED,
    STRUCTURE,
    TIME_LIMIT,
    Findings,
    Int64s,
    Interface,
    new_block,
)
from replay.ingest.window import Window
from replay.units import SECOND

_ORDER_MAGICS = (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a")  # big, little
_MAX_INTERFACES = 65_535  # the packets table's device is 16 bits wide

#: Options: of an interface, and of its statistics.
_NAME, _RESOLUTION, _TIME_OFFSET, _HARDWARE = 2, 9, 14, 15
_STATISTICS_DROPS = (5, 7)  # isb_ifdrop, isb_osdrop
#: More packets than this no interface drops; all interfaces together drop fewer than 2 ** 63.
_MOST_DROPPED = 1 << 46


class PcapngCapture:
    """A pcapng file, seen through a window.

    Raises TraceError where its first section cannot be read.
    """

    def __init__(self, window: Window, name: str) -> None:
        self.window = window
        self.findings = Findings(sections=0)
        self._at = 0  # in the window
        self._big = False
        self._interfaces = 0  # of this section
        self._table = np.empty((8, INTERFACE_COLUMNS), dtype=np.int64)  # theirs, and room for more
        self._drops: dict[int, int] = {}  # a statistics block counts from the interface's start
        problem = self._section()
        if problem:
            raise TraceError(f"{name}: {problem}")

    def blocks(self) -> Iterator[tuple[Int64s, int]]:
        """Yield (block, rows); see records.Capture."""
        block = new_block()
        problem = None
        while problem is None:
            self._at, rows, dropped, state = walk_section(
                self.window.data, self._at, self._big, self._table[: self._interfaces], block
            )
            self.findings.dropped += dropped
            if rows:
                yield block, rows
            if state == CUT and not self._more():
                break
            if state == MALFORMED:
                problem = f"malformed block at byte {self._place:,}"
            elif state == STRUCTURE:
                problem = self._structure()
        if problem is None and len(self.window.data):
            problem = self.window.cut("block", 0)
        self.findings.note = problem
        # Both kinds of count may tell of the same packets.
        self.findings.dropped = max(self.findings.dropped, sum(self._drops.values()))

    @property
    def _place(self) -> int:
        """The byte of the file that stands here."""
        return self.window.start + self._at

    def _more(self) -> bool:
        """Read on; return whether there was more."""
        found = self.window.more(self._at)
        self._at = 0
        return found

    def _holds(self, size: int) -> bool:
        """Read until the window holds so many bytes from here on; return whether it does."""
        while self._at + size > len(self.window.data):
            if not self._more():
                return False
        return True

    def _structure(self) -> str | None:
        """Read the section, interface or statistics block here; return what is wrong with it."""
        kind = self._u32(self._at)
        if kind == SECTION:
            return self._section()
        size = self._size_of_block()
        if isinstance(size, str):
            return size
        end = self._at + size
        if kind == INTERFACE:
            if size < 20:
                return f"malformed interface block at byte {self._place:,}"
            if len(self.findings.interfaces) == _MAX_INTERFACES:
                return f"more than {_MAX_INTERFACES:,} interfaces at byte {self._place:,}"
            self._interface(end)
        elif size >= 24:
            self._statistics(end)
        self._at = end
        return None

    def _section(self) -> str | None:
        """Start a section: its byte order, no interfaces. Return what is wrong with its block."""
        if not self._holds(28):
            return f"cut in the section block at byte {self._place:,}"
        magic = self.window.data[self._at + 8 : self._at + 12].tobytes()
        if magic not in _ORDER_MAGICS:
            return f"the section block at byte {self._place:,} has no byte-order magic"
        self._big = magic == _ORDER_MAGICS[0]
        size = self._size_of_block()
        if isinstance(size, str):
            return size
        if size < 28:
            return f"malformed section block at byte {self._place:,}"
        major, minor = self._u16(self._at + 12), self._u16(self._at + 14)
        if (major, minor) not in ((1, 0), (1, 2)):  # 1.2 was written by mistake and is 1.0
            return f"pcapng version {major}.{minor} at byte {self._place:,}; 1.0 can be read"
        self._interfaces = 0
        self.findings.sections += 1
        self._at += size
        return None

    def _size_of_block(self) -> int | str:
        """Read the block here into the window; return its bytes, or what is wrong with them."""
        total = self._u32(self._at + 4)
        if total < 12 or total % 4:
            return f"malformed block at byte {self._place:,}"
        if not self._holds(total):
            return self.window.cut("block", self._at)
        if self._u32(self._at + total - 4) != total:
            return f"malformed block at byte {self._place:,}: its two lengths differ"
        return total

    def _interface(self, end: int) -> None:
        """Add the interface that the block here describes."""
        options = self._options(self._at + 16, end - 4)
        snaplen = self._u32(self._at + 12)
        name, hardware = (_text(options.get(code, b"")) for code in (_NAME, _HARDWARE))
        resolution = options.get(_RESOLUTION, b"\x06")[:1] or b"\x06"
        offset_bytes = options.get(_TIME_OFFSET, b"")[:8]
        offset = int.from_bytes(offset_bytes, "big" if self._big else "little", signed=True)
        if self._interfaces == len(self._table):
            self._table = np.concatenate([self._table, self._table])
        row = self._table[self._interfaces]
        self._interfaces += 1
        row[SNAPLEN] = snaplen
        row[ROW] = len(self.findings.interfaces)
        row[SCALE], row[DIVISOR], row[SHIFT], row[LIMIT] = _clock(resolution[0])
        row[OFFSET] = 0
        if abs(offset) * SECOND < TIME_LIMIT:
            row[OFFSET] = offset * SECOND
        else:
            row[LIMIT] = -1  # no tick of this interface is a time
        link, step = self._u16(self._at + 8), _step(resolution[0])
        self.findings.interfaces.append(Interface(link, snaplen, name, hardware, step))

    def _statistics(self, end: int) -> None:
        """Note what an interface says it dropped so far."""
        options = self._options(self._at + 20, end - 4)
        interface = self._u32(self._at + 8)
        if interface < self._interfaces:
            counts = [options.get(code, b"") for code in _STATISTICS_DROPS]
            total = sum(self._number(count) for count in counts if len(count) == 8)
            if total < _MOST_DROPPED:
                self._drops[int(self._table[interface, ROW])] = total

    def _options(self, at: int, end: int) -> dict[int, bytes]:
        """Return a block's options by code, the first of each; those that do not fit are left."""
        options: dict[int, bytes] = {}
        while at + 4 <= end:
            code, length = self._u16(at), self._u16(at + 2)
            if code == 0 or at + 4 + length > end:
                break
            options.setdefault(code, self.window.data[at + 4 : at + 4 + length].tobytes())
            at += 4 + (length + 3 & ~3)
        return options

    def _number(self, raw: bytes) -> int:
        return int.from_bytes(raw, "big" if self._big else "little")

    def _u16(self, at: int) -> int:
        return self._number(self.window.data[at : at + 2].tobytes())

    def _u32(self, at: int) -> int:
        return self._number(self.window.data[at : at + 4].tobytes())


def _text(raw: bytes) -> str | None:
    """Return an option's text, None where it is empty."""
    return raw.split(b"\0")[0].decode("utf-8", "replace") or None


def _step(resolution: int) -> float:
    """Return the nanoseconds of a tick of this if_tsresol byte."""
    exponent = resolution & 0x7F
    return float(SECOND) * (2.0**-exponent if resolution & 0x80 else 10.0**-exponent)


def _clock(resolution: int) -> tuple[int, int, int, int]:
    """Return scale, divisor, shift and limit of ticks of this if_tsresol byte.

    Its highest bit chooses powers of two over powers of ten. A resolution finer than 10 ** -27
    has no time that 64 bits can hold: its limit is below every tick.
    """
    exponent = resolution & 0x7F
    if resolution & 0x80:
        if exponent >= 63:
            return 1, 1, exponent, (1 << 63) - 1
        return 1, 1, exponent, min((TIME_LIMIT // SECOND) << exponent, (1 << 63) - 1)
    if exponent <= 9:
        scale = int(10 ** (9 - exponent))
        return scale, 1, -1, TIME_LIMIT // scale
    if exponent <= 27:
        return 1, int(10 ** (exponent - 9)), -1, (1 << 63) - 1
    return 1, 1, -1, -1
