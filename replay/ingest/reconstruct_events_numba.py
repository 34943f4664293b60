"""The one pass that makes points into events: entries paired with exits, causes given."""

from __future__ import annotations

import numpy as np

from replay.engine.accelerate import jit_in_place, jit_inline
from replay.ingest.reconstruct_causes import (
    BUSY,
    UNKNOWN,
    Flags,
    end_busy_run,
    pass_cause,
    poll_cause,
    raise_cause,
    set_late,
    wake_cause,
)
from replay.ingest.reconstruct_points import NO_DEVICE, NULL, Point, Points
from replay.ingest.reconstruct_state import (
    NO_BUDGET,
    NO_CAUSE,
    NO_DURATION,
    NO_NAPI,
    Block,
    Cpu,
    Int64s,
    Known,
    Napi,
)
from replay.trace.schema import EventKind

_NET_RX = 3  # softirq vector
_NEVER = 1 << 62

_P = Point
_IRQ_ENTRY, _IRQ_EXIT = int(_P.IRQ_ENTRY), int(_P.IRQ_EXIT)
_SOFTIRQ_ENTRY, _SOFTIRQ_EXIT = int(_P.SOFTIRQ_ENTRY), int(_P.SOFTIRQ_EXIT)
_RAISE, _POLL, _GRO, _RECEIVE = int(_P.SOFTIRQ_RAISE), int(_P.POLL), int(_P.GRO), int(_P.RECEIVE)
_XMIT, _XMIT_DONE, _QUEUED = int(_P.XMIT), int(_P.XMIT_DONE), int(_P.XMIT_QUEUED)
_SWITCH, _START, _FIRE = int(_P.SWITCH), int(_P.TIMER_START), int(_P.TIMER_FIRE)
_EPOLL_WAIT, _EPOLL_RETURN = int(_P.EPOLL_WAIT), int(_P.EPOLL_RETURN)
_WAKEUP, _WAKING = int(_P.WAKEUP), int(_P.WAKING)

_K = EventKind
_TAKEN, _SENT = int(_K.RECEIVE), int(_K.XMIT)
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


@jit_in_place
def find_events(
    points: Points,
    known: Known,
    cpus: Cpu,
    in_epoll: Flags,
    woken: Flags,
    napis: Napi,
    block: Block,
) -> None:
    """Fill `block` with the events that `points` make.

    points: a part of a recording that follows the one before in time; block: has room for as many
    events and packets, and twice as many late ones. in_epoll, woken: by thread id, zero at first.
    """
    events = block.events
    packets = block.packets
    filled = 0
    packet = 0
    for place in range(len(points.time)):
        kind = points.kind[place]
        cpu = points.cpu[place]
        time = points.time[place]
        if _ends_something(points, place, kind, cpu, time, known, cpus, block):
            continue
        rows = block.begin + filled
        device = points.device[place]
        value = points.value[place]
        tid = points.tid[place]
        napi = NO_NAPI
        budget = NO_BUDGET
        cause = NO_CAUSE
        duration = NO_DURATION
        detail = NULL
        if kind == _POLL:
            napi = _find(known.napis, points.object[place])
            if 0 < napis.expires[napi] <= time:
                napis.fired[napi], napis.expires[napi] = 1, 0
            cause = poll_cause(napi, tid, cpu, known, cpus, in_epoll, woken, napis, time)
            budget = _whole(points.other[place])
            napis.full[napi] = value >= budget and budget > 0
            if cpus.gro_napi[cpu] > 0:
                napis.id[napi] = cpus.gro_napi[cpu]
                cpus.gro_napi[cpu] = 0
            began = max(cpus.polled[cpu], cpus.run_start[cpu])
            if began >= 0 and (cause != UNKNOWN or cpus.softirq[cpu] >= 0):
                duration = time - began
            cpus.polled[cpu] = time
            cpus.timer_time[cpu] = -1
            if cause == BUSY:
                cpus.busy[cpu] = rows
            else:
                end_busy_run(cpu, cpus, block)
        elif kind == _SWITCH:
            _end_run(time, cpu, cpus, block)
            cpus.run[cpu] = rows
            cpus.run_start[cpu] = time
            cpus.polled[cpu] = -1
            cpus.timer_time[cpu] = -1
            tid = value
            value = points.other[place]
        elif kind == known.wake:
            target = value
            value = points.other[place]
            if known.napi_threads[target]:
                cause = wake_cause(time, tid, cpu, cpus, in_epoll)
                woken[target] = cause
                end_busy_run(cpu, cpus, block)
            tid = target
        elif kind == _GRO:
            if points.object[place] > 0:
                cpus.gro_napi[cpu] = points.object[place]
            detail = points.other[place]
        elif kind in (_XMIT, _XMIT_DONE, _QUEUED):
            cpus.sent[cpu] = rows
            cpus.sent_time[cpu] = time
            cpus.sent_tid[cpu] = tid
            cpus.sent_device[cpu] = device
            cpus.timer_time[cpu] = -1
            if kind == _XMIT:
                detail = points.other[place]
        elif kind == _SOFTIRQ_ENTRY:
            cpus.softirq_cause[cpu] = pass_cause(time, tid, cpu, known, cpus, in_epoll)
            cpus.softirq[cpu] = rows
            cpus.softirq_start[cpu] = time
            cpus.raised[cpu] = 0
            cpus.irq_seen[cpu] = 0
            cpus.polled[cpu] = time
        elif kind == _RAISE:
            cpus.raised[cpu] = raise_cause(time, tid, cpu, cpus, in_epoll)
            cause = cpus.raised[cpu]
        elif kind == _IRQ_ENTRY:
            cpus.irq[cpu] = rows
            cpus.irq_start[cpu] = time
            cpus.irq_seen[cpu] = 1
        elif kind == _FIRE:
            napi = _find(known.timers, points.object[place])
            cpus.timer[cpu] = napi
            cpus.timer_time[cpu] = time
            value = NULL
            if napi != NO_NAPI:
                napis.expires[napi] = 0
        elif kind == _START:
            napi = _find(known.timers, points.object[place])
            # A timer that never expires has the greatest number there is.
            meant = known.clock != NULL and 0 <= value < _NEVER
            value = value - known.clock - time if meant else NULL
            if napi != NO_NAPI and value != NULL:
                # The poll that is under way may be one that nobody was seen to cause.
                if 0 < napis.expires[napi] <= time:
                    napis.fired[napi] = 1
                napis.expires[napi] = time + value
        elif kind in (_EPOLL_WAIT, _EPOLL_RETURN):
            in_epoll[tid] = kind == _EPOLL_WAIT
            if kind == _EPOLL_WAIT:
                budget = _whole(points.other[place])
            cpus.polled[cpu] = time if kind == _EPOLL_WAIT else -1
            cpus.timer_time[cpu] = -1
            end_busy_run(cpu, cpus, block)
        events.time[filled] = time
        events.cpu[filled] = cpu
        events.kind[filled] = _KIND[kind]
        events.device[filled] = device
        events.napi[filled] = napi
        events.tid[filled] = tid
        events.value[filled] = value
        events.budget[filled] = budget
        events.cause[filled] = cause
        events.duration[filled] = duration
        if _KIND[kind] in (_TAKEN, _SENT):
            packets.row[packet] = rows
            packets.time[packet] = time
            packets.length[packet] = value
            packets.detail[packet] = detail
            packets.cpu[packet] = cpu
            packets.device[packet] = device
            packets.kind[packet] = _KIND[kind]
            packet += 1
        filled += 1
    block.found[0] = filled
    block.found[2] = packet


@jit_in_place
def end_all(cpus: Cpu, block: Block) -> None:
    """End what the recording's last point leaves open; `block` is empty."""
    for cpu in range(len(cpus.busy)):
        end_busy_run(cpu, cpus, block)


@jit_inline
def _whole(number: int) -> int:
    """Return a count as the budget column can hold it; NO_BUDGET for none."""
    return min(max(number, NO_BUDGET), (1 << 31) - 1)


@jit_inline
def _ends_something(
    points: Points,
    place: int,
    kind: int,
    cpu: int,
    time: int,
    known: Known,
    cpus: Cpu,
    block: Block,
) -> bool:
    """Whether the point makes no event of its own; what it ends is given its duration."""
    if kind in (_SOFTIRQ_EXIT, _SOFTIRQ_ENTRY, _RAISE):
        if points.value[place] != _NET_RX:
            return True
        if kind == _SOFTIRQ_EXIT:
            if cpus.softirq[cpu] >= 0:
                set_late(cpus.softirq[cpu], time - cpus.softirq_start[cpu], -1, block)
            cpus.softirq[cpu] = -1
            cpus.polled[cpu] = time
            return True
        return False
    if kind == _IRQ_EXIT:
        if cpus.irq[cpu] >= 0:
            set_late(cpus.irq[cpu], time - cpus.irq_start[cpu], -1, block)
        cpus.irq[cpu] = -1
        return True
    if kind == _RECEIVE:
        device = points.device[place]
        return bool(device != NO_DEVICE and known.gro_devices[device] != 0)
    if kind in (_XMIT, _XMIT_DONE, _QUEUED):
        device = points.device[place]
        if device == NO_DEVICE or known.sent_by[device] == kind:
            return False
        mine = cpus.sent[cpu] >= 0 and cpus.sent_device[cpu] == device
        if kind == _XMIT_DONE and mine:
            set_late(cpus.sent[cpu], time - cpus.sent_time[cpu], -1, block)
            cpus.sent[cpu] = -1
        return True
    if kind in (_FIRE, _START):
        return bool(known.watchdog == NULL or points.other[place] != known.watchdog)
    if kind in (_WAKEUP, _WAKING):
        return bool(kind != known.wake)
    return False


@jit_inline
def _end_run(time: int, cpu: int, cpus: Cpu, block: Block) -> None:
    """The thread that has the CPU loses it."""
    if cpus.run[cpu] >= 0:
        set_late(cpus.run[cpu], time - cpus.run_start[cpu], -1, block)
    # napi_busy_loop() stops polling before it lets another thread run.
    end_busy_run(cpu, cpus, block)


@jit_inline
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
