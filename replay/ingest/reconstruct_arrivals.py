"""When packets arrived, as far as a recording of the receiving host can tell.

A packet that a poll takes arrived after the previous poll of the same NAPI last looked at the
ring (had that left packets there, after the look before), and before its own receive event. The
interrupt that caused the poll was raised by the first of its packets. What arrived between two
bounds is spread over the time between them as independent arrivals are on average.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.engine.accelerate import jit_in_place, jit_inside
from replay.ingest.reconstruct_points import NULL
from replay.ingest.reconstruct_state import NO_NAPI, Columns
from replay.ingest.rows_of import places, rows_of
from replay.trace.schema import Cause, EventKind

Int64s = npt.NDArray[np.int64]

_IRQ, _SOFTIRQ, _POLL = int(EventKind.IRQ), int(EventKind.SOFTIRQ), int(EventKind.POLL)
_WAKE, _RAISE, _RECEIVE = int(EventKind.WAKE), int(EventKind.RAISE), int(EventKind.RECEIVE)
_BY_IRQ = int(Cause.IRQ)


#: Packets that are placed together at most: no ring holds more.
_MOST_HELD = 4096


class Arrivals(NamedTuple):
    """One entry a packet received on the device, in the order of the receive events."""

    row: Int64s  # of its receive event
    poll: Int64s  # row of the poll that took it; -1 where the recording ended before
    arrival: Int64s
    earliest: Int64s  # NULL where no poll was seen to take it: the arrival is not inferred
    latest: Int64s


class _Signals(NamedTuple):
    """When each CPU, and each NAPI thread, was last told to poll; -1: never."""

    cpu: Int64s
    cpu_handler: Int64s  # when that interrupt's handler ended
    net_rx: Int64s  # start of the last NET_RX pass
    thread: Int64s  # by thread id


class _Batch(NamedTuple):
    """Packets that were in the ring together, as chains from the last to the first."""

    last: Int64s  # by CPU: received since its last poll; -1: none
    before: Int64s  # by packet: the one before it
    members: Int64s  # of the batch at hand, in order
    seen: Int64s  # (1,) packets so far


class _Napis(NamedTuple):
    """By NAPI."""

    number: Int64s  # by what the napi column holds: those of the same id are one
    looked: Int64s  # when the ring was last seen to its end; NULL: never
    held: Int64s  # last of the packets that polls of their whole budget took since; -1: none
    signal: Int64s  # when the interrupt that caused the first of those polls was seen; NULL
    after: Int64s  # the last packet's arrival; NULL: none


def find_arrivals(
    events: Columns,
    device: int,
    napis: Int64s,
    rows: Int64s | None = None,
    *,
    lag: int = 0,
    by_gro: bool = True,
) -> Arrivals:
    """Return the arrivals of the packets that `device` received.

    napis: the id of each NAPI, by what the napi column holds. rows: of the device's receive
    events; None: they are sought.
    lag: ns from an arrival to the interrupt's handler, or to the wake-up of the NAPI thread.
    by_gro: the receive events are GRO's, one a packet in the order of the ring; others follow
    when their poll has already looked for more.
    """
    if rows is None:
        rows = rows_of(events, EventKind.RECEIVE, device)
    count = len(rows)
    cpus, threads = places(events)
    found = Arrivals(rows, *(mapped.column(count) for _ in Arrivals._fields[1:]))
    signals = _Signals(
        *(np.full(size, -1, np.int64) for size in (cpus, cpus, cpus, threads)),
    )
    # Chains are as long as the packets between two polls.
    batch = _Batch(
        np.full(cpus, -1, np.int64),
        mapped.column(count),
        np.empty(count, np.int64),
        np.zeros(1, np.int64),
    )
    ids, number = np.unique(np.append(napis, NO_NAPI), return_inverse=True)
    nothing = [np.full(len(ids), value, np.int64) for value in (NULL, -1, NULL, NULL)]
    napi = _Napis(number, *nothing)
    for part in mapped.steps(len(events.time)):
        _walk(events, part.start, part.stop, device, lag, by_gro, napi, signals, batch, found)
    return found


@jit_in_place
def _walk(
    events: Columns,
    begin: int,
    end: int,
    device: int,
    lag: int,
    by_gro: bool,
    napis: _Napis,
    signals: _Signals,
    batch: _Batch,
    found: Arrivals,
) -> None:
    """Fill `found`, poll by poll, for the events from `begin` up to `end`."""
    packet = batch.seen[0]
    for row in range(begin, end):
        kind = events.kind[row]
        cpu = events.cpu[row]
        time = events.time[row]
        if kind == _RECEIVE:
            if events.device[row] == device:
                found.poll[packet] = -1
                found.arrival[packet] = time
                found.earliest[packet] = NULL
                found.latest[packet] = time
                batch.before[packet] = batch.last[cpu]
                batch.last[cpu] = packet
                packet += 1
        elif kind == _POLL:
            napi = napis.number[events.napi[row]]
            held = napis.held[napi]
            signal = napis.signal[napi]
            if held < 0:
                signal = _signal(events, row, napis.looked[napi], signals)
            new, taken = _take_batch(cpu, held, batch)
            members = batch.members[:taken]
            if new > 0:
                last = members[taken - 1]
                found.poll[members[taken - new :]] = row
                _place(members, napis.looked[napi], napis.after[napi], signal, lag, found)
                napis.held[napi] = last
                napis.signal[napi] = signal
            if events.value[row] < events.budget[row] or taken >= _MOST_HELD:
                if taken > 0:
                    napis.after[napi] = found.arrival[members[taken - 1]]
                napis.held[napi] = -1
            if events.value[row] < events.budget[row]:
                look = _look(events, row, members[taken - new :], by_gro, found)
                napis.looked[napi] = max(napis.looked[napi], look)
        elif kind == _WAKE:
            signals.thread[events.tid[row]] = time
        elif kind == _IRQ:
            signals.cpu[cpu] = time
            signals.cpu_handler[cpu] = time + events.duration[row]
        elif kind == _RAISE:
            if time > signals.cpu_handler[cpu]:
                signals.cpu[cpu] = time
        elif kind == _SOFTIRQ:
            signals.net_rx[cpu] = time
    batch.seen[0] = packet


@jit_inside
def _take_batch(cpu: int, held: int, batch: _Batch) -> tuple[int, int]:
    """Put the packets of the poll that ends on `cpu` in order, after those `held` before.

    Returns how many this poll took, and how many there are in all.
    """
    taken = 0
    packet = batch.last[cpu]
    while packet >= 0:
        batch.members[taken] = packet
        taken += 1
        packet = batch.before[packet]
    new = taken
    if new > 0 and held >= 0:
        batch.before[batch.members[new - 1]] = held
        packet = held
        while packet >= 0:
            batch.members[taken] = packet
            taken += 1
            packet = batch.before[packet]
    batch.last[cpu] = -1
    for place in range(taken // 2):
        other = taken - 1 - place
        first = batch.members[place]
        batch.members[place] = batch.members[other]
        batch.members[other] = first
    return new, taken


@jit_inside
def _signal(events: Columns, row: int, looked: int, signals: _Signals) -> int:
    """Return when the interrupt that caused a poll was seen; NULL where none was."""
    if events.cause[row] != _BY_IRQ:
        return NULL
    cpu = events.cpu[row]
    # A thread that polls was woken; a softirq was raised by a handler, or by a peer's transmit.
    if signals.net_rx[cpu] < 0 or signals.thread[events.tid[row]] > signals.net_rx[cpu]:
        signal = signals.thread[events.tid[row]]
    elif signals.cpu[cpu] > looked:
        signal = signals.cpu[cpu]
    else:
        signal = signals.net_rx[cpu]
    return signal if signal >= 0 and signal > looked else NULL


@jit_inside
def _place(
    members: Int64s, looked: int, after: int, signal: int, lag: int, found: Arrivals
) -> None:
    """Say when packets that were in the ring together arrived."""
    count = len(members)
    begin = max(looked, after)
    first = 0
    if signal != NULL:
        packet = members[0]
        found.latest[packet] = max(looked, min(signal, found.latest[packet]))
        begin = min(max(begin, signal - lag, 0), found.latest[packet])
        found.arrival[packet] = begin
        first = 1
    end = found.latest[members[count - 1]]
    for place in range(count):
        packet = members[place]
        # Before the first look all that is known is that the recording had begun.
        found.earliest[packet] = max(looked, 0)
        if place >= first and begin != NULL:
            # The mean of the order statistics of independent arrivals between the bounds.
            share = (end - begin) * (place - first + 1) // (count - first + 1)
            found.arrival[packet] = min(begin + share, found.latest[packet])


@jit_inside
def _look(events: Columns, row: int, members: Int64s, by_gro: bool, found: Arrivals) -> int:
    """Return an instant at which a poll that found the ring's end had not yet looked for it."""
    if len(members) > 0:
        packet = members[len(members) - 1] if by_gro else members[0]
        return int(events.time[found.row[packet]])
    if events.duration[row] >= 0:
        return int(events.time[row] - events.duration[row])
    return NULL
