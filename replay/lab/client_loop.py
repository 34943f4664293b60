"""The client's spinning loop: send what is due, take what has come, never wait."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from replay.engine.accelerate import jit_here
from replay.lab.libc import (
    EPOLL_BROKEN,
    EVENT_DATA,
    EVENT_WORDS,
    MSG_NOSIGNAL,
    epoll_wait,
    now,
    receive,
    send,
)
from replay.lab.requests import Requests

EVENTS_AT_ONCE = 128
SENDS_AT_ONCE = 16
#: The loop's readings of the clock are a few µs apart: what is longer is a pause of its CPU.
PAUSE_NS = 250_000
MOST_PAUSES = 50_000

# Why the loop ended.
TIME_IS_UP, ALL_ANSWERED, INTERRUPTED, CONNECTION_BROKEN = 0, 1, 2, 3
# Entries of `Spinner.progress`, which outlive one call of the loop.
NEXT_REQUEST, ANSWERED, LAST_READING, PAUSES = 0, 1, 2, 3


class Connections(NamedTuple):
    """One entry a connection, but for `number`, which has one a descriptor (-1: none of ours)."""

    socket: np.ndarray
    due: np.ndarray  # requests whose time has come
    sent_bytes: np.ndarray
    received_bytes: np.ndarray
    blocked: np.ndarray  # whether the socket's buffer is full
    number: np.ndarray


class Spinner(NamedTuple):
    """What the loop works with besides connections and requests."""

    epoll: int
    question: np.ndarray  # the bytes of a request, many times over: any part can be sent at once
    question_length: int
    answer_length: int
    buffer: np.ndarray
    events: np.ndarray
    timespec: np.ndarray
    progress: np.ndarray
    pauses: np.ndarray  # shape (MOST_PAUSES, 2): when each began, and how long it was, ns


@jit_here
def spin(
    until_ns: int,
    until_answered: bool,
    requests: Requests,
    connections: Connections,
    spinner: Spinner,
) -> int:
    """Run until an instant, or until every request is answered; returns why it ended."""
    progress = spinner.progress
    progress[LAST_READING] = now(spinner.timespec)
    time = _read_the_clock(spinner)
    while time < until_ns:
        _send_what_is_due(time, requests, connections, spinner)
        ready = epoll_wait(spinner.epoll, spinner.events.ctypes.data, EVENTS_AT_ONCE, 0)
        for position in range(ready):
            kind = spinner.events[position * EVENT_WORDS]
            chosen = connections.number[spinner.events[position * EVENT_WORDS + EVENT_DATA]]
            if chosen < 0:
                return INTERRUPTED
            if kind & EPOLL_BROKEN or not _receive(chosen, connections, spinner):
                return CONNECTION_BROKEN
            time = _read_the_clock(spinner)
            _note_answers(chosen, time, requests, connections, spinner)
            if connections.blocked[chosen]:
                _send(chosen, time, requests, connections, spinner)
        if until_answered and progress[ANSWERED] == len(requests.intended_ns):
            return ALL_ANSWERED
        time = _read_the_clock(spinner)
    return TIME_IS_UP


@jit_here
def _read_the_clock(spinner: Spinner) -> int:
    """Return the time; note a pause since the last reading."""
    progress = spinner.progress
    time = now(spinner.timespec)
    before = progress[LAST_READING]
    if time - before > PAUSE_NS and progress[PAUSES] < MOST_PAUSES:
        spinner.pauses[progress[PAUSES], 0] = before
        spinner.pauses[progress[PAUSES], 1] = time - before
        progress[PAUSES] += 1
    progress[LAST_READING] = time
    return time


@jit_here
def _send_what_is_due(
    time: int, requests: Requests, connections: Connections, spinner: Spinner
) -> None:
    progress = spinner.progress
    # Not all at once: a client that is behind would send without end and never receive.
    for _ in range(SENDS_AT_ONCE):
        request = progress[NEXT_REQUEST]
        if request == len(requests.intended_ns) or requests.intended_ns[request] > time:
            return
        progress[NEXT_REQUEST] = request + 1
        chosen = requests.connection[request]
        connections.due[chosen] += 1
        # A full buffer is not waited for: the request stays due and its clock runs.
        if not connections.blocked[chosen]:
            _send(chosen, time, requests, connections, spinner)
            time = _read_the_clock(spinner)


@jit_here
def _send(
    chosen: int, time: int, requests: Requests, connections: Connections, spinner: Spinner
) -> None:
    """Hand the socket all that is due on one connection, or as much as it takes."""
    length = spinner.question_length
    sent = connections.sent_bytes
    while sent[chosen] < connections.due[chosen] * length:
        offset = sent[chosen] % length
        size = min(connections.due[chosen] * length - sent[chosen], spinner.question.size - offset)
        source = spinner.question.ctypes.data + offset
        taken = send(connections.socket[chosen], source, size, MSG_NOSIGNAL)
        if taken < 0:
            connections.blocked[chosen] = True
            return
        for whole in range(sent[chosen] // length, (sent[chosen] + taken) // length):
            requests.sent_ns[requests.order[requests.first[chosen] + whole]] = time
        sent[chosen] += taken
    connections.blocked[chosen] = False


@jit_here
def _receive(chosen: int, connections: Connections, spinner: Spinner) -> bool:
    """Take all that has come on one connection; False when the server has closed it."""
    buffer = spinner.buffer
    while True:
        size = receive(connections.socket[chosen], buffer.ctypes.data, buffer.size, 0)
        if size <= 0:
            return bool(size < 0)
        connections.received_bytes[chosen] += size
        if size < buffer.size:
            return True


@jit_here
def _note_answers(
    chosen: int, time: int, requests: Requests, connections: Connections, spinner: Spinner
) -> None:
    """Answers are of one length and in the order of the requests: their bytes say which."""
    whole = connections.received_bytes[chosen] // spinner.answer_length
    for position in range(whole - 1, -1, -1):
        request = requests.order[requests.first[chosen] + position]
        if requests.received_ns[request]:
            return
        requests.received_ns[request] = time
        spinner.progress[ANSWERED] += 1
