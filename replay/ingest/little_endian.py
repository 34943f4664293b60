"""Little-endian integers out of bytes, as compiled code takes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_inline
from replay.engine.intrinsics import trailing_zeros

Bytes = npt.NDArray[np.uint8]


@jit_inline
def load8(data: Bytes, at: int) -> int:
    """Return the byte at `at`, from 0 on, wide enough to compute with."""
    # A signed index may count from the array's end; without that, LLVM joins neighbouring loads.
    return np.int64(data[np.uint64(at)])  # type: ignore[return-value]


@jit_inline
def load16(data: Bytes, at: int) -> int:
    """Return the unsigned 16-bit integer at byte `at`."""
    return load8(data, at) | load8(data, at + 1) << 8


@jit_inline
def load32(data: Bytes, at: int) -> int:
    """Return the unsigned 32-bit integer at byte `at`."""
    # Spelt out byte by byte: LLVM makes one load of it, aligned or not.
    return (
        load8(data, at)
        | load8(data, at + 1) << 8
        | load8(data, at + 2) << 16
        | load8(data, at + 3) << 24
    )


@jit_inline
def load64(data: Bytes, at: int) -> int:
    """Return the 64-bit integer at byte `at`; from 2**63 on it comes out negative."""
    return (
        load8(data, at)
        | load8(data, at + 1) << 8
        | load8(data, at + 2) << 16
        | load8(data, at + 3) << 24
        | load8(data, at + 4) << 32
        | load8(data, at + 5) << 40
        | load8(data, at + 6) << 48
        | load8(data, at + 7) << 56
    )


@jit_inline
def load(data: Bytes, at: int, size: int, signed: int) -> int:
    """Return the integer of 1, 2, 4 or 8 bytes at byte `at`."""
    if size == 8:
        return load64(data, at)
    if size == 4:
        value = load32(data, at)
        return value - (1 << 32) if signed and value >= 1 << 31 else value
    if size == 2:
        value = load16(data, at)
        return value - (1 << 16) if signed and value >= 1 << 15 else value
    value = load8(data, at)
    return value - (1 << 8) if signed and value >= 1 << 7 else value


_ONES = 0x01010101010101  # seven bytes: what is computed with them never overflows
_SEVENS = 0x7F * _ONES


@jit_inline
def find8(data: Bytes, at: int, end: int, byte: int) -> int:
    """Return where `byte` stands first from `at` on; `end` where it does not.

    Seven bytes beyond `end` may be read.
    """
    while at < end:
        other = (load64(data, at) & 0xFF * _ONES) ^ byte * _ONES
        equal = ~(((other & _SEVENS) + _SEVENS) | other | _SEVENS) & 0x80 * _ONES
        if equal != 0:
            return min(at + (int(trailing_zeros(equal)) >> 3), end)
        at += 7
    return end
