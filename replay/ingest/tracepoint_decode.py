"""Samples of known tracepoints decoded into Points, in time order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place
from replay.ingest.little_endian import Bytes, load, load8, load32
from replay.ingest.perf_walk import Index
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
MOST_DEVICES = 4096
MOST_THREADS = 1 << 16  # whose names are kept
HIGHEST_TID = 1 << 22  # PID_MAX_LIMIT
HIGHEST_CPU = 0xFFFF

#: What can be wrong with a sample.
GOOD, BAD_TEXT, BAD_CPU, BAD_THREAD, MANY_DEVICES = range(5)
PROBLEMS = {
    BAD_TEXT: "a text that reaches beyond the sample",
    BAD_CPU: f"a CPU outside 0 to {HIGHEST_CPU}",
    BAD_THREAD: f"a thread id outside 0 to {HIGHEST_TID}",
    MANY_DEVICES: f"more than {MOST_DEVICES} device names",
}

_GRO, _RECEIVE, _XMIT = int(Point.GRO), int(Point.RECEIVE), int(Point.XMIT)
_SWITCH, _WAKEUP, _WAKING = int(Point.SWITCH), int(Point.WAKEUP), int(Point.WAKING)


@jit_in_place
def decode(
    data: Bytes,
    index: Index,
    order: Int64s,
    origin: int,
    kinds: Int64s,
    fields: Int64s,
    points: Points,
    devices: Int64s,
    threads: Int64s,
    seen: npt.NDArray[np.uint8],
) -> tuple[int, int, int, int]:
    """Fill `points` with the samples of `index` in `order`, times counted from `origin`.

    devices (room, 2) takes the names found, sixteen bytes each as two integers; threads
    (MOST_THREADS, 3) takes thread ids with the place and size of their names; seen
    (HIGHEST_TID + 1,) must be zero. Returns (devices, threads, problem, the sample it is in).
    """
    found_devices = 0
    found_threads = 0
    for place in range(len(order)):
        sample = order[place]
        slot = index.slot[sample]
        raw = index.raw[sample]
        kind = kinds[slot]
        table = fields[slot]
        tid = _field(data, raw, table, PID)
        cpu = index.cpu[sample]
        if not 0 <= cpu <= HIGHEST_CPU:
            return found_devices, found_threads, BAD_CPU, sample
        if not 0 <= tid <= HIGHEST_TID:
            return found_devices, found_threads, BAD_THREAD, sample
        device = NO_DEVICE
        if table[DEVICE, 0] >= 0:
            device = _device(data, raw, table, devices, found_devices)
            if device < 0:
                return found_devices, found_threads, BAD_TEXT, sample
            if device == found_devices:
                found_devices += 1
                if found_devices == len(devices):
                    return found_devices, found_threads, MANY_DEVICES, sample
        value = _field(data, raw, table, VALUE)
        other = _field(data, raw, table, OTHER)
        if kind in (_GRO, _XMIT):
            other = _detail(data, raw, table)
        if kind == _GRO:
            value += _link_header(data, raw, table)
        elif kind == _RECEIVE:
            # skb->len without the link's header, which eth_type_trans() has taken off.
            value += ETHERNET_HEADER
        elif kind in (_SWITCH, _WAKEUP, _WAKING):
            if not 0 <= value <= HIGHEST_TID:
                return found_devices, found_threads, BAD_THREAD, sample
            if kind == _SWITCH and not 0 <= other <= HIGHEST_TID:
                return found_devices, found_threads, BAD_THREAD, sample
            if seen[value] == 0 and table[COMM, 0] >= 0 and found_threads < MOST_THREADS:
                seen[value] = 1
                threads[found_threads, 0] = value
                threads[found_threads, 1] = raw + table[COMM, 0]
                threads[found_threads, 2] = table[COMM, 1]
                found_threads += 1
        points.time[place] = index.time[sample] - origin
        points.cpu[place] = cpu
        points.kind[place] = kind
        points.device[place] = device
        points.tid[place] = tid
        points.object[place] = _field(data, raw, table, OBJECT)
        points.value[place] = value
        points.other[place] = other
    return found_devices, found_threads, GOOD, 0


@jit_in_place
def _field(data: Bytes, raw: int, table: Int64s, role: int) -> int:
    if table[role, 0] < 0:
        return NULL
    return load(data, raw + table[role, 0], table[role, 1], table[role, 2])


@jit_in_place
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


@jit_in_place
def _link_header(data: Bytes, raw: int, table: Int64s) -> int:
    """Return the length of a received packet's link header, which skb->len leaves out."""
    if table[MAC, 0] >= 0 and table[MAC_VALID, 0] >= 0:
        before = -_field(data, raw, table, MAC)
        if _field(data, raw, table, MAC_VALID) != 0 and 0 <= before < 256:
            return before
    return ETHERNET_HEADER


@jit_in_place
def _device(data: Bytes, raw: int, table: Int64s, devices: Int64s, found: int) -> int:
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
        if at + length > raw + load32(data, raw - 4):
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
    for known in range(found):
        if devices[known, 0] == first and devices[known, 1] == second:
            return known
    devices[found, 0] = first
    devices[found, 1] = second
    return found
