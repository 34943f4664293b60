"""The records of a capture file, a block at a time: where each packet lies, and when it came.

Walkers (pcap_walk, pcapng_walk) fill blocks; the decoder (packet) reads them. A block is small
enough to stay in the processor's cache between the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_inline

if TYPE_CHECKING:
    from replay.ingest.window import Window

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

#: Rows of a block.
BLOCK = 8_192

#: Rows of a batch: what one thread hands to another at once.
ROWS = 8 * BLOCK

#: A packet whose record holds no time, or none that can be (before 1970, after 2116).
NO_TIME = -1
#: Times are below this many nanoseconds since 1970, so that their differences fit, too.
TIME_LIMIT = 1 << 62

#: How a walk through a window ended: the block is full, a record is not whole, ...
FULL, CUT, MALFORMED, STRUCTURE = 0, 1, 2, 3

#: Columns of a block, shape (BLOCK, 5): nanoseconds since 1970 or NO_TIME; the packet's first byte
#: in the window; bytes captured; bytes on the wire; row of the interface.
TIME, START, CAPTURED, LENGTH, INTERFACE = 0, 1, 2, 3, 4


@dataclass
class Interface:
    """Where packets were captured, and by which clock.

    `hardware` is the device in its own words; the times have steps of `resolution_ns`.
    """

    link: int
    snaplen: int
    name: str | None = None
    hardware: str | None = None
    resolution_ns: float = 1.0


@dataclass
class Findings:
    """What a walk has met so far, besides packets."""

    interfaces: list[Interface] = field(default_factory=list)
    dropped: int = 0  # packets the capture itself says it lost
    sections: int = 1
    note: str | None = None  # why the walk ended before the file's end


class Capture(Protocol):
    """A capture that is walked once, from its start, through a window."""

    window: Window
    findings: Findings

    def blocks(self) -> Iterator[tuple[Int64s, int]]:
        """Yield a block and the rows of it that are filled; its packets are in the window.

        The memory of both is used again for the next one.
        """
        ...


def new_block() -> Int64s:
    """Return memory for one block."""
    return np.empty((BLOCK, 5), dtype=np.int64)


#: A mark above those of headers: behind this packet's payload, the other side spoke.
LAST_OF_TURN = 256


class Columns(NamedTuple):
    """Decoded packets, each of shape (rows,)."""

    time: Int64s  # ns since 1970, or NO_TIME
    flow: npt.NDArray[np.int32]  # flows.NO_FLOW without
    length: npt.NDArray[np.uint32]  # on the wire
    payload: npt.NDArray[np.int32]  # -1 where unknown
    marks: npt.NDArray[np.uint16]  # of replay.ingest.headers, and LAST_OF_TURN
    status: npt.NDArray[np.uint8]  # PacketStatus
    device: npt.NDArray[np.uint16]

    @classmethod
    def empty(cls, rows: int) -> Columns:
        """Return columns of `rows` rows with any content."""
        columns: list[npt.NDArray[Any]] = [np.empty(rows, dtype=kind) for kind in KINDS]
        return cls(*columns)

    def part(self, first: int, behind: int) -> Columns:
        """Return the rows from `first` up to `behind`, sharing memory."""
        columns: list[npt.NDArray[Any]] = [column[first:behind] for column in self]
        return Columns(*columns)


#: The types of Columns.
KINDS = (np.int64, np.int32, np.uint32, np.int32, np.uint16, np.uint8, np.uint16)


@jit_inline
def u8(data: Bytes, at: int) -> int:
    """Return the byte at `at`, wide enough to compute with."""
    return np.int64(data[np.uint64(at)])  # type: ignore[return-value]


@jit_inline
def u16(data: Bytes, at: int, big: bool) -> int:
    """Return the 16-bit number at `at`, in either byte order."""
    one, other = u8(data, at), u8(data, at + 1)
    return one << 8 | other if big else other << 8 | one


@jit_inline
def u32(data: Bytes, at: int, big: bool) -> int:
    """Return the 32-bit number at `at`, in either byte order."""
    a, b, c, d = u8(data, at), u8(data, at + 1), u8(data, at + 2), u8(data, at + 3)
    little = d << 24 | c << 16 | b << 8 | a  # before it is asked which: this is one load
    return swapped32(little) if big else little


@jit_inline
def swapped32(word: int) -> int:
    """Return the lowest four bytes of `word` in the other order."""
    return (word & 0xFF) << 24 | (word & 0xFF00) << 8 | word >> 8 & 0xFF00 | word >> 24 & 0xFF


@jit_inline
def swapped16(word: int) -> int:
    """Return the lowest two bytes of `word` in the other order."""
    return (word & 0xFF) << 8 | word >> 8 & 0xFF


@jit_inline
def u64(data: Bytes, at: int) -> int:
    """Return the eight bytes at `at`, the first the highest, as a signed word."""
    return u32(data, at, True) << 32 | u32(data, at + 4, True)


@jit_inline
def little64(data: Bytes, at: int) -> int:
    """Return the eight bytes at `at`, the first the lowest, as a signed word: in one load."""
    a, b, c, d = u8(data, at), u8(data, at + 1), u8(data, at + 2), u8(data, at + 3)
    e, f, g, h = u8(data, at + 4), u8(data, at + 5), u8(data, at + 6), u8(data, at + 7)
    return h << 56 | g << 48 | f << 40 | e << 32 | d << 24 | c << 16 | b << 8 | a
