"""One line's values as a point."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_inline, jit_inside
from replay.ingest.little_endian import Bytes
from replay.ingest.reconstruct_points import NO_CPU, NO_DEVICE, NO_TID, NULL, Point, Points
from replay.ingest.text_line import HEADER_CPU, TID, TIME
from replay.ingest.text_values import Line, two_words
from replay.ingest.tracepoint_values import (
    ETHERNET_HEADER,
    HIGHEST_TID,
    MOST_DEVICES,
    device_number,
    link_header,
    packet_detail,
)
from replay.ingest.tracepoints import (
    DEVICE,
    HASH,
    HASH_IS_FLOW,
    MAC,
    MAC_VALID,
    NETWORK,
    OBJECT,
    OTHER,
    PROTOCOL,
    TRANSPORT,
    TRANSPORT_VALID,
    VALUE,
)

Int64s = npt.NDArray[np.int64]

_GRO, _RECEIVE, _XMIT = int(Point.GRO), int(Point.RECEIVE), int(Point.XMIT)
_SWITCH, _WAKEUP, _WAKING = int(Point.SWITCH), int(Point.WAKEUP), int(Point.WAKING)
_EPOLL_WAIT = int(Point.EPOLL_WAIT)
_PACKETS = (_GRO, _RECEIVE, _XMIT, int(Point.XMIT_DONE), int(Point.XMIT_QUEUED))
_LONGEST = 0xFFFFFFFF  # skb->len


@jit_inline
def write_point(
    data: Bytes, kind: int, line: Line, points: Points, row: int, devices: Int64s, names: Int64s
) -> bool:
    """Write a point of `kind`; False where its values cannot be. devices, names: as in Found."""
    values = line.value
    cpu, tid = line.header[HEADER_CPU], line.header[TID]
    value, other = values[VALUE], values[OTHER]
    if not 0 <= cpu <= NO_CPU or not 0 <= tid <= NO_TID:
        return False
    device = NO_DEVICE
    if values[DEVICE] != NULL:
        first, second = two_words(data, values[DEVICE], line.end[DEVICE])
        device = device_number(devices, names, first, second)
        if device == MOST_DEVICES:
            return False
    if kind in _PACKETS and not 0 <= value <= _LONGEST:
        return False
    if kind == _GRO:
        value += link_header(values[MAC], values[MAC_VALID])
    elif kind == _RECEIVE:
        # skb->len without the link's header, which eth_type_trans() has taken off.
        value += ETHERNET_HEADER
    elif kind == _SWITCH:
        if not 0 <= value <= HIGHEST_TID or not 0 <= other <= HIGHEST_TID:
            return False
    elif kind in (_WAKEUP, _WAKING):
        if not 0 <= value <= NO_TID:
            return False
    elif kind == _EPOLL_WAIT:
        value, other = _int32(value), _int32(other)
    if kind in (_GRO, _XMIT):
        other = packet_detail(
            values[PROTOCOL],
            values[HASH],
            values[HASH_IS_FLOW],
            values[NETWORK],
            values[TRANSPORT],
            values[TRANSPORT_VALID],
        )
    points.time[row] = line.header[TIME]
    points.cpu[row] = cpu
    points.kind[row] = kind
    points.device[row] = device
    points.tid[row] = tid
    points.object[row] = values[OBJECT]
    points.value[row] = value
    points.other[row] = other
    return True


@jit_inside
def _int32(value: int) -> int:
    """Return the int argument of a system call, of whose 64 bits half is noise."""
    return NULL if value == NULL else ((value & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000
