"""Flow hashes numbered in their order, by a table of those that were met."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.engine.accelerate import jit_in_place, jit_inline
from replay.engine.intrinsics import folded

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_SLOTS = 1 << 10  # at first


def number_flows(flow: Int64s, family: Bytes) -> tuple[Int64s, Bytes]:
    """Make of hashes (32 bits, -1 for none) numbers of flows, in order of hash.

    family: 0 for IPv4, 1 for IPv6, of each packet. Returns each flow's hash, and the version of IP
    of its first packet.
    """
    # Nobody who makes a recording can choose what meets in one slot.
    secret = np.frombuffer(os.urandom(16), np.int64)
    slots = np.full(_SLOTS, -1, np.int64)
    values, versions, count = np.empty(_SLOTS // 2, np.int64), np.empty(_SLOTS // 2, np.uint8), 0
    for part in mapped.steps(len(flow)):
        at, hashes = 0, flow[part]
        while at < len(hashes):
            found = _number(hashes, family[part], at, secret, slots, values, versions, count)
            at, count = (int(it) for it in found)
            if count == len(values):
                values, versions = np.resize(values, 2 * count), np.resize(versions, 2 * count)
                slots = np.full(2 * len(slots), -1, np.int64)
                _put(values, count, secret, slots)
    values, versions = values[:count], versions[:count]
    order = np.argsort(values)
    number = np.full(count + 1, -1, np.int64)  # the last one is that of -1
    number[order] = np.arange(count)
    for part in mapped.steps(len(flow)):
        flow[part] = number[flow[part]]
    return values[order], versions[order]


@jit_in_place
def _number(
    hashes: Int64s,
    family: Bytes,
    at: int,
    secret: Int64s,
    slots: Int64s,
    values: Int64s,
    versions: Bytes,
    count: int,
) -> tuple[int, int]:
    """Replace hashes from `at` on by their places among `values`, to which new ones are added.

    slots: places of values, -1 where there is none; a power of two, and twice as many as values.
    Returns where it stopped, for `values` are full, and how many they are.
    """
    last = len(slots) - 1
    while at < len(hashes) and count < len(values):
        value = hashes[at]
        if value >= 0:
            slot = last & _mixed(value, secret)
            while slots[slot] >= 0 and values[slots[slot]] != value:
                slot = (slot + 1) & last
            if slots[slot] < 0:
                slots[slot] = count
                values[count] = value
                versions[count] = 6 if family[at] else 4
                count += 1
            hashes[at] = slots[slot]
        at += 1
    return at, count


@jit_in_place
def _put(values: Int64s, count: int, secret: Int64s, slots: Int64s) -> None:
    """Fill empty `slots` with the places of the first values."""
    last = len(slots) - 1
    for place in range(count):
        slot = last & _mixed(values[place], secret)
        while slots[slot] >= 0:
            slot = (slot + 1) & last
        slots[slot] = place


@jit_inline
def _mixed(value: int, secret: Int64s) -> int:
    """Return what chooses a hash's slot: neighbours must not meet, nor those that differ on top."""
    mixed: int = folded(value ^ secret[0], secret[1] | 1)
    return mixed
