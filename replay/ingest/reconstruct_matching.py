"""Which response answers which request: epoll's ready list followed, connection by connection.

epoll_wait returns connections in the order in which data made them ready, and puts those it
returned back at the list's end, to be looked at once more (level-triggered; ep_send_events). The
worker reads all that a connection holds and answers in order, then goes to the next. Where
connections cannot be told apart, each request counts as one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.engine.accelerate import jit_inside

Int64s = npt.NDArray[np.int64]


class Requests(NamedTuple):
    """By packet; connections and packets are -1 where there is none."""

    connection: Int64s
    weight: Int64s  # messages in a request or response not matched yet
    time: Int64s  # of its event
    next: Int64s  # the request after it on its connection


class Connections(NamedTuple):
    """By connection."""

    first: Int64s  # its oldest request that waits
    last: Int64s
    ready: Int64s  # the one after it in the ready list
    listed: Int64s  # whether it is in the ready list
    visit: Int64s  # the one after it among those that a worker was told of
    visited: Int64s  # whether it is among them
    last_sent: Int64s  # the last response of the batch at hand that went to it
    answered: Int64s  # the last request that this batch answered
    ends: Int64s  # (2,) ready list's first and last


class Batches(NamedTuple):
    """By thread id: what epoll_wait has returned and what was sent since."""

    first: Int64s  # connection to visit first
    visits: Int64s  # connections to visit
    returned: Int64s  # when epoll_wait returned
    before: Int64s  # when it did the time before
    last_sent: Int64s  # the last response
    sent: Int64s  # responses


class Matches(NamedTuple):
    """By packet, what is found."""

    tid: npt.NDArray[np.int32]  # the thread that served or sent it; -1
    service: Int64s  # of a request, ns; -1
    reply_to: Int64s  # the request that a response answers; -1
    spent: Int64s  # the worker's time for a response
    previous: Int64s  # the response before it in its batch


def new_connections(count: int) -> Connections:
    """Return `count` connections without requests."""
    columns = {name: mapped.column(count) for name in Connections._fields}
    columns["ends"] = np.zeros(2, np.int64)
    for name, column in columns.items():
        if name not in ("listed", "visited"):
            for part in mapped.steps(len(column)):
                column[part] = -1
    return Connections(**columns)


def new_batches(threads: int) -> Batches:
    """Return the state of `threads` threads that wait for nothing."""
    columns = {name: np.zeros(threads, np.int64) for name in Batches._fields}
    for name in ("first", "last_sent"):
        columns[name][:] = -1
    return Batches(**columns)


@jit_inside
def deliver(packet: int, requests: Requests, connections: Connections) -> None:
    """Put a request that the stack received where its worker will find it."""
    connection = requests.connection[packet]
    requests.next[packet] = -1
    if connections.first[connection] < 0:
        connections.first[connection] = packet
    else:
        requests.next[connections.last[connection]] = packet
    connections.last[connection] = packet
    if not connections.listed[connection]:
        _list(connection, connections)


@jit_inside
def _list(connection: int, connections: Connections) -> None:
    """Put a connection at the end of the ready list."""
    connections.ready[connection] = -1
    if connections.ends[0] < 0:
        connections.ends[0] = connection
    else:
        connections.ready[connections.ends[1]] = connection
    connections.ends[1] = connection
    connections.listed[connection] = 1


@jit_inside
def waiting(connections: Connections) -> int:
    """Return how many connections have data that no worker was told of."""
    count = 0
    connection = connections.ends[0]
    while connection >= 0:
        if connections.first[connection] >= 0 and not connections.visited[connection]:
            count += 1
        connection = connections.ready[connection]
    return count


@jit_inside
def take_ready(
    tid: int,
    most: int,
    drop: int,
    since: int,
    requests: Requests,
    connections: Connections,
    batches: Batches,
) -> None:
    """Tell a worker of the first `most` connections that have data.

    drop: how many of those before them to forget. epoll returns all that have data, up to the
    caller's limit: if more seem to have, the oldest did not (their segments were repeated ones).
    since: what was delivered before is forgotten, too.
    """
    batches.first[tid] = -1
    batches.visits[tid] = 0
    latest = -1
    stop = connections.ends[1]
    while connections.ends[0] >= 0 and batches.visits[tid] < most:
        connection = connections.ends[0]
        connections.ends[0] = connections.ready[connection]
        connections.listed[connection] = 0
        oldest = connections.first[connection]
        waits = oldest >= 0 and not connections.visited[connection]
        if waits and requests.time[oldest] < since:
            connections.first[connection] = -1
        elif waits and drop > 0:
            connections.first[connection] = -1
            drop -= 1
        elif waits:
            if latest < 0:
                batches.first[tid] = connection
            else:
                connections.visit[latest] = connection
            connections.visit[connection] = -1
            connections.visited[connection] = 1
            latest = connection
            batches.visits[tid] += 1
            _list(connection, connections)
        if connection == stop:
            break


@jit_inside
def end_batch(
    tid: int,
    counted: bool,
    requests: Requests,
    connections: Connections,
    batches: Batches,
    found: Matches,
) -> None:
    """Give the responses of a worker's batch to the requests of the connections it visited.

    counted: a response says how many requests it answers; otherwise the last one to a connection
    answers all that waited there when epoll_wait returned.
    """
    response = _first_response(tid, batches, found)
    responses = batches.sent[tid]
    to_visit = batches.visits[tid]
    connection = batches.first[tid]
    answered = -1
    while connection >= 0:
        to_visit -= 1
        connections.visited[connection] = 0
        last = -1
        # Every connection after this one is owed a response.
        while response >= 0 and (responses > to_visit or to_visit == 0):
            latest = _answer(response, connection, requests, connections, found, tid)
            if latest < 0:
                break
            answered = latest
            last = response
            response = found.previous[response]
            responses -= 1
        if last >= 0 and not counted:
            returned = batches.returned[tid]
            _share(last, answered, tid, returned, connection, requests, connections, found)
        if batches.sent[tid] > 0:
            _forget(connection, batches.returned[tid], requests, connections)
        connection = connections.visit[connection]
    while response >= 0 and answered >= 0:
        # An answer in several packets: the rest belongs to the last request.
        found.reply_to[response] = answered
        found.service[answered] += found.spent[response]
        response = found.previous[response]
    batches.first[tid] = -1
    batches.visits[tid] = 0
    batches.sent[tid] = 0
    batches.last_sent[tid] = -1


@jit_inside
def end_known_batch(
    tid: int,
    counted: bool,
    requests: Requests,
    connections: Connections,
    batches: Batches,
    found: Matches,
) -> None:
    """Give the responses of a worker's batch to the requests of their own connections.

    As end_batch, where a capture says to which connection each response went.
    """
    first = _first_response(tid, batches, found)
    response = first
    while response >= 0:  # the last one to each connection is kept in `last_sent`
        connection = requests.connection[response]
        if connection >= 0:
            connections.last_sent[connection] = response
            connections.answered[connection] = -1
        response = found.previous[response]
    response = first
    while response >= 0:
        connection = requests.connection[response]
        if connection >= 0:
            latest = _answer(response, connection, requests, connections, found, tid)
            if latest >= 0:
                connections.answered[connection] = latest
            elif connections.answered[connection] >= 0:
                # An answer in several packets: the rest belongs to the last request.
                found.reply_to[response] = connections.answered[connection]
                found.service[connections.answered[connection]] += found.spent[response]
            latest = connections.answered[connection]
            if latest >= 0 and connections.last_sent[connection] == response:
                returned = batches.returned[tid]
                if not counted:
                    _share(
                        response, latest, tid, returned, connection, requests, connections, found
                    )
                _forget(connection, returned, requests, connections)
        response = found.previous[response]
    connection = batches.first[tid]
    while connection >= 0:
        connections.visited[connection] = 0
        connection = connections.visit[connection]
    batches.first[tid] = -1
    batches.visits[tid] = 0
    batches.sent[tid] = 0
    batches.last_sent[tid] = -1


@jit_inside
def _first_response(tid: int, batches: Batches, found: Matches) -> int:
    """Turn the batch's responses round, so that `previous` leads to the next one."""
    after = -1
    response = batches.last_sent[tid]
    while response >= 0:
        before = found.previous[response]
        found.previous[response] = after
        after = response
        response = before
    return after


@jit_inside
def _answer(
    response: int,
    connection: int,
    requests: Requests,
    connections: Connections,
    found: Matches,
    tid: int,
) -> int:
    """Match one response with what waits on a connection; returns the last request, or -1."""
    messages = requests.weight[response]
    left = messages
    latest = -1
    while left > 0:
        packet = connections.first[connection]
        if packet < 0 or requests.time[packet] > requests.time[response]:
            break
        part = min(left, requests.weight[packet])
        left -= part
        requests.weight[packet] -= part
        latest = packet
        if found.reply_to[response] < 0:
            found.reply_to[response] = packet
        found.tid[packet] = tid
        found.service[packet] = max(found.service[packet], 0)
        found.service[packet] += found.spent[response] // messages * part
        if requests.weight[packet] == 0:
            connections.first[connection] = requests.next[packet]
    if latest >= 0 and left > 0:
        found.service[latest] += found.spent[response] // messages * left
    return latest


@jit_inside
def _share(
    response: int,
    answered: int,
    tid: int,
    returned: int,
    connection: int,
    requests: Requests,
    connections: Connections,
    found: Matches,
) -> None:
    """Let the last response to a connection answer, in equal parts, all that waited there."""
    waited = 1
    packet = connections.first[connection]
    while packet >= 0 and requests.time[packet] < returned:
        waited += 1
        packet = requests.next[packet]
    part = found.spent[response] // waited
    packet = connections.first[connection]
    while packet >= 0 and requests.time[packet] < returned:
        found.tid[packet] = tid
        found.service[packet] = part
        found.service[answered] -= part
        packet = requests.next[packet]


@jit_inside
def _forget(connection: int, returned: int, requests: Requests, connections: Connections) -> None:
    """Drop requests that were there when the worker came and found no response of their own."""
    packet = connections.first[connection]
    while packet >= 0 and requests.time[packet] < returned:
        packet = requests.next[packet]
    connections.first[connection] = packet
