"""The flows of a capture: every 5-tuple gets a number, by a hash table of open addresses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place, jit_inline

Int64s = npt.NDArray[np.int64]

#: Words of a flow's key: source (two), destination (two), and packed: see `pack`.
KEY_WORDS = 5
NO_FLOW = -1  # a free slot holds it, plus 1

#: The upper half of the lower word of an IPv4 address in 16 bytes, ::ffff:a.b.c.d.
MAPPED = 0xFFFF << 32


class FlowTable(NamedTuple):
    """Flows met so far. `slots` has a power of two of entries, at least twice the flows."""

    keys: Int64s  # (room, KEY_WORDS)
    sequence: Int64s  # (room,): the sequence number TCP's next byte will have; -1 unknown
    slots: npt.NDArray[np.int32]  # flow + 1; 0 is free


@jit_inline
def pack(port: int, other_port: int, protocol: int, six: bool, vlan: int) -> int:
    """Return a key's last word: ports, protocol, whether IPv6, and vlan (-1 without)."""
    return port << 40 | other_port << 24 | protocol << 16 | int(six) << 15 | (vlan + 1)


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
    number_flows(table.keys, flows, larger.keys, larger.slots, 0, np.empty(flows, np.int32))
    return larger


@jit_in_place
def number_flows(
    wanted: Int64s,
    rows: int,
    keys: Int64s,
    slots: npt.NDArray[np.int32],
    flows: int,
    found: npt.NDArray[np.int32],
) -> int:
    """Write the flow of each of the first `rows` keys `wanted` into `found`; return the flows now.

    `keys` and `slots` are a table's, which has room. A negative last word is NO_FLOW. One plain
    loop: helpers that take arrays would count references to them, atomically, for every packet.
    """
    mask = len(slots) - 1
    for row in range(rows):
        e = wanted[row, 4]
        if e < 0:
            found[row] = NO_FLOW
            continue
        a, b, c, d = wanted[row, 0], wanted[row, 1], wanted[row, 2], wanted[row, 3]
        slot = _hash(a, b, c, d, e) & mask
        flow = slots[slot] - 1
        while flow >= 0 and not (
            keys[flow, 4] == e
            and keys[flow, 1] == b
            and keys[flow, 3] == d
            and keys[flow, 0] == a
            and keys[flow, 2] == c
        ):
            slot = (slot + 1) & mask
            flow = slots[slot] - 1
        if flow < 0:
            flow = flows
            flows += 1
            slots[slot] = flows
            keys[flow, 0], keys[flow, 1], keys[flow, 2], keys[flow, 3] = a, b, c, d
            keys[flow, 4] = e
        found[row] = flow
    return flows


@jit_inline
def _hash(a: int, b: int, c: int, d: int, e: int) -> int:
    """Mix a key. Halves times 27-bit constants: the sum of six stays below 2 ** 62."""
    low = 0xFFFF_FFFF
    source, destination = (a << 7) ^ a ^ b, (c << 9) ^ c ^ d
    mixed = (
        (source & low) * 0x4F1BBCD
        + (source >> 32 & low) * 0x6C8E945
        + (destination & low) * 0x7A1F3E1
        + (destination >> 32 & low) * 0x5B2D6A9
        + (e & low) * 0x6A09E67
        + (e >> 32 & low) * 0x510E527
    )
    mixed = (mixed >> 32 ^ mixed) & low
    return (mixed * 0x5851F42D & 0x3FFF_FFFF_FFFF_FFFF) >> 29


def reverse_flows(table: FlowTable, flows: int) -> Int64s:
    """Return the opposite direction of each of the first `flows` flows, NO_FLOW without."""
    keys = table.keys[:flows]
    packed = keys[:, 4]
    ports = (packed >> 24 & 0xFFFF) << 40 | (packed >> 40 & 0xFFFF) << 24
    turned = np.empty_like(keys)
    turned[:, 0:2], turned[:, 2:4] = keys[:, 2:4], keys[:, 0:2]
    turned[:, 4] = ports | packed & 0xFF_FFFF
    # Entered into a copy: what is not there gets a number beyond the flows.
    copy = with_room(FlowTable(keys, table.sequence[:flows], table.slots), flows, flows + 1)
    found = np.empty(flows, dtype=np.int32)
    number_flows(turned, flows, copy.keys, copy.slots, flows, found)
    return np.where(found < flows, found, NO_FLOW).astype(np.int64)


def addresses(words: Int64s) -> npt.NDArray[np.uint8]:
    """Return 16-byte addresses, shape (flows, 16), of pairs of words, shape (flows, 2)."""
    return np.ascontiguousarray(words).astype(">i8").view(np.uint8).reshape(len(words), 16)
