"""One tracepoint's record, decoded into a row of Points by the places of its fields."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_inline
from replay.ingest.little_endian import Bytes, load, load8, load32
from replay.ingest.reconstruct_points import NO_DEVICE, NULL, Point, Points
from replay.ingest.tracepoint_values import (
    ETHERNET_HEADER,
    HIGHEST_CPU,
    HIGHEST_TID,
    MOST_DEVICES,
    MOST_THREADS,
    device_number,
    link_header,
    packet_detail,
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
    if kind in (_GRO, _XMIT):
        other = packet_detail(
            _field(data, raw, table, PROTOCOL),
            _field(data, raw, table, HASH),
            _field(data, raw, table, HASH_IS_FLOW),
            _field(data, raw, table, NETWORK),
            _field(data, raw, table, TRANSPORT),
            _field(data, raw, table, TRANSPORT_VALID),
        )
    if kind == _GRO:
        value += link_header(_field(data, raw, table, MAC), _field(data, raw, table, MAC_VALID))
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
    return device_number(names.devices, names.found, first, second)
