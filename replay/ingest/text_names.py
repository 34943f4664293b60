"""Names of events in a text, each found by its bytes and counted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place, jit_inside
from replay.ingest.little_endian import Bytes, load64

Int64s = npt.NDArray[np.int64]

NAME_WORDS = 8  # names are compared by their first 64 bytes
NO_SLOT = -1
_ROOM = 1 << 12
_MOST = _ROOM // 2  # so that a free place is near; names beyond are counted together
_REST = _ROOM  # the place that stands for them


class Names(NamedTuple):
    """Names, those that are met on the way added (open addressing)."""

    words: Int64s  # (_ROOM + 1, NAME_WORDS + 1) their bytes
    length: Int64s  # (_ROOM + 1,) 0 where there is no name
    slot: Int64s  # (_ROOM + 1,) NO_SLOT where the event is not understood
    lines: Int64s  # (_ROOM + 1,) lines
    used: Int64s  # (1,) places


def empty_names() -> Names:
    """Return a table without names."""
    return Names(
        np.zeros((_ROOM + 1, NAME_WORDS + 1), np.int64),
        np.zeros(_ROOM + 1, np.int64),
        np.full(_ROOM + 1, NO_SLOT, np.int64),
        np.zeros(_ROOM + 1, np.int64),
        np.zeros(1, np.int64),
    )


@jit_inside
def find_name(names: Names, data: Bytes, begin: int, end: int) -> int:
    """Return the place of the name data[begin:end], not empty, added where it is new.

    Eight bytes beyond `end` may be read.
    """
    length = min(end - begin, 8 * NAME_WORDS)
    whole = length >> 3
    rest = (1 << (8 * (length & 7))) - 1
    mixed = length
    for word in range(whole):
        mixed = mixed * 37 ^ load64(data, begin + 8 * word) >> 5 & 0xFFFFFFFF
        mixed &= 0xFFFFFFFF
    last = load64(data, begin + 8 * whole) & rest
    mixed ^= last >> 5 & 0xFFFFFFFF ^ last & 0xFFFFFFFF
    place = ((mixed * 0x2545F491) >> 16) & (_ROOM - 1)
    while names.length[place] != 0:
        same = names.length[place] == length
        for word in range(whole if same else 0):
            same &= names.words[place, word] == load64(data, begin + 8 * word)
        if same and names.words[place, whole] == last:
            return place
        place = (place + 1) & (_ROOM - 1)
    if names.used[0] == _MOST:
        return _REST
    names.used[0] += 1
    names.length[place] = length
    for word in range(whole):
        names.words[place, word] = load64(data, begin + 8 * word)
    names.words[place, whole] = last
    return place


@jit_in_place
def add_name(names: Names, data: Bytes, slot: int) -> None:
    """Add a name, which eight bytes more follow in `data`, of an event that is understood."""
    names.slot[find_name(names, data, 0, len(data) - 8)] = slot


def spelled(names: Names, place: int) -> str:
    """Return the name at `place`."""
    if place == _REST:
        return "other names"
    name: bytes = names.words[place].tobytes()[: names.length[place]]
    return name.decode("utf-8", "replace")
