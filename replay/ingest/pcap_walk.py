"""Classic pcap files: one header, then records, each with a time and a length.

Microseconds or nanoseconds, both byte orders, and Kuznetzov's records with eight more bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from replay.engine.accelerate import jit_in_place, jit_inline
from replay.engine.intrinsics import at
from replay.errors import TraceError
from replay.ingest.records import (
    BLOCK,
    CUT,
    FULL,
    Bytes,
    Findings,
    Int64s,
    Interface,
    new_block,
    u32,
)
from replay.ingest.window import Window

HEADER_BYTES = 24

#: magic: (nanoseconds of the fraction's unit, bytes of a record's header)
_VARIANTS = {0xA1B2C3D4: (1_000, 16), 0xA1B23C4D: (1, 16), 0xA1B2CD34: (1_000, 24)}


class PcapCapture:
    """A classic pcap file, seen through a window.

    Raises TraceError where its header is cut or says something that cannot be read.
    """

    def __init__(self, window: Window, name: str) -> None:
        if not window.holds(HEADER_BYTES):
            raise TraceError(
                f"{name}: cut in the file header: {len(window.data)} of {HEADER_BYTES} bytes"
            )
        head = window.data[:HEADER_BYTES].tobytes()
        self._big = int.from_bytes(head[:4], "big") in _VARIANTS
        order = "big" if self._big else "little"
        numbers = [int.from_bytes(head[i : i + 4], order) for i in range(0, HEADER_BYTES, 4)]  # type: ignore[arg-type]
        self._unit, self._header = _VARIANTS[numbers[0]]
        major, minor = int.from_bytes(head[4:6], order), int.from_bytes(head[6:8], order)  # type: ignore[arg-type]
        snaplen, network = numbers[4], numbers[5]
        if major != 2:
            raise TraceError(f"{name}: pcap version {major}.{minor}; 2.0 to 2.4 can be read")
        if network & 0x03FF_0000:
            raise TraceError(
                f"{name}: link type field {network:#010x} has reserved bits set (16 to 25)"
            )
        # Before 2.4 some writers put the two lengths in the other order.
        self._swapped = minor < 4
        self.window = window
        # The upper bits tell the length of a frame check sequence, which no length here counts.
        clock = Interface(network & 0xFFFF, snaplen, resolution_ns=self._unit)
        self.findings = Findings([clock])

    def blocks(self) -> Iterator[tuple[Int64s, int]]:
        """Yield (block, rows); see records.Capture."""
        block = new_block()
        at = HEADER_BYTES
        while True:
            at, rows, state = _walk(
                self.window.data, at, self._big, self._unit, self._header, self._swapped, block
            )
            if rows:
                yield block, rows
            if state == FULL:
                continue
            more = self.window.more(at)
            at = 0
            if not more:
                break
        if len(self.window.data):
            self.findings.note = self.window.cut("record", 0)


@jit_in_place
def _walk(
    data: Bytes, here: int, big: bool, unit: int, header: int, swapped: bool, block: Int64s
) -> tuple[int, int, int]:
    """Fill `block` from byte `here` on; return the next byte, the rows filled, and FULL or CUT.

    A record moves on by at least its header, and never beyond the data.
    """
    if big:  # asked once, not in every record
        return _records(data, here, True, unit, header, swapped, block)
    return _records(data, here, False, unit, header, swapped, block)


@jit_inline
def _records(
    data: Bytes, here: int, big: bool, unit: int, header: int, swapped: bool, block: Int64s
) -> tuple[int, int, int]:
    """Do what `_walk` does, of one byte order."""
    size = len(data)
    for number in range(BLOCK):
        if here + header > size:
            return here, number, CUT
        captured, length = u32(data, here + 8, big), u32(data, here + 12, big)
        if swapped and captured > length:
            captured, length = length, captured
        if here + header + captured > size:
            return here, number, CUT
        row = at(number)
        block[row, 0] = u32(data, here, big) * 1_000_000_000 + u32(data, here + 4, big) * unit
        block[row, 1] = here + header
        block[row, 2] = captured
        block[row, 3] = max(captured, length)
        block[row, 4] = 0
        here += header + captured
    return here, BLOCK, FULL
