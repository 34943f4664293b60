"""The application's time for each request, between the boundaries that its thread shows.

The worker is a thread that waits in epoll_wait. Between a return and the next wait it serves
requests; the responses it transmits mark where one ends and the next begins. Its time is its own:
without interrupts, softirqs and other threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.engine.accelerate import jit_in_place, jit_inside
from replay.ingest.reconstruct_matching import (
    Batches,
    Connections,
    Matches,
    Requests,
    deliver,
    end_batch,
    end_known_batch,
    new_batches,
    new_connections,
    take_ready,
    waiting,
)
from replay.ingest.reconstruct_packets import Packets
from replay.ingest.reconstruct_state import Columns
from replay.ingest.rows_of import places
from replay.trace.schema import EventKind, PacketKind

Int64s = npt.NDArray[np.int64]

_IRQ, _SOFTIRQ, _RUN = int(EventKind.IRQ), int(EventKind.SOFTIRQ), int(EventKind.RUN)
_RECEIVE, _XMIT = int(EventKind.RECEIVE), int(EventKind.XMIT)
_REQUEST, _ACK, _TX = int(PacketKind.REQUEST), int(PacketKind.ACK), int(PacketKind.TX)
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
    packets: Packets,
    flow: Int64s,
    weight: Int64s,
    *,
    counted: bool,
    answers_known: bool = False,
) -> Matches:
    """Match responses to requests, and measure what each took.

    By packet: flow: -1 where it is not known; weight: messages in it, used up meanwhile; counted:
    whether that is known. answers_known: responses' flows are known too, and are those of their
    requests.
    """
    count = len(packets.row)
    cpus, threads = places(events)
    told_apart = all(
        bool((flow[part][packets.kind[part] == PacketKind.REQUEST] >= 0).all())
        for part in mapped.steps(count)
    )
    answers_known = answers_known and told_apart
    connection = mapped.column(count)
    kinds = (np.int32 if name == "tid" else np.int64 for name in Matches._fields)
    found = Matches(*(mapped.column(count, kind) for kind in kinds))
    size = 0
    for part in mapped.steps(count):
        kind, payload = packets.kind[part], packets.payload[part]
        mine = kind == PacketKind.REQUEST
        if answers_known:
            mine |= (kind == PacketKind.TX) & (payload != 0)
        known = flow[part] if told_apart else np.arange(part.start, part.stop)
        connection[part] = np.where(mine, known, -1)
        size = max(size, int(connection[part].max()) + 1)
        for column in found:
            column[part] = -1
    requests = Requests(connection, weight, packets.time, mapped.column(count))
    cpu = _Cpu(*(np.full(cpus, -1, np.int64) for _ in _Cpu._fields))
    workers = _Worker(*(np.zeros(threads, np.int64) for _ in _Worker._fields))
    connections, batches = new_connections(size), new_batches(threads)
    at = np.array([0, packets.received], np.int64)
    for part in mapped.steps(len(events.time)):
        _walk(
            events,
            part.start,
            part.stop,
            at,
            packets.received,
            packets.row,
            packets.kind,
            packets.payload,
            told_apart,
            counted,
            answers_known,
            cpu,
            workers,
            requests,
            connections,
            batches,
            found,
        )
    return found


@jit_in_place
def _walk(
    events: Columns,
    begin: int,
    end: int,
    at: Int64s,
    received: int,
    rows: Int64s,
    kinds: npt.NDArray[np.uint8],
    payloads: Int64s,
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
    """Go through the events in order of time, counting each worker's own time.

    at (2,): the next packet received, and the next one sent.
    """
    next_received = at[0]
    next_sent = at[1]
    for row in range(begin, end):
        kind = events.kind[row]
        cpu = events.cpu[row]
        time = events.time[row]
        runs = cpus.tid[cpu]
        if runs >= 0 and workers.outside[runs]:
            workers.time[runs] += max(0, time - max(cpus.since[cpu], cpus.not_before[cpu]))
        cpus.since[cpu] = time
        tid = events.tid[row]
        packet = -1
        if kind == _RECEIVE:
            if next_received < received and rows[next_received] == row:
                packet = next_received
                next_received += 1
        elif kind == _XMIT and next_sent < len(rows) and rows[next_sent] == row:
            packet = next_sent
            next_sent += 1
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
            if kinds[packet] == _REQUEST:
                deliver(packet, requests, connections)
            elif kinds[packet] == _TX and payloads[packet] != 0:
                found.tid[packet] = tid
                if workers.outside[tid]:
                    found.previous[packet] = batches.last_sent[tid]
                    found.spent[packet] = workers.time[tid]
                    batches.last_sent[tid] = packet
                    batches.sent[tid] += 1
                    workers.time[tid] = 0
    at[0] = next_received
    at[1] = next_sent


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
    rows: Int64s,
    received: int,
    at: Int64s,
    count: int,
    time: Int64s,
    arrival: Int64s,
    kind: npt.NDArray[np.uint8],
    flow: Int64s,
    reply_to: Int64s,
    answered: Int64s,
    response_time: Int64s,
    think: Int64s,
) -> None:
    """Go through the next `count` packets in order of their events, connection by connection.

    rows: by packet, of their events; at (2,): the next packet received, and the next one sent.
    Responses take their request's flow, pure ACKs the request whose response they acknowledge,
    requests the time from the connection's previous response. answered, response_time: by flow,
    -1 at first.
    """
    for _ in range(count):
        ahead = at[1] < len(rows) and (at[0] == received or rows[at[1]] < rows[at[0]])
        packet = at[1] if ahead else at[0]
        at[1 if ahead else 0] += 1
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
