"""The flows of a capture: every 5-tuple gets a number, by a hash table of open addresses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit

Int64s = npt.NDArray[np.int64]

#: Words of a flow's key: source (two), destination (two), and packed: see `pack`.
KEY_WORDS = 5
NO_FLOW = -1

#: The upper half of the lower word of an IPv4 address in 16 bytes, ::ffff:a.b.c.d.
MAPPED = 0xFFFF << 32


class FlowTable(NamedTuple):
    """Flows met so far. `slots` has a power of two of entries, at least twice the flows."""

    keys: Int64s  # (room, KEY_WORDS)
    sequence: Int64s  # (room,): the sequence number TCP's next byte will have; -1 unknown
    slots: npt.NDArray[np.int32]  # flow + 1; 0 is free


@jit
def pack(port: int, other_port: int, protocol: int, version: int, vlan: int) -> int:
    """Return a key's last word: ports, protocol, version (4 or 6) and vlan (-1 without)."""
    return port << 40 | other_port << 24 | protocol << 16 | (version == 6) << 15 | (vlan + 1)


def unpack(words: Int64s) -> dict[str, Int64s]:
    """Return the ports, protocol, version and vlan of packed words, each of their shape."""
    return {
        "source_port": words >> 40 & 0xFFFF,
        "destination_port": words >> 24 & 0xFFFF,
        "protocol": words >> 16 & 0xFF,
        "version": np.where(words >> 15 & 1, 6, 4),
        "vlan": (words & 0x1FFF) - 1,
    }


def new_table(room: int) -> FlowTable:
    """Return an empty table with room for `room` flows."""
    slots = 1 << (2 * room - 1).bit_length()
    return FlowTable(
        np.empty((room, KEY_WORDS), dtype=np.int64),
        np.full(room, -1, dtype=np.int64),
        np.zeros(slots, dtype=np.int32),
    )


def with_room(table: FlowTable, flows: int, more: int) -> FlowTable:
    """Return `table`, of which `flows` are used, or a larger copy: with room for `more`."""
    if flows + more <= len(table.keys):
        return table
    larger = new_table(2 * (flows + more))
    larger.keys[:flows] = table.keys[:flows]
    larger.sequence[:flows] = table.sequence[:flows]
    _fill(larger, flows)
    return larger


@jit
def _fill(table: FlowTable, flows: int) -> None:
    """Enter the first `flows` keys, all different, into empty slots."""
    mask = len(table.slots) - 1
    for flow in range(flows):
        key = table.keys[flow]
        slot = _hash(key[0], key[1], key[2], key[3], key[4]) & mask
        while table.slots[slot]:
            slot = (slot + 1) & mask
        table.slots[slot] = flow + 1


@jit
def find_or_add(
    table: FlowTable, flows: int, a: int, b: int, c: int, d: int, e: int
) -> tuple[int, int]:
    """Return the number of the flow with this key, and of flows now; the table must have room."""
    mask = len(table.slots) - 1
    slot = _hash(a, b, c, d, e) & mask
    while table.slots[slot]:
        flow: int = table.slots[slot] - 1
        key = table.keys[flow]
        if key[4] == e and key[1] == b and key[3] == d and key[0] == a and key[2] == c:
            return flow, flows
        slot = (slot + 1) & mask
    table.slots[slot] = flows + 1
    key = table.keys[flows]
    key[0], key[1], key[2], key[3], key[4] = a, b, c, d, e
    return flows, flows + 1


@jit
def find(table: FlowTable, a: int, b: int, c: int, d: int, e: int) -> int:
    """Return the number of the flow with this key, or NO_FLOW."""
    mask = len(table.slots) - 1
    slot = _hash(a, b, c, d, e) & mask
    while table.slots[slot]:
        flow: int = table.slots[slot] - 1
        key = table.keys[flow]
        if key[4] == e and key[1] == b and key[3] == d and key[0] == a and key[2] == c:
            return flow
        slot = (slot + 1) & mask
    return NO_FLOW


@jit
def _hash(a: int, b: int, c: int, d: int, e: int) -> int:
    """Mix a key. Halves times 27-bit constants: the sum of ten stays below 2 ** 63."""
    low = 0xFFFF_FFFF
    mixed = (
        (a & low) * 0x4F1BBCD
        + (a >> 32 & low) * 0x6C8E945
        + (b & low) * 0x7A1F3E1
        + (b >> 32 & low) * 0x5B2D6A9
        + (c & low) * 0x6A09E67
        + (c >> 32 & low) * 0x510E527
        + (d & low) * 0x73C6EF3
        + (d >> 32 & low) * 0x4A54FF5
        + (e & low) * 0x7654321
        + (e >> 32 & low) * 0x5F1D36F
    )
    mixed = (mixed >> 32 ^ mixed) & low
    mixed = mixed * 0x5851F42D & 0x3FFF_FFFF_FFFF_FFFF
    return mixed >> 29


@jit
def reverse_flows(table: FlowTable, flows: int, reverse: Int64s) -> None:
    """Write each flow's opposite direction, or NO_FLOW, into `reverse`, shape (flows,)."""
    for flow in range(flows):
        key = table.keys[flow]
        packed = key[4]
        ports = (packed >> 24 & 0xFFFF) << 40 | (packed >> 40 & 0xFFFF) << 24
        reverse[flow] = find(table, key[2], key[3], key[0], key[1], ports | packed & 0xFF_FFFF)


def addresses(words: Int64s) -> npt.NDArray[np.uint8]:
    """Return 16-byte addresses, shape (flows, 16), of pairs of words, shape (flows, 2)."""
    return np.ascontiguousarray(words).astype(">i8").view(np.uint8).reshape(len(words), 16)
