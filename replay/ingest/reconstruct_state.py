"""What is kept while points are made into events: the columns filled, CPUs, NAPIs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place

Int64s = npt.NDArray[np.int64]

NO_NAPI = -1
NO_CAUSE = 255
NO_DURATION = -1
NO_BUDGET = -1


class Columns(NamedTuple):
    """The events table's columns."""

    time: npt.NDArray[np.int64]
    cpu: npt.NDArray[np.uint16]
    kind: npt.NDArray[np.uint8]  # EventKind
    device: npt.NDArray[np.uint16]  # NO_DEVICE where none
    napi: npt.NDArray[np.int32]  # its place among all NAPIs that were polled; NO_NAPI
    tid: npt.NDArray[np.int32]
    value: npt.NDArray[np.int64]
    budget: npt.NDArray[np.int32]  # NO_BUDGET
    cause: npt.NDArray[np.uint8]  # Cause, NO_CAUSE
    duration: npt.NDArray[np.int64]  # NO_DURATION

    @classmethod
    def empty(cls, rows: int) -> Columns:
        """Return room for `rows` rows."""
        return cls(
            time=np.empty(rows, np.int64),
            cpu=np.empty(rows, np.uint16),
            kind=np.empty(rows, np.uint8),
            device=np.empty(rows, np.uint16),
            napi=np.empty(rows, np.int32),
            tid=np.empty(rows, np.int32),
            value=np.empty(rows, np.int64),
            budget=np.empty(rows, np.int32),
            cause=np.empty(rows, np.uint8),
            duration=np.empty(rows, np.int64),
        )

    def part(self, rows: slice) -> Columns:
        """Return some rows, sharing memory."""
        return Columns(**{name: column[rows] for name, column in self._asdict().items()})


class PacketEvents(NamedTuple):
    """What packets' receive and transmit events say of them, of all devices, in order of time."""

    row: npt.NDArray[np.int64]  # of the event
    time: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    detail: npt.NDArray[np.int64]  # see reconstruct_points.detail; NULL
    cpu: npt.NDArray[np.uint16]
    device: npt.NDArray[np.uint16]
    kind: npt.NDArray[np.uint8]  # EventKind

    @classmethod
    def empty(cls, rows: int) -> PacketEvents:
        """Return room for `rows` rows."""
        return cls(
            row=np.empty(rows, np.int64),
            time=np.empty(rows, np.int64),
            length=np.empty(rows, np.int64),
            detail=np.empty(rows, np.int64),
            cpu=np.empty(rows, np.uint16),
            device=np.empty(rows, np.uint16),
            kind=np.empty(rows, np.uint8),
        )

    def part(self, rows: slice) -> PacketEvents:
        """Return some rows, sharing memory."""
        return PacketEvents(**{name: column[rows] for name, column in self._asdict().items()})


class Block(NamedTuple):
    """A part of the events, being filled, and what is learned of those before it."""

    events: Columns
    packets: PacketEvents
    begin: int  # number of its first event
    late: Int64s  # (room, 3) of an event before it: its number, and its duration or cause; -1
    found: Int64s  # (3,) rows that are filled, rows of `late`, rows of `packets`


class Known(NamedTuple):
    """What is known of the whole recording before its points are read one by one."""

    napis: Int64s  # addresses, sorted
    timers: Int64s  # addresses of their timers
    watchdog: int  # address of napi_watchdog(); NULL where it was not found
    clock: int  # ns to take from an expiry to get trace time; NULL where clocks differ
    gro_devices: npt.NDArray[np.uint8]  # by device: its packets are seen by GRO
    sent_by: npt.NDArray[np.uint8]  # by device: the Point that says that it sent a packet
    wake: int  # the Point that says that a thread was made runnable
    napi_threads: npt.NDArray[np.uint8]  # by thread id
    raises: bool  # NET_RX raises were recorded
    softirqs: bool  # softirq entries were recorded


class Napi(NamedTuple):
    """What is known of each NAPI. Shape (NAPIs,), in the order of known.napis; 0 at first."""

    full: Int64s  # its last poll used its whole budget
    expires: Int64s  # when its timer fires; 0 where it is not armed
    fired: Int64s  # the timer's time came since the last poll, seen or not
    id: Int64s  # as received packets name it


class Cpu(NamedTuple):
    """What each CPU is in the middle of. Shape (cpus,); rows are -1 where there is none."""

    run: Int64s  # row of the thread that has it
    run_start: Int64s
    softirq: Int64s  # row of the NET_RX pass
    softirq_cause: Int64s
    softirq_start: Int64s
    irq: Int64s  # row of the handler
    irq_start: Int64s
    irq_seen: Int64s  # since the last NET_RX pass
    raised: Int64s  # Cause of the pending NET_RX
    timer: Int64s  # place of the NAPI whose watchdog has just fired; NO_NAPI: not known which
    timer_time: Int64s
    busy: Int64s  # row of the last busy poll
    polled: Int64s  # end of the last poll in this run or pass
    sent: Int64s  # row of the last packet sent
    sent_time: Int64s
    sent_tid: Int64s
    sent_device: Int64s
    gro_napi: Int64s  # napi id of the packets since the last poll


@jit_in_place
def last_time(times: Int64s, cpus: npt.NDArray[np.uint16], cpu: int, before: int) -> int:
    """Return when the last event on `cpu` before `before` was; 0 where there is none."""
    row = np.searchsorted(times, before) - 1
    while row >= 0 and cpus[row] != cpu:
        row -= 1
    found: int = times[row] if row >= 0 else 0
    return found
