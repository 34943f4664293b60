"""Points made into events: entries paired with exits, and each poll and wake-up with its cause.

A poll inside NET_RX was caused by what raised it; one in a NAPI thread by what woke the thread;
one in another thread's own context is a busy poll, the last of a run being the extra poll of
busy_poll_stop().
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit
from replay.ingest.reconstruct_points import NO_DEVICE, NULL, Point, Points
from replay.trace.schema import Cause, EventKind

Int64s = npt.NDArray[np.int64]

NET_RX = 3  # softirq vector
NO_NAPI = -1
_LATEST_WAKE_NS = 1_000_000  # from napi_watchdog's expiry to the wake-up it makes


class Columns(NamedTuple):
    """The events table's columns, and `detail` of received and sent packets; NULL where none."""

    time: npt.NDArray[np.int64]
    cpu: npt.NDArray[np.uint16]
    kind: npt.NDArray[np.uint8]  # EventKind
    device: npt.NDArray[np.uint16]  # NO_DEVICE
    napi: npt.NDArray[np.int64]  # while causes are sought, the place in `napis`; NO_NAPI
    tid: npt.NDArray[np.int32]
    value: npt.NDArray[np.int64]
    budget: npt.NDArray[np.int32]  # -1
    cause: npt.NDArray[np.uint8]  # 255
    duration: npt.NDArray[np.int64]  # -1
    detail: npt.NDArray[np.int64]


class Known(NamedTuple):
    """What is known of the whole recording before its points are read one by one."""

    napis: Int64s  # addresses, sorted
    watchdog: int  # address of napi_watchdog(); NULL where it was not found
    timer_offset: int  # from a NAPI's address to its timer's
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
    irq: Int64s  # row of the handler
    irq_seen: Int64s  # since the last NET_RX pass
    raised: Int64s  # Cause of the pending NET_RX
    timer: Int64s  # place of the NAPI whose watchdog has just fired
    timer_time: Int64s
    busy: Int64s  # row of the last busy poll
    polled: Int64s  # end of the last poll in this run or pass
    sent: Int64s  # row of the last packet sent
    gro_napi: Int64s  # napi id of the packets since the last poll


_P = Point
_IRQ_ENTRY, _IRQ_EXIT = int(_P.IRQ_ENTRY), int(_P.IRQ_EXIT)
_SOFTIRQ_ENTRY, _SOFTIRQ_EXIT = int(_P.SOFTIRQ_ENTRY), int(_P.SOFTIRQ_EXIT)
_RAISE, _POLL, _GRO, _RECEIVE = int(_P.SOFTIRQ_RAISE), int(_P.POLL), int(_P.GRO), int(_P.RECEIVE)
_XMIT, _XMIT_DONE, _QUEUED = int(_P.XMIT), int(_P.XMIT_DONE), int(_P.XMIT_QUEUED)
_SWITCH, _START, _FIRE = int(_P.SWITCH), int(_P.TIMER_START), int(_P.TIMER_FIRE)
_EPOLL_WAIT, _EPOLL_RETURN = int(_P.EPOLL_WAIT), int(_P.EPOLL_RETURN)
_WAKEUP, _WAKING = int(_P.WAKEUP), int(_P.WAKING)

_C = Cause
_UNKNOWN, _BY_IRQ, _BY_TIMER, _RESUME = int(_C.UNKNOWN), int(_C.IRQ), int(_C.TIMER), int(_C.RESUME)
_REPOLL, _BUSY, _STOP, _THREAD = int(_C.REPOLL), int(_C.BUSY), int(_C.STOP), int(_C.THREAD)

_K = EventKind
_KIND = np.zeros(len(_P), np.uint8)
for _point, _event in (
    (_P.IRQ_ENTRY, _K.IRQ),
    (_P.SOFTIRQ_ENTRY, _K.SOFTIRQ),
    (_P.SOFTIRQ_RAISE, _K.RAISE),
    (_P.POLL, _K.POLL),
    (_P.GRO, _K.RECEIVE),
    (_P.RECEIVE, _K.RECEIVE),
    (_P.XMIT, _K.XMIT),
    (_P.XMIT_DONE, _K.XMIT),
    (_P.XMIT_QUEUED, _K.XMIT),
    (_P.SWITCH, _K.RUN),
    (_P.WAKEUP, _K.WAKE),
    (_P.WAKING, _K.WAKE),
    (_P.TIMER_START, _K.TIMER_START),
    (_P.TIMER_FIRE, _K.TIMER),
    (_P.EPOLL_WAIT, _K.EPOLL_WAIT),
    (_P.EPOLL_RETURN, _K.EPOLL_RETURN),
):
    _KIND[_point] = _event


@jit
def find_events(
    points: Points,
    known: Known,
    cpus: Cpu,
    in_epoll: npt.NDArray[np.uint8],
    woken: npt.NDArray[np.uint8],
    napis: Napi,
    events: Columns,
) -> int:
    """Write the events that `points` make, in order of time; returns their number.

    in_epoll, woken: by thread id, zero at first.
    """
    rows = 0
    for place in range(len(points.time)):
        kind = points.kind[place]
        cpu = points.cpu[place]
        time = points.time[place]
        if _ends_something(points, place, kind, cpu, time, known, cpus, events):
            continue
        device = points.device[place]
        value = points.value[place]
        tid = points.tid[place]
        napi = np.int64(NO_NAPI)
        budget = np.int64(-1)
        cause = np.int64(255)
        duration = np.int64(-1)
        detail = np.int64(NULL)
        if kind == _POLL:
            napi = _find(known.napis, points.object[place])
            if 0 < napis.expires[napi] <= time:
                napis.fired[napi], napis.expires[napi] = 1, 0
            cause = _poll_cause(napi, tid, cpu, known, cpus, in_epoll, woken, napis, time)
            budget = points.other[place]
            napis.full[napi] = value >= budget and budget > 0
            if cpus.gro_napi[cpu] > 0:
                napis.id[napi] = cpus.gro_napi[cpu]
                cpus.gro_napi[cpu] = 0
            began = max(cpus.polled[cpu], cpus.run_start[cpu])
            if began >= 0 and cause != _UNKNOWN:
                duration = time - began
            cpus.polled[cpu] = time
            cpus.timer[cpu] = NO_NAPI
            if cause == _BUSY:
                cpus.busy[cpu] = rows
            else:
                _end_busy_run(cpu, cpus, events)
        elif kind == _SWITCH:
            _end_run(time, cpu, cpus, events)
            cpus.run[cpu] = rows
            cpus.run_start[cpu] = time
            cpus.polled[cpu] = -1
            cpus.timer[cpu] = NO_NAPI
            tid = value
            value = points.other[place]
        elif kind == known.wake:
            target = value
            value = points.other[place]
            if known.napi_threads[target]:
                cause = _wake_cause(time, tid, cpu, cpus, in_epoll)
                woken[target] = cause
                _end_busy_run(cpu, cpus, events)
            tid = target
        elif kind == _GRO:
            if points.object[place] > 0:
                cpus.gro_napi[cpu] = points.object[place]
            detail = points.other[place]
        elif kind == _XMIT or kind == _XMIT_DONE or kind == _QUEUED:
            cpus.sent[cpu] = rows
            cpus.timer[cpu] = NO_NAPI
            if kind == _XMIT:
                detail = points.other[place]
        elif kind == _SOFTIRQ_ENTRY:
            cpus.softirq_cause[cpu] = _pass_cause(time, tid, cpu, known, cpus, in_epoll, events)
            cpus.softirq[cpu] = rows
            cpus.raised[cpu] = 0
            cpus.irq_seen[cpu] = 0
            cpus.polled[cpu] = time
        elif kind == _RAISE:
            cpus.raised[cpu] = _raise_cause(time, tid, cpu, cpus, in_epoll)
            cause = cpus.raised[cpu]
        elif kind == _IRQ_ENTRY:
            cpus.irq[cpu] = rows
            cpus.irq_seen[cpu] = 1
        elif kind == _FIRE:
            napi = _find(known.napis, points.object[place] - known.timer_offset)
            cpus.timer[cpu] = napi
            cpus.timer_time[cpu] = time
            value = NULL
            if napi != NO_NAPI:
                napis.expires[napi] = 0
        elif kind == _START:
            napi = _find(known.napis, points.object[place] - known.timer_offset)
            value = value - known.clock - time if known.clock != NULL else np.int64(NULL)
            if napi != NO_NAPI and value != NULL:
                # The poll that is under way may be one that nobody was seen to cause.
                if 0 < napis.expires[napi] <= time:
                    napis.fired[napi] = 1
                napis.expires[napi] = time + value
        elif kind == _EPOLL_WAIT or kind == _EPOLL_RETURN:
            in_epoll[tid] = kind == _EPOLL_WAIT
            cpus.polled[cpu] = time if kind == _EPOLL_WAIT else -1
            cpus.timer[cpu] = NO_NAPI
            _end_busy_run(cpu, cpus, events)
        events.time[rows] = time
        events.cpu[rows] = cpu
        events.kind[rows] = _KIND[kind]
        events.device[rows] = device
        events.napi[rows] = napi
        events.tid[rows] = tid
        events.value[rows] = value
        events.budget[rows] = budget
        events.cause[rows] = cause
        events.duration[rows] = duration
        events.detail[rows] = detail
        rows += 1
    for cpu in range(len(cpus.busy)):
        _end_busy_run(cpu, cpus, events)
    return rows


@jit
def _ends_something(
    points: Points,
    place: int,
    kind: int,
    cpu: int,
    time: int,
    known: Known,
    cpus: Cpu,
    events: Columns,
) -> bool:
    """Whether the point makes no event of its own; what it ends is given its duration."""
    if kind == _SOFTIRQ_EXIT or kind == _SOFTIRQ_ENTRY or kind == _RAISE:
        if points.value[place] != NET_RX:
            return True
        if kind == _SOFTIRQ_EXIT:
            if cpus.softirq[cpu] >= 0:
                row = cpus.softirq[cpu]
                events.duration[row] = time - events.time[row]
            cpus.softirq[cpu] = -1
            cpus.polled[cpu] = time
            return True
        return False
    if kind == _IRQ_EXIT:
        if cpus.irq[cpu] >= 0:
            row = cpus.irq[cpu]
            events.duration[row] = time - events.time[row]
        cpus.irq[cpu] = -1
        return True
    if kind == _RECEIVE:
        device = points.device[place]
        return device != NO_DEVICE and known.gro_devices[device] != 0
    if kind == _XMIT or kind == _XMIT_DONE or kind == _QUEUED:
        device = points.device[place]
        if device == NO_DEVICE or known.sent_by[device] == kind:
            return False
        row = cpus.sent[cpu]
        if kind == _XMIT_DONE and row >= 0 and events.device[row] == device:
            events.duration[row] = time - events.time[row]
            cpus.sent[cpu] = -1
        return True
    if kind == _FIRE or kind == _START:
        return known.watchdog == NULL or points.other[place] != known.watchdog
    if kind == _WAKEUP or kind == _WAKING:
        return kind != known.wake
    return False


@jit
def _find(napis: Int64s, address: int) -> int:
    """Return the place of a NAPI by its address; NO_NAPI where it is never polled."""
    low = 0
    high = len(napis)
    while low < high:
        middle = (low + high) // 2
        if napis[middle] < address:
            low = middle + 1
        else:
            high = middle
    return low if low < len(napis) and napis[low] == address else NO_NAPI


@jit
def _end_busy_run(cpu: int, cpus: Cpu, events: Columns) -> None:
    """Call the last busy poll of a run by its name."""
    if cpus.busy[cpu] >= 0:
        events.cause[cpus.busy[cpu]] = _STOP
        cpus.busy[cpu] = -1


@jit
def _end_run(time: int, cpu: int, cpus: Cpu, events: Columns) -> None:
    """The thread that has the CPU loses it."""
    if cpus.run[cpu] >= 0:
        row = cpus.run[cpu]
        events.duration[row] = time - events.time[row]
    # napi_busy_loop() stops polling before it lets another thread run.
    _end_busy_run(cpu, cpus, events)


@jit
def _just_fired(time: int, cpu: int, cpus: Cpu) -> bool:
    """Whether a watchdog's handler is what this CPU is in."""
    return cpus.timer[cpu] != NO_NAPI and time - cpus.timer_time[cpu] <= _LATEST_WAKE_NS


@jit
def _wake_cause(time: int, tid: int, cpu: int, cpus: Cpu, in_epoll: npt.NDArray[np.uint8]) -> int:
    """Return why a NAPI thread is woken: what the waking CPU was doing."""
    if _just_fired(time, cpu, cpus):
        cpus.timer[cpu] = NO_NAPI
        return _BY_TIMER
    if cpus.irq[cpu] < 0 and in_epoll[tid]:
        return _RESUME
    return _BY_IRQ


@jit
def _raise_cause(time: int, tid: int, cpu: int, cpus: Cpu, in_epoll: npt.NDArray[np.uint8]) -> int:
    """Return why NET_RX is raised."""
    if cpus.irq[cpu] >= 0:
        return _BY_IRQ
    if _just_fired(time, cpu, cpus):
        cpus.timer[cpu] = NO_NAPI
        return _BY_TIMER
    if cpus.softirq[cpu] >= 0:
        return _REPOLL
    return _RESUME if in_epoll[tid] else _BY_IRQ


@jit
def _pass_cause(
    time: int,
    tid: int,
    cpu: int,
    known: Known,
    cpus: Cpu,
    in_epoll: npt.NDArray[np.uint8],
    events: Columns,
) -> int:
    """Return the cause of the NET_RX pass that begins."""
    if known.raises:
        return cpus.raised[cpu]
    if cpus.irq_seen[cpu]:
        return _BY_IRQ
    if _just_fired(time, cpu, cpus):
        cpus.timer[cpu] = NO_NAPI
        return _BY_TIMER
    if in_epoll[tid] and cpus.busy[cpu] >= 0:
        return _RESUME
    # A virtual device's peer raises NET_RX where it transmits.
    row = cpus.sent[cpu]
    return _BY_IRQ if row >= 0 and events.tid[row] == tid else _UNKNOWN


@jit
def _poll_cause(
    napi: int,
    tid: int,
    cpu: int,
    known: Known,
    cpus: Cpu,
    in_epoll: npt.NDArray[np.uint8],
    woken: npt.NDArray[np.uint8],
    napis: Napi,
    time: int,
) -> int:
    """Return the cause of the poll that ends."""
    # Recorders miss points: a timer that was armed and whose time came has fired.
    over = napis.fired[napi] != 0
    napis.fired[napi] = 0
    if cpus.softirq[cpu] >= 0:
        cause = cpus.softirq_cause[cpu]
        if cause == _UNKNOWN and over:
            return _BY_TIMER
        return _REPOLL if napis.full[napi] else cause
    if known.napi_threads[tid]:
        cause = woken[tid]
        woken[tid] = 0
        if cause != 0:
            return cause
        if napis.full[napi]:
            return _REPOLL
        if over or cpus.timer[cpu] == napi:
            return _BY_TIMER
        return _THREAD
    if in_epoll[tid] or (known.softirqs and tid != 0):
        return _BUSY
    return _UNKNOWN
