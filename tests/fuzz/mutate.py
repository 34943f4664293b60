"""A seeded mutator: input `i` of seed `s` is always the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

#: Numbers that lengths, counts and types go wrong with.
_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 15, 16, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF,
            0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFC, 0xFFFFFFFF,
            0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF)  # fmt: skip
_LONGEST = 1 << 16


def mutated(seeds: Sequence[bytes], seed: int, number: int) -> bytes:
    """Return input `number` of `seed`: one of `seeds` with up to a dozen changes."""
    random = Random(seed << 40 | number)
    data = bytearray(seeds[int(random.random() * len(seeds))])
    for _ in range(1 + int(random.random() ** 2 * 12)):
        _change(data, seeds, random)
    return bytes(data[:_LONGEST])


def _change(data: bytearray, seeds: Sequence[bytes], random: Random) -> None:
    """Change `data` in one of the ways that files are damaged in."""
    way = int(random.random() * 12)
    at = int(random.random() * (len(data) + 1))
    size = 1 + int(random.random() ** 3 * 64)
    if way < 3 and at < len(data):
        data[at] ^= 1 << int(random.random() * 8)
    elif way < 5 and at < len(data):
        data[at] = int(random.random() * 256)
    elif way < 8:  # a number of one to eight bytes, in either order
        width = 1 << int(random.random() * 4)
        number = _NUMBERS[int(random.random() * len(_NUMBERS))] & ((1 << 8 * width) - 1)
        if at + width <= len(data):
            data[at : at + width] = number.to_bytes(width, "big" if way == 5 else "little")
    elif way == 8:
        del data[at : at + size]
    elif way == 9:
        data[at:at] = data[at : at + size]
    elif way == 10:
        other = seeds[int(random.random() * len(seeds))]
        start = int(random.random() * (len(other) + 1))
        data[at:at] = other[start : start + 4 * size]
    else:
        del data[at:]
