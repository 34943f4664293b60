"""Instructions of the CPU that numba has no name for, and what stands for them in plain Python.

`bit_length(value)`: the number of bits of an int64, not negative. `trailing_zeros(value)`: the zero
bits below its lowest one; value is not 0. `folded(one, other)`: the lower half of the product of
two int64, exclusive or its upper half. `prefetch(array, index)`: ask the CPU for an item that is
soon to be read. `add_line(array, to, line)`: add the LINE numbers at `line` to those at `to`.
`int64s_at(address, count)`, `bytes_at(address, count)`: an array of memory that somebody else keeps
alive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from replay.engine.accelerate import interpreted, jit_inline
from replay.engine.intrinsics_python import LINE

if TYPE_CHECKING or interpreted():
    from replay.engine import intrinsics_python as chosen
else:
    from replay.engine import intrinsics_numba as chosen

add_line, array_at, bit_length = chosen.add_line, chosen.array_at, chosen.bit_length
folded, prefetch, trailing_zeros = chosen.folded, chosen.prefetch, chosen.trailing_zeros

int64s_at = array_at(np.int64)
bytes_at = array_at(np.uint8)

__all__ = [
    "LINE",
    "add_line",
    "array_at",
    "at",
    "bit_length",
    "bytes_at",
    "folded",
    "int64s_at",
    "prefetch",
    "trailing_zeros",
]


@jit_inline
def at(index: int) -> Any:
    """Return `index`, not negative, as numba need not ask whether it counts from an array's end."""
    return np.uint64(index)
