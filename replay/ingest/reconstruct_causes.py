"""Why a poll, or the wake-up of a NAPI thread, took place.

A poll inside NET_RX was caused by what raised it; one in a NAPI thread by what woke the thread;
one in another thread's own context is a busy poll, the last of a run being the extra poll of
busy_poll_stop().
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_inline
from replay.ingest.reconstruct_state import NO_NAPI, Block, Cpu, Known, Napi
from replay.trace.schema import Cause

Flags = npt.NDArray[np.uint8]

_LATEST_WAKE_NS = 1_000_000  # from napi_watchdog's expiry to the wake-up it makes

_C = Cause
UNKNOWN, _BY_IRQ, _BY_TIMER, _RESUME = int(_C.UNKNOWN), int(_C.IRQ), int(_C.TIMER), int(_C.RESUME)
_REPOLL, BUSY, _STOP, _THREAD = int(_C.REPOLL), int(_C.BUSY), int(_C.STOP), int(_C.THREAD)


@jit_inline
def set_late(row: int, duration: int, cause: int, block: Block) -> None:
    """Give event `row` its duration or its cause, the other being -1."""
    place = row - block.begin
    if place < 0:
        late = block.found[1]
        block.late[late, 0] = row
        block.late[late, 1] = duration
        block.late[late, 2] = cause
        block.found[1] = late + 1
    elif duration >= 0:
        block.events.duration[place] = duration
    else:
        block.events.cause[place] = cause


@jit_inline
def end_busy_run(cpu: int, cpus: Cpu, block: Block) -> None:
    """Call the last busy poll of a run by its name."""
    if cpus.busy[cpu] >= 0:
        set_late(cpus.busy[cpu], -1, _STOP, block)
        cpus.busy[cpu] = -1


@jit_inline
def _just_fired(time: int, cpu: int, cpus: Cpu) -> bool:
    """Whether a watchdog's handler is what this CPU is in."""
    fired = cpus.timer_time[cpu]
    return bool(fired >= 0 and time - fired <= _LATEST_WAKE_NS)


@jit_inline
def wake_cause(time: int, tid: int, cpu: int, cpus: Cpu, in_epoll: Flags) -> int:
    """Return why a NAPI thread is woken: what the waking CPU was doing."""
    if _just_fired(time, cpu, cpus):
        cpus.timer_time[cpu] = -1
        return _BY_TIMER
    if cpus.irq[cpu] < 0 and in_epoll[tid]:
        return _RESUME
    return _BY_IRQ


@jit_inline
def raise_cause(time: int, tid: int, cpu: int, cpus: Cpu, in_epoll: Flags) -> int:
    """Return why NET_RX is raised."""
    if cpus.irq[cpu] >= 0:
        return _BY_IRQ
    if _just_fired(time, cpu, cpus):
        cpus.timer_time[cpu] = -1
        return _BY_TIMER
    if cpus.softirq[cpu] >= 0:
        return _REPOLL
    return _RESUME if in_epoll[tid] else _BY_IRQ


@jit_inline
def pass_cause(
    time: int,
    tid: int,
    cpu: int,
    known: Known,
    cpus: Cpu,
    in_epoll: Flags,
) -> int:
    """Return the cause of the NET_RX pass that begins."""
    if known.raises:
        return int(cpus.raised[cpu])
    if cpus.irq_seen[cpu]:
        return _BY_IRQ
    if _just_fired(time, cpu, cpus):
        cpus.timer_time[cpu] = -1
        return _BY_TIMER
    if in_epoll[tid] and cpus.busy[cpu] >= 0:
        return _RESUME
    # A virtual device's peer raises NET_RX where it transmits.
    return _BY_IRQ if cpus.sent[cpu] >= 0 and cpus.sent_tid[cpu] == tid else UNKNOWN


@jit_inline
def poll_cause(
    napi: int,
    tid: int,
    cpu: int,
    known: Known,
    cpus: Cpu,
    in_epoll: Flags,
    woken: Flags,
    napis: Napi,
    time: int,
) -> int:
    """Return the cause of the poll that ends."""
    # Recorders miss points: a timer that was armed and whose time came has fired.
    over = napis.fired[napi] != 0
    napis.fired[napi] = 0
    if cpus.softirq[cpu] >= 0:
        cause: int = cpus.softirq_cause[cpu]
        if cause == UNKNOWN and over:
            return _BY_TIMER
        return _REPOLL if napis.full[napi] else cause
    if known.napi_threads[tid]:
        waker: int = woken[tid]
        woken[tid] = 0
        if waker != 0:
            return waker
        if napis.full[napi]:
            return _REPOLL
        if over or (cpus.timer_time[cpu] >= 0 and cpus.timer[cpu] in (napi, NO_NAPI)):
            return _BY_TIMER
        return _THREAD
    if in_epoll[tid] or (known.softirqs and tid != 0):
        return BUSY
    return UNKNOWN
