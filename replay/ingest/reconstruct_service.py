"""Which response answers which request, and the application's time for it.

The worker is a thread that waits in epoll_wait. Between a return and the next wait it serves
requests in the order in which they were delivered; the responses it transmits mark where one
ends and the next begins. Its time is its own: without interrupts, softirqs and other threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit
from replay.ingest.reconstruct_causes import Columns
from replay.trace.schema import EventKind, PacketKind

Int64s = npt.NDArray[np.int64]

_IRQ, _SOFTIRQ, _RUN = int(EventKind.IRQ), int(EventKind.SOFTIRQ), int(EventKind.RUN)
_ACK, _TX = int(PacketKind.ACK), int(PacketKind.TX)
_WAIT, _RETURN = int(EventKind.EPOLL_WAIT), int(EventKind.EPOLL_RETURN)


class Service(NamedTuple):
    """One entry a packet, in the order of reconstruct_packets."""

    tid: Int64s  # the thread that served or sent it; -1
    service: Int64s  # of a request, ns; -1
    reply_to: Int64s  # number of the packet that it answers; -1


class _Cpu(NamedTuple):
    """Shape (cpus,)."""

    tid: Int64s  # the thread that runs
    since: Int64s  # up to when its time has been counted
    not_before: Int64s  # end of the softirq or interrupt that it is held up by


class _Worker(NamedTuple):
    """By thread id."""

    outside: Int64s  # it is between a return of epoll_wait and the next call
    time: Int64s  # its own time since the last boundary
    delivered: Int64s  # requests that had been delivered when epoll_wait returned
    before: Int64s  # the same, at the return before
    sent: Int64s  # responses since the return


class _Queue(NamedTuple):
    """Requests that wait and responses that answer them. Shape (packets,) where not said."""

    request: Int64s  # packet numbers in the order of delivery
    ends: Int64s  # (2,) first not yet answered, one after the last delivered
    last: Int64s  # by thread id: its last response since epoll_wait returned; -1
    before: Int64s  # by packet: the response before it
    spent: Int64s  # by packet: the worker's time for it
    response: Int64s  # the responses of the batch at hand, in order
    group: Int64s  # by place among the waiting requests: which response answers it
    members: Int64s  # by response of the batch: how many requests it answers


def find_service(
    events: Columns,
    packet_of_row: Int64s,
    request: npt.NDArray[np.bool_],
    response: npt.NDArray[np.bool_],
    flow: Int64s,
) -> Service:
    """Match responses to requests.

    packet_of_row: a packet's number by its event's row, -1 for other events. request, response:
    by packet, whether it is one. flow: by packet, -1 where it is not known.
    """
    count = len(request)
    cpus = int(events.cpu.max(initial=0)) + 1
    threads = int(events.tid.max(initial=0)) + 1
    found = Service(*(np.full(count, -1, np.int64) for _ in Service._fields))
    flows = int(flow.max(initial=-1)) + 1
    _walk(
        events,
        packet_of_row,
        request,
        response,
        flow,
        np.full(flows, -1, np.int64),
        _Cpu(*(np.full(cpus, -1, np.int64) for _ in _Cpu._fields)),
        _Worker(*(np.zeros(threads, np.int64) for _ in _Worker._fields)),
        _Queue(
            request=np.empty(count, np.int64),
            ends=np.zeros(2, np.int64),
            last=np.full(threads, -1, np.int64),
            before=np.empty(count, np.int64),
            spent=np.empty(count, np.int64),
            response=np.empty(count, np.int64),
            group=np.empty(count, np.int64),
            members=np.empty(count, np.int64),
        ),
        found,
    )
    return found


@jit
def _walk(
    events: Columns,
    packet_of_row: Int64s,
    request: npt.NDArray[np.bool_],
    response: npt.NDArray[np.bool_],
    flow: Int64s,
    group_of_flow: Int64s,
    cpus: _Cpu,
    workers: _Worker,
    queue: _Queue,
    found: Service,
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
        elif kind == _SOFTIRQ or kind == _IRQ:
            cpus.not_before[cpu] = max(cpus.not_before[cpu], time + events.duration[row])
        elif kind == _RETURN:
            cpus.tid[cpu] = tid
            if events.value[row] > 0:
                workers.outside[tid] = 1
                workers.time[tid] = 0
                workers.sent[tid] = 0
                queue.last[tid] = -1
                workers.delivered[tid] = queue.ends[1]
        elif kind == _WAIT:
            if workers.outside[tid] and workers.sent[tid] > 0:
                _match(tid, flow, group_of_flow, workers, queue, found)
            workers.outside[tid] = 0
        elif packet >= 0:
            if request[packet]:
                queue.request[queue.ends[1]] = packet
                queue.ends[1] += 1
            elif response[packet]:
                found.tid[packet] = tid
                if workers.outside[tid]:
                    queue.before[packet] = queue.last[tid]
                    queue.last[tid] = packet
                    queue.spent[packet] = workers.time[tid]
                    workers.sent[tid] += 1
                    workers.time[tid] = 0


@jit
def _match(
    tid: int,
    flow: Int64s,
    group_of_flow: Int64s,
    workers: _Worker,
    queue: _Queue,
    found: Service,
) -> None:
    """Say which requests the responses of one batch answer."""
    first = queue.ends[0]
    sent = workers.sent[tid]
    # What the thread did after its last response belongs to that.
    queue.spent[queue.last[tid]] += workers.time[tid]
    packet = queue.last[tid]
    for place in range(sent - 1, -1, -1):
        queue.response[place] = packet
        packet = queue.before[packet]
    waiting = workers.delivered[tid] - first
    if 0 < sent < waiting and _group(first, waiting, flow, group_of_flow, queue) == sent:
        taken = waiting
    else:
        # One response a request; those delivered while the thread worked were served as well.
        taken = min(queue.ends[1] - first, sent)
        for place in range(taken):
            queue.group[place] = place
    if taken > 0:
        _assign(tid, first, taken, sent, queue, found)
    # What two batches left over was answered in a way that was not seen.
    queue.ends[0] = max(first + taken, workers.before[tid])
    workers.before[tid] = workers.delivered[tid]


@jit
def _group(first: int, waiting: int, flow: Int64s, group_of_flow: Int64s, queue: _Queue) -> int:
    """Number the connections of the waiting requests in order; returns how many there are.

    epoll returns a connection once, however many requests wait on it.
    """
    groups = 0
    for place in range(waiting):
        connection = flow[queue.request[first + place]]
        if connection < 0 or group_of_flow[connection] < 0:
            queue.group[place] = groups
            if connection >= 0:
                group_of_flow[connection] = groups
            groups += 1
        else:
            queue.group[place] = group_of_flow[connection]
    for place in range(waiting):
        connection = flow[queue.request[first + place]]
        if connection >= 0:
            group_of_flow[connection] = -1
    return groups


@jit
def _assign(tid: int, first: int, taken: int, sent: int, queue: _Queue, found: Service) -> None:
    """Give each request its response's time; requests that share one share its time."""
    queue.members[:sent] = 0
    for place in range(taken):
        answer = queue.response[queue.group[place]]
        queue.members[queue.group[place]] += 1
        if found.reply_to[answer] < 0:
            found.reply_to[answer] = queue.request[first + place]
    last = queue.request[first + taken - 1]
    for place in range(taken):
        packet = queue.request[first + place]
        group = queue.group[place]
        found.tid[packet] = tid
        found.service[packet] = queue.spent[queue.response[group]] // queue.members[group]
    for place in range(sent):
        answer = queue.response[place]
        if found.reply_to[answer] < 0:
            # A response in several packets: the rest belongs to the last request.
            found.reply_to[answer] = last
            found.service[last] += queue.spent[answer]


@jit
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
