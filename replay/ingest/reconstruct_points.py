"""Tracepoints as they fired, in time order: what every recorder's output is brought to first."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: No value: the tracepoint has none, or the recorder left it out.
NULL = -(1 << 63)
NO_DEVICE = 0xFFFF
#: What stands for a CPU or a thread that the recorder does not name: one more than there can be.
NO_CPU = 0xFFFF
NO_TID = (1 << 22) + 1


class Point(IntEnum):
    """The tracepoints that are understood, and what `object`, `value` and `other` hold."""

    IRQ_ENTRY = 0  # value: irq
    IRQ_EXIT = 1
    SOFTIRQ_ENTRY = 2  # value: vector
    SOFTIRQ_EXIT = 3
    SOFTIRQ_RAISE = 4
    POLL = 5  # object: address of the NAPI; value: packets; other: budget
    GRO = 6  # object: napi id; value: length on the wire; other: see `detail`
    RECEIVE = 7  # value: length on the wire
    XMIT = 8  # value: length on the wire; other: see `detail`
    XMIT_DONE = 9  # value: length on the wire
    XMIT_QUEUED = 10  # value: length on the wire
    SWITCH = 11  # value: the thread that gets the cpu; other: the thread before
    WAKEUP = 12  # value: the thread; other: the cpu it goes to
    WAKING = 13
    TIMER_START = 14  # object: address of the timer; value: expiry; other: function
    TIMER_FIRE = 15  # object: address of the timer; other: function
    EPOLL_WAIT = 16  # value: timeout; other: events that it may return
    EPOLL_RETURN = 17  # value: events


class Points(NamedTuple):
    """One entry a tracepoint that fired, sorted by time."""

    time: npt.NDArray[np.int64]  # ns since the trace's start
    cpu: npt.NDArray[np.int32]  # NO_CPU
    kind: npt.NDArray[np.uint8]  # Point
    device: npt.NDArray[np.uint16]  # index into the names of devices; NO_DEVICE
    tid: npt.NDArray[np.int32]  # the thread in whose context it fired; 0: the idle task; NO_TID
    object: npt.NDArray[np.int64]
    value: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, points: int) -> Points:
        """Return room for `points` points."""
        return cls(
            np.empty(points, np.int64),
            np.empty(points, np.int32),
            np.empty(points, np.uint8),
            np.empty(points, np.uint16),
            np.empty(points, np.int32),
            np.empty(points, np.int64),
            np.empty(points, np.int64),
            np.empty(points, np.int64),
        )

    def part(self, begin: int, end: int) -> Points:
        """Return the points from `begin` up to `end`, sharing memory."""
        return Points(**{name: column[begin:end] for name, column in self._asdict().items()})


#: `other` of a received or sent packet, from the lowest bit: 32 bits of hash, whether the hash is
#: of the transport flow, 8 bits of network header length (0: unknown), 16 bits of Ethernet type.
FLOW_HASH_BIT = 32
HEADER_SHIFT = 33
PROTOCOL_SHIFT = 41


def detail(
    flow_hash: int | None = None, network_header: int | None = None, protocol: int = 0
) -> int:
    """Pack what is known of a packet; the kernels of the readers do the same."""
    packed = protocol << PROTOCOL_SHIFT | (network_header or 0) << HEADER_SHIFT
    return packed if flow_hash is None else packed | 1 << FLOW_HASH_BIT | flow_hash
