"""The application's time for each request, between the boundaries that its thread shows.

The worker is a thread that waits in epoll_wait. Between a return and the next wait it serves
requests; the responses it transmits mark where one ends and the next begins. Its time is its own:
without interrupts, softirqs and other threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place, jit_inside
from replay.ingest.reconstruct_matching import (
    Batches,
    Connections,
    Matches,
    Requests,
    deliver,
    end_batch,
    end_known_batch,
    take_ready,
    waiting,
)
from replay.ingest.reconstruct_state import Columns
from replay.trace.schema import EventKind, PacketKind

Int64s = npt.NDArray[np.int64]

_IRQ, _SOFTIRQ, _RUN = int(EventKind.IRQ), int(EventKind.SOFTIRQ), int(EventKind.RUN)
_ACK, _TX = int(PacketKind.ACK), int(PacketKind.TX)
_WAIT, _RETURN = int(EventKind.EPOLL_WAIT), int(EventKind.EPOLL_RETURN)


class _Cpu(NamedTuple):
    """Shape (cpus,)."""

    tid: Int64s  # the thread that runs
    since: Int64s  # up to when its time has been counted
    not_before: Int64s  # end of the softirq or interrupt that it is held up by


class _Worker(NamedTuple):
    """By thread id."""

    outside: Int64s  # it is between a return of epoll_wait and the next call
    time: Int64s  # its own time since the last boundary
    limit: Int64s  # events that its epoll_wait may return; -1 where unknown


def find_service(
    events: Columns,
    rows: Int64s,
    request: npt.NDArray[np.bool_],
    response: npt.NDArray[np.bool_],
    flow: Int64s,
    weight: Int64s,
    *,
    counted: bool,
    answers_known: bool = False,
) -> Matches:
    """Match responses to requests, and measure what each took.

    All by packet: `rows` are their events; request, response: whether it is one; flow: -1 where
    it is not known; weight: messages in it;
    counted: whether that is known. answers_known: responses' flows are known too, and are those of
    their requests.
    """
    count = len(rows)
    packet_of_row = np.full(len(events.time), -1, np.int64)
    packet_of_row[rows] = np.arange(count)
    cpus = int(events.cpu.max(initial=0)) + 1
    threads = int(events.tid.max(initial=0)) + 1
    told_apart = bool((flow[request] >= 0).all())
    known = flow if told_apart else np.arange(count)
    connection = np.where(request | (response & (answers_known and told_apart)), known, -1)
    size = int(connection.max(initial=-1)) + 1
    found = Matches(*(np.full(count, -1, np.int64) for _ in Matches._fields))
    _walk(
        events,
        packet_of_row,
        request,
        response,
        told_apart,
        counted,
        answers_known and told_apart,
        _Cpu(*(np.full(cpus, -1, np.int64) for _ in _Cpu._fields)),
        _Worker(*(np.zeros(threads, np.int64) for _ in _Worker._fields)),
        Requests(connection, weight.copy(), events.time[rows], np.full(count, -1, np.int64)),
        Connections(
            first=np.full(size, -1, np.int64),
            last=np.full(size, -1, np.int64),
            ready=np.full(size, -1, np.int64),
            listed=np.zeros(size, np.int64),
            visit=np.full(size, -1, np.int64),
            visited=np.zeros(size, np.int64),
            last_sent=np.full(size, -1, np.int64),
            answered=np.full(size, -1, np.int64),
            ends=np.full(2, -1, np.int64),
        ),
        Batches(
            first=np.full(threads, -1, np.int64),
            visits=np.zeros(threads, np.int64),
            returned=np.zeros(threads, np.int64),
            before=np.zeros(threads, np.int64),
            last_sent=np.full(threads, -1, np.int64),
            sent=np.zeros(threads, np.int64),
        ),
        found,
    )
    return found


@jit_in_place
def _walk(
    events: Columns,
    packet_of_row: Int64s,
    request: npt.NDArray[np.bool_],
    response: npt.NDArray[np.bool_],
    told_apart: bool,
    counted: bool,
    answers_known: bool,
    cpus: _Cpu,
    workers: _Worker,
    requests: Requests,
    connections: Connections,
    batches: Batches,
    found: Matches,
) -> None:
    """Go through the events in order of time, counting each worker's own time."""
    for row in range(len(events.time)):
        kind = events.kind[row]
        cpu = events.cpu[row]
        time = events.time[row]
        runs = cpus.tid[cpu]
        if runs >= 0 and workers.outside[runs]:
            workers.time[runs] += max(0, time - max(cpus.since[cpu], cpus.not_before[cpu]))
        cpus.since[cpu] = time
        tid = events.tid[row]
        packet = packet_of_row[row]
        if kind == _RUN:
            cpus.tid[cpu] = tid
        elif kind in (_SOFTIRQ, _IRQ):
            cpus.not_before[cpu] = max(cpus.not_before[cpu], time + events.duration[row])
        elif kind == _RETURN:
            cpus.tid[cpu] = tid
            _end(
                tid,
                told_apart,
                counted,
                answers_known,
                workers,
                requests,
                connections,
                batches,
                found,
            )
            if events.value[row] > 0:
                workers.outside[tid] = 1
                workers.time[tid] = 0
                batches.before[tid] = batches.returned[tid]
                batches.returned[tid] = time
                if told_apart:
                    most = events.value[row]
                    drop = waiting(connections) - most if most < workers.limit[tid] else 0
                    take_ready(tid, most, drop, 0, requests, connections, batches)
        elif kind == _WAIT:
            _end(
                tid,
                told_apart,
                counted,
                answers_known,
                workers,
                requests,
                connections,
                batches,
                found,
            )
            workers.limit[tid] = events.budget[row]
        elif packet >= 0:
            if request[packet]:
                deliver(packet, requests, connections)
            elif response[packet]:
                found.tid[packet] = tid
                if workers.outside[tid]:
                    found.previous[packet] = batches.last_sent[tid]
                    found.spent[packet] = workers.time[tid]
                    batches.last_sent[tid] = packet
                    batches.sent[tid] += 1
                    workers.time[tid] = 0


@jit_inside
def _end(
    tid: int,
    told_apart: bool,
    counted: bool,
    answers_known: bool,
    workers: _Worker,
    requests: Requests,
    connections: Connections,
    batches: Batches,
    found: Matches,
) -> None:
    """A worker has done with what epoll_wait returned."""
    if workers.outside[tid]:
        if batches.sent[tid] > 0:
            # What the thread did after its last response belongs to that.
            found.spent[batches.last_sent[tid]] += workers.time[tid]
            if not told_apart:
                # What was there at the return before was answered in a way that was not seen.
                since = batches.before[tid]
                take_ready(tid, batches.sent[tid], 0, since, requests, connections, batches)
        if answers_known:
            end_known_batch(tid, counted, requests, connections, batches, found)
        else:
            end_batch(tid, counted, requests, connections, batches, found)
    workers.outside[tid] = 0


@jit_in_place
def follow_connections(
    order: Int64s,
    time: Int64s,
    arrival: Int64s,
    kind: npt.NDArray[np.uint8],
    flow: Int64s,
    reply_to: Int64s,
    answered: Int64s,
    response_time: Int64s,
    think: Int64s,
) -> None:
    """Go through the packets in `order` of their events, connection by connection.

    Responses take their request's flow, pure ACKs the request whose response they acknowledge,
    requests the time from the connection's previous response. answered, response_time: by flow,
    -1 at first.
    """
    for place in range(len(order)):
        packet = order[place]
        if kind[packet] == _TX:
            if reply_to[packet] >= 0:
                connection = flow[reply_to[packet]]
                flow[packet] = connection
                if connection >= 0:
                    answered[connection] = reply_to[packet]
                    response_time[connection] = time[packet]
            continue
        connection = flow[packet]
        if connection < 0 or answered[connection] < 0:
            continue
        if kind[packet] == _ACK:
            reply_to[packet] = answered[connection]
        elif arrival[packet] >= response_time[connection]:
            think[packet] = arrival[packet] - response_time[connection]
