"""replay.engine.intrinsics, interpreted."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

LINE = 8  # numbers of a cache line


def bit_length(value: int) -> int:
    """Return the number of bits of an int64, not negative."""
    return int(value).bit_length()


def trailing_zeros(value: int) -> int:
    """Return the zero bits below the lowest one."""
    return (int(value) & -int(value)).bit_length() - 1


def folded(one: int, other: int) -> Any:
    """Return the exclusive or of the halves of a product."""
    product = int(one) * int(other)
    return np.int64(((product ^ product >> 64) + (1 << 63)) % (1 << 64) - (1 << 63))


def prefetch(array: Any, index: int) -> None:
    """Do nothing: there is nothing to gain."""


def add_line(array: Any, to: int, line: int) -> None:
    """Add the numbers of a line to those at `to`."""
    array[to : to + LINE] += array[line : line + LINE]


def array_at(dtype: Any) -> Any:
    """Return a function (address, count) -> array of memory that somebody else keeps alive."""
    item_size = np.dtype(dtype).itemsize

    @lru_cache(maxsize=64)
    def made(address: int, count: int) -> npt.NDArray[Any]:
        raw = (ctypes.c_uint8 * (int(count) * item_size)).from_address(int(address))
        array: npt.NDArray[Any] = np.frombuffer(raw, dtype)
        return array if array.dtype.names is None else array.view(np.recarray)

    return made
