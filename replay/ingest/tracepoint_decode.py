"""One tracepoint's record, decoded into a row of Points by the places of its fields."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_inline
from replay.ingest.little_endian import Bytes, load, load8, load32
from replay.ingest.reconstruct_points import (
    FLOW_HASH_BIT,
    HEADER_SHIFT,
    NO_DEVICE,
    NULL,
    PROTOCOL_SHIFT,
    Point,
    Points,
)
from replay.ingest.tracepoints import (
    COMM,
    DEVICE,
    HASH,
    HASH_IS_FLOW,
    MAC,
    MAC_VALID,
    NETWORK,
    OBJECT,
    OTHER,
    PID,
    PROTOCOL,
    TRANSPORT,
    TRANSPORT_VALID,
    VALUE,
)

Int64s = npt.NDArray[np.int64]

ETHERNET_HEADER = 14
MOST_DEVICES = 4096  # fewer than NO_DEVICE
MOST_THREADS = 1 << 16  # whose names are kept
HIGHEST_TID = 1 << 22  # PID_MAX_LIMIT
HIGHEST_CPU = 0xFFFF
LATEST = 1 << 62  # ns: later times have no differences

#: What can be wrong with a sample.
GOOD, BAD_SAMPLE, BAD_TIME, BAD_TEXT, BAD_CPU, BAD_THREAD, MANY_DEVICES = range(7)
PROBLEM_KINDS = 7
PROBLEMS = {
    BAD_SAMPLE: "fewer bytes than its fields",
    BAD_TIME: "a time that cannot be",
    BAD_TEXT: "a text that reaches beyond the sample",
    BAD_CPU: f"a CPU outside 0 to {HIGHEST_CPU}",
    BAD_THREAD: f"a thread id outside 0 to {HIGHEST_TID}",
    MANY_DEVICES: f"more than {MOST_DEVICES} device names",
}

_GRO, _RECEIVE, _XMIT = int(Point.GRO), int(Point.RECEIVE), int(Point.XMIT)
_SWITCH, _WAKEUP, _WAKING = int(Point.SWITCH), int(Point.WAKEUP), int(Point.WAKING)


class Names(NamedTuple):
    """What devices and threads are called, as far as it was met."""

    devices: Int64s  # (MOST_DEVICES, 2) sixteen bytes each, as two integers
    threads: Int64s  # (MOST_THREADS, 3) thread id, place and size of its name in the data
    seen: npt.NDArray[np.uint8]  # (HIGHEST_TID + 1,) whether a thread is among them
    found: Int64s  # (2,) how many devices and threads

    @classmethod
    def empty(cls) -> Names:
        """Return room; the system gives memory to what is written only."""
        return cls(
            np.zeros((MOST_DEVICES, 2), np.int64),
            np.zeros((MOST_THREADS, 3), np.int64),
            np.zeros(HIGHEST_TID + 1, np.uint8),
            np.zeros(2, np.int64),
        )


@jit_inline
def decode(
    data: Bytes,
    raw: int,
    size: int,
    kind: int,
    table: Int64s,
    time: int,
    cpu: int,
    names: Names,
    points: Points,
    place: int,
) -> int:
    """Fill row `place` of `points` with the record at data[raw:raw + size]; return its problem.

    kind: Point; table (ROLES, COLUMNS): where its fields lie, all of them within `size`.
    """
    tid = _field(data, raw, table, PID)
    if not 0 <= time <= LATEST:
        return BAD_TIME
    if not 0 <= cpu <= HIGHEST_CPU:
        return BAD_CPU
    if not 0 <= tid <= HIGHEST_TID:
        return BAD_THREAD
    device = NO_DEVICE
    if table[DEVICE, 0] >= 0:
        device = _device(data, raw, size, table, names)
        if device < 0:
            return BAD_TEXT
        if device == MOST_DEVICES:
            return MANY_DEVICES
    value = _field(data, raw, table, VALUE)
    other = _field(data, raw, table, OTHER)
    if kind == _GRO:
        other = _detail(data, raw, table)
        value += _link_header(data, raw, table)
    elif kind == _XMIT:
        other = _detail(data, raw, table)
    elif kind == _RECEIVE:
        # skb->len without the link's header, which eth_type_trans() has taken off.
        value += ETHERNET_HEADER
    elif kind in (_SWITCH, _WAKEUP, _WAKING):
        if not 0 <= value <= HIGHEST_TID:
            return BAD_THREAD
        if kind == _SWITCH and not 0 <= other <= HIGHEST_TID:
            return BAD_THREAD
        found = names.found[1]
        if names.seen[value] == 0 and table[COMM, 0] >= 0 and found < MOST_THREADS:
            names.seen[value] = 1
            names.threads[found, 0] = value
            names.threads[found, 1] = raw + table[COMM, 0]
            names.threads[found, 2] = table[COMM, 1]
            names.found[1] = found + 1
    points.time[place] = time
    points.cpu[place] = cpu
    points.kind[place] = kind
    points.device[place] = device
    points.tid[place] = tid
    points.object[place] = _field(data, raw, table, OBJECT)
    points.value[place] = value
    points.other[place] = other
    return GOOD


@jit_inline
def _field(data: Bytes, raw: int, table: Int64s, role: int) -> int:
    if table[role, 0] < 0:
        return NULL
    return load(data, raw + table[role, 0], table[role, 1], table[role, 2])


@jit_inline
def _detail(data: Bytes, raw: int, table: Int64s) -> int:
    """Pack what is known of a packet; see reconstruct_points.detail."""
    packed = 0
    if table[PROTOCOL, 0] >= 0:
        packed |= (_field(data, raw, table, PROTOCOL) & 0xFFFF) << PROTOCOL_SHIFT
    hashed = table[HASH, 0] >= 0 and table[HASH_IS_FLOW, 0] >= 0
    if hashed and _field(data, raw, table, HASH_IS_FLOW) != 0:
        packed |= 1 << FLOW_HASH_BIT | _field(data, raw, table, HASH) & 0xFFFFFFFF
    if table[NETWORK, 0] >= 0 and table[TRANSPORT, 0] >= 0 and table[TRANSPORT_VALID, 0] >= 0:
        header = _field(data, raw, table, TRANSPORT) - _field(data, raw, table, NETWORK)
        if _field(data, raw, table, TRANSPORT_VALID) != 0 and 0 < header < 256:
            packed |= header << HEADER_SHIFT
    return packed


@jit_inline
def _link_header(data: Bytes, raw: int, table: Int64s) -> int:
    """Return the length of a received packet's link header, which skb->len leaves out."""
    if table[MAC, 0] >= 0 and table[MAC_VALID, 0] >= 0:
        before = -_field(data, raw, table, MAC)
        if _field(data, raw, table, MAC_VALID) != 0 and 0 <= before < 256:
            return before
    return ETHERNET_HEADER


@jit_inline
def _device(data: Bytes, raw: int, size: int, table: Int64s, names: Names) -> int:
    """Return the number of the device named in a sample, new names added; -1: damaged.

    "(no_device)", which stands for the CPU's backlog, is NO_DEVICE.
    """
    at = raw + table[DEVICE, 0]
    length = table[DEVICE, 1]
    if table[DEVICE, 3] != 1:
        where = load32(data, at)
        length = where >> 16
        # __rel_data_loc counts from its own end, __data_loc from the record's start.
        at = (at + 4 if table[DEVICE, 3] == 3 else raw) + (where & 0xFFFF)
        if at + length > raw + size:
            return -1
    first = 0
    second = 0
    for position in range(min(length, 16)):
        byte = load8(data, at + position)
        if byte == 0:
            break
        if position < 8:
            first |= byte << (8 * position)
        else:
            second |= byte << (8 * (position - 8))
    if first & 0xFF == 0x28:  # "("
        return NO_DEVICE
    found: int = names.found[0]
    for known in range(found):
        if names.devices[known, 0] == first and names.devices[known, 1] == second:
            return known
    if found < MOST_DEVICES:
        names.devices[found, 0] = first
        names.devices[found, 1] = second
        names.found[0] = found + 1
    return found
