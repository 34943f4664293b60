"""The flows of a capture: every 5-tuple gets a number, by a hash table of open addresses.

Who makes a capture chooses its keys, but cannot choose those that meet in the table: the hash
depends on numbers that are drawn anew for each table.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place, jit_inline, jit_inside
from replay.engine.intrinsics import at, folded, prefetch

Int64s = npt.NDArray[np.int64]

#: Words of a flow's ends: source (two), destination (two), and packed: see `pack`.
END_WORDS = 5
NO_FLOW = -1  # a free slot holds it, plus 1

#: Tunnels that a flow's packets are in, at most: a word each (see tunnels), the outermost first.
LEVELS = 3
#: Behind them stand the ends of the outermost IP packet: those of the flow's first packet.
OUTER = LEVELS
TUNNEL_WORDS = LEVELS + END_WORDS

_SECRET = 8  # numbers that the hash is made with

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
    secret: Int64s  # (_SECRET,): nobody knows who meets whom


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
        np.frombuffer(os.urandom(8 * _SECRET), dtype=np.int64),
    )


def with_room(table: FlowTable, flows: int, more: int) -> FlowTable:
    """Return `table`, of which `flows` are used, or a larger copy: with room for `more`."""
    if flows + more <= len(table.keys.ends):
        return table
    larger = new_table(2 * (flows + more))
    number_flows(table.keys, flows, larger, 0, np.empty(flows, np.int32))
    return larger


@jit_in_place
def number_flows(
    wanted: Keys, rows: int, table: FlowTable, flows: int, found: npt.NDArray[np.int32]
) -> int:
    """Write the flow of each of the first `rows` keys `wanted` into `found`; return the flows now.

    `table` has room. What tunnels need is out of the loop's way.
    """
    ends, known, slots, secret = wanted.ends, table.keys.ends, table.slots, table.secret
    mask = len(slots) - 1
    for first in range(0, rows, _TOGETHER):
        behind = min(first + _TOGETHER, rows)
        for number in range(first, behind):
            row = at(number)
            last = ends[row, 4]
            if last >= 0 and levels_of(last):
                last = _mixed(wanted.tunnels, row, last, secret)
            slot = mask & _hash(
                ends[row, 0], ends[row, 1], ends[row, 2], ends[row, 3], last, secret
            )
            prefetch(slots, slot)
            found[row] = slot
        for number in range(first, behind):
            flow = slots[at(found[at(number)])] - 1
            if flow >= 0:
                prefetch(known, flow * END_WORDS)
                prefetch(known, flow * END_WORDS + END_WORDS - 1)
        for number in range(first, behind):
            row = at(number)
            a, b, c, d = ends[row, 0], ends[row, 1], ends[row, 2], ends[row, 3]
            e = ends[row, 4]
            if e < 0:
                found[row] = NO_FLOW
                continue
            slot = int(found[row])
            flow = int(slots[at(slot)]) - 1
            while flow >= 0:
                other = at(flow)
                different = (known[other, 4] ^ e) | (known[other, 1] ^ b) | (known[other, 3] ^ d)
                different |= (known[other, 0] ^ a) | (known[other, 2] ^ c)
                if different == 0 and (
                    levels_of(e) == 0
                    or _same(wanted.tunnels, row, table.keys.tunnels, other, levels_of(e))
                ):
                    break
                slot = (slot + 1) & mask
                flow = int(slots[at(slot)]) - 1
            if flow < 0:
                flow = flows
                flows += 1
                slots[at(slot)] = flows
                other = at(flow)
                known[other, 0], known[other, 1], known[other, 2], known[other, 3] = a, b, c, d
                known[other, 4] = e
                if levels_of(e):
                    _keep(wanted.tunnels, row, table.keys.tunnels, other)
            found[row] = flow
    return flows


@jit_inside
def _mixed(tunnels: Int64s, row: int, last: int, secret: Int64s) -> int:
    """Return a key's last word mixed with the tunnels that its packet is in."""
    mixed = last
    for level in range(levels_of(last)):
        mixed = folded(mixed ^ secret[6], tunnels[row, level] ^ secret[7]) ^ last
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
def _hash(a: int, b: int, c: int, d: int, e: int, secret: Int64s) -> int:
    """Mix a key: each word meets a secret number before it is multiplied."""
    one = folded(a ^ secret[0], c ^ secret[1]) ^ folded(b ^ secret[2], d ^ secret[3])
    mixed: int = folded(one ^ secret[4], e ^ secret[5])
    return mixed


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
    own = turned[:, 4] == packed
    for word in (0, 1):  # the destination's are the source's then, too
        own &= turned[:, word] == ends[:, word]
    return Keys(common, keys.tunnels), own


def addresses(words: Int64s) -> npt.NDArray[np.uint8]:
    """Return 16-byte addresses, shape (flows, 16), of pairs of words, shape (flows, 2)."""
    return np.ascontiguousarray(words).astype(">i8").view(np.uint8).reshape(len(words), 16)
