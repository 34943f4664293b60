"""The flows of a capture: every 5-tuple gets a number, by a hash table of open addresses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place, jit_inline, jit_inside, prefetch

Int64s = npt.NDArray[np.int64]

#: Words of a flow's ends: source (two), destination (two), and packed: see `pack`.
END_WORDS = 5
NO_FLOW = -1  # a free slot holds it, plus 1

#: Tunnels that a flow's packets are in, at most: a word each (see tunnels), the outermost first.
LEVELS = 3
#: Behind them stand the ends of the outermost IP packet: those of the flow's first packet.
OUTER = LEVELS
TUNNEL_WORDS = LEVELS + END_WORDS

#: Keys that are looked for together: while memory brings what one needs, others are hashed.
_TOGETHER = 64

#: The upper half of the lower word of an IPv4 address in 16 bytes, ::ffff:a.b.c.d.
MAPPED = 0xFFFF << 32


class Keys(NamedTuple):
    """What makes packets belong to one flow: ends and, of packets in tunnels alone, the tunnels."""

    ends: Int64s  # (rows, END_WORDS); a negative last word is NO_FLOW
    tunnels: Int64s  # (rows, TUNNEL_WORDS), of which as many are written as `pack` was told

    def part(self, first: int, behind: int) -> Keys:
        """Return the rows from `first` up to `behind`, sharing memory."""
        return Keys(self.ends[first:behind], self.tunnels[first:behind])


class FlowTable(NamedTuple):
    """Flows met so far. `slots` has a power of two of entries, at least twice the flows."""

    keys: Keys
    slots: npt.NDArray[np.int32]  # flow + 1; 0 is free


@jit_inline
def pack(port: int, other_port: int, protocol: int, six: bool, vlan: int, levels: int) -> int:
    """Return a key's last word: ports, protocol, whether IPv6, tunnels and vlan (-1 without)."""
    return (
        port << 40 | other_port << 24 | protocol << 16 | int(six) << 15 | levels << 13 | (vlan + 1)
    )


@jit_inline
def levels_of(packed: int) -> int:
    """Return how many tunnels the packets are in."""
    return packed >> 13 & 3


def unpack(words: Int64s) -> dict[str, Int64s]:
    """Return the ports, protocol, version, tunnels and vlan of packed words, of their shape."""
    return {
        "source_port": words >> 40 & 0xFFFF,
        "destination_port": words >> 24 & 0xFFFF,
        "protocol": words >> 16 & 0xFF,
        "version": np.where(words >> 15 & 1, 6, 4),
        "levels": words >> 13 & 3,
        "vlan": (words & 0x1FFF) - 1,
    }


def new_keys(rows: int) -> Keys:
    """Return room for the keys of `rows` rows."""
    return Keys(
        np.empty((rows, END_WORDS), dtype=np.int64), np.empty((rows, TUNNEL_WORDS), dtype=np.int64)
    )


def new_table(room: int) -> FlowTable:
    """Return an empty table with room for `room` flows."""
    slots = 1 << (2 * room - 1).bit_length()
    return FlowTable(
        new_keys(room),
        np.zeros(slots, dtype=np.int32),
    )


def with_room(table: FlowTable, flows: int, more: int) -> FlowTable:
    """Return `table`, of which `flows` are used, or a larger copy: with room for `more`."""
    if flows + more <= len(table.keys.ends):
        return table
    larger = new_table(2 * (flows + more))
    number_flows(table.keys, flows, larger.keys, larger.slots, 0, np.empty(flows, np.int32))
    return larger


@jit_in_place
def number_flows(
    wanted: Keys,
    rows: int,
    keys: Keys,
    slots: npt.NDArray[np.int32],
    flows: int,
    found: npt.NDArray[np.int32],
) -> int:
    """Write the flow of each of the first `rows` keys `wanted` into `found`; return the flows now.

    `keys` and `slots` are a table's, which has room. What tunnels need is out of the loop's way.
    """
    ends, tunnels, known, known_tunnels = wanted.ends, wanted.tunnels, keys.ends, keys.tunnels
    mask = len(slots) - 1
    for first in range(0, rows, _TOGETHER):
        behind = min(first + _TOGETHER, rows)
        for row in range(first, behind):
            e = ends[row, 4]
            levels = levels_of(e) if e >= 0 else 0
            mixed = e ^ _mixed(tunnels, row, levels) if levels else e
            slot = _hash(ends[row, 0], ends[row, 1], ends[row, 2], ends[row, 3], mixed) & mask
            prefetch(slots, slot)
            found[row] = slot
        for row in range(first, behind):
            flow = slots[found[row]] - 1
            if flow >= 0:
                prefetch(known, flow * END_WORDS)
                prefetch(known, flow * END_WORDS + END_WORDS - 1)
        for row in range(first, behind):
            e = ends[row, 4]
            if e < 0:
                found[row] = NO_FLOW
                continue
            a, b, c, d = ends[row, 0], ends[row, 1], ends[row, 2], ends[row, 3]
            levels = levels_of(e)
            slot = int(found[row])
            flow = slots[slot] - 1
            while flow >= 0 and not (
                known[flow, 4] == e
                and known[flow, 1] == b
                and known[flow, 3] == d
                and known[flow, 0] == a
                and known[flow, 2] == c
                and (levels == 0 or _same(tunnels, row, known_tunnels, flow, levels))
            ):
                slot = (slot + 1) & mask
                flow = slots[slot] - 1
            if flow < 0:
                flow = flows
                flows += 1
                slots[slot] = flows
                known[flow, 0], known[flow, 1], known[flow, 2], known[flow, 3] = a, b, c, d
                known[flow, 4] = e
                if levels:
                    _keep(tunnels, row, known_tunnels, flow)
            found[row] = flow
    return flows


@jit_inside
def _mixed(tunnels: Int64s, row: int, levels: int) -> int:
    """Return a number that differs where tunnels do."""
    mixed = 0
    for level in range(levels):
        mixed ^= tunnels[row, level] << level
    return mixed


@jit_inside
def _same(tunnels: Int64s, row: int, known: Int64s, flow: int, levels: int) -> bool:
    """Return whether a packet is in the tunnels of a flow."""
    same = True
    for level in range(levels):
        same &= known[flow, level] == tunnels[row, level]
    return same


@jit_inside
def _keep(tunnels: Int64s, row: int, known: Int64s, flow: int) -> None:
    """Note the tunnels of a flow's first packet, and their ends."""
    for word in range(TUNNEL_WORDS):
        known[flow, word] = tunnels[row, word]


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


def one_of_two(keys: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Return keys of the same shape that a connection's two directions have in common.

    And whether both directions are one: what a port sends to itself.
    """
    ends = keys.ends
    packed = ends[:, 4]
    ports = (packed >> 24 & 0xFFFF) << 40 | (packed >> 40 & 0xFFFF) << 24
    turned = np.empty_like(ends)
    turned[:, 0:2], turned[:, 2:4] = ends[:, 2:4], ends[:, 0:2]
    turned[:, 4] = ports | packed & 0xFF_FFFF
    later = turned[:, 4] < packed
    for word in (1, 0):  # the highest decides last
        later = (turned[:, word] < ends[:, word]) | ((turned[:, word] == ends[:, word]) & later)
    common = np.where(later[:, None], turned, ends)
    return Keys(common, keys.tunnels), (turned == ends).all(axis=1)


def addresses(words: Int64s) -> npt.NDArray[np.uint8]:
    """Return 16-byte addresses, shape (flows, 16), of pairs of words, shape (flows, 2)."""
    return np.ascontiguousarray(words).astype(">i8").view(np.uint8).reshape(len(words), 16)
