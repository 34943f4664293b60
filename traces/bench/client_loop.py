"""The client's spinning loop: send what is due, take what has come, never wait."""

from __future__ import annotations

import numpy as np
from numba import njit

from bench.libc import (
    EPOLL_BROKEN,
    EVENT_DATA,
    EVENT_WORDS,
    MSG_NOSIGNAL,
    epoll_wait,
    now,
    receive,
    send,
)

EVENTS_AT_ONCE = 128
# What the loop leaves for the next slice and for the reader, by position in `progress`:
NEXT_REQUEST, ANSWERED, LARGEST_GAP_NS, LONG_GAPS = 0, 1, 2, 3
LONG_GAP_NS = 100_000
# Why it ended:
TIME_IS_UP, ALL_ANSWERED, INTERRUPTED, CONNECTION_BROKEN = 0, 1, 2, 3


@njit
def spin(
    until_ns: int,
    stop_when_answered: bool,
    epoll: int,
    sockets: np.ndarray,
    question: np.ndarray,  # the request's bytes, repeated so that any slice can be sent
    question_length: int,
    answer_length: int,
    intended_ns: np.ndarray,
    connection: np.ndarray,
    sent_ns: np.ndarray,
    received_ns: np.ndarray,
    order: np.ndarray,
    first: np.ndarray,
    due: np.ndarray,  # per connection: requests whose time has come
    sent_bytes: np.ndarray,  # per connection
    received_bytes: np.ndarray,  # per connection
    blocked: np.ndarray,  # per connection: the socket's buffer is full
    buffer: np.ndarray,
    events: np.ndarray,
    timespec: np.ndarray,
    progress: np.ndarray,
) -> int:
    """Run until an instant, or until every request so far is answered; says why it ended."""
    reason = TIME_IS_UP
    time = before = now(timespec)
    while time < until_ns:
        while progress[NEXT_REQUEST] < len(intended_ns):
            request = progress[NEXT_REQUEST]
            if intended_ns[request] > time:
                break
            progress[NEXT_REQUEST] = request + 1
            chosen = connection[request]
            due[chosen] += 1
            if not blocked[chosen]:
                _send_due(
                    chosen, time, sockets, question, question_length, order, first, due,
                    sent_bytes, sent_ns, blocked,
                )  # fmt: skip
                time = now(timespec)
        count = epoll_wait(epoll, events.ctypes.data, EVENTS_AT_ONCE, 0)
        for position in range(count):
            kind = events[position * EVENT_WORDS]
            chosen = np.int64(events[position * EVENT_WORDS + EVENT_DATA])
            if chosen == len(sockets):
                return INTERRUPTED
            if kind & EPOLL_BROKEN:
                return CONNECTION_BROKEN
            size = 0
            while True:
                size = receive(sockets[chosen], buffer.ctypes.data, buffer.size, 0)
                if size <= 0:
                    break
                received_bytes[chosen] += size
                if size < buffer.size:
                    break
            if size == 0:
                return CONNECTION_BROKEN
            time = now(timespec)
            _note_answers(
                chosen, time, answer_length, order, first, received_bytes, received_ns, progress
            )
            if blocked[chosen]:
                _send_due(
                    chosen, time, sockets, question, question_length, order, first, due,
                    sent_bytes, sent_ns, blocked,
                )  # fmt: skip
        time = now(timespec)
        gap = time - before
        before = time
        if gap > progress[LARGEST_GAP_NS]:
            progress[LARGEST_GAP_NS] = gap
        if gap > LONG_GAP_NS:
            progress[LONG_GAPS] += 1
        if stop_when_answered and progress[ANSWERED] == len(intended_ns):
            reason = ALL_ANSWERED
            break
    return reason


@njit
def _send_due(
    chosen, time, sockets, question, question_length, order, first, due, sent_bytes, sent_ns,
    blocked,
):  # fmt: skip
    """Hand the socket all that is due on one connection; what does not fit stays due."""
    while True:
        wanted = due[chosen] * question_length - sent_bytes[chosen]
        if wanted == 0:
            blocked[chosen] = False
            return
        offset = sent_bytes[chosen] % question_length
        size = min(wanted, question.size - offset)
        done = send(sockets[chosen], question.ctypes.data + offset, size, MSG_NOSIGNAL)
        if done < 0:
            blocked[chosen] = True
            return
        whole = sent_bytes[chosen] // question_length
        sent_bytes[chosen] += done
        for position in range(whole, sent_bytes[chosen] // question_length):
            sent_ns[order[first[chosen] + position]] = time


@njit
def _note_answers(
    chosen, time, answer_length, order, first, received_bytes, received_ns, progress
):
    """Answers come in the order of the requests: count the bytes to know how many are whole."""
    whole = received_bytes[chosen] // answer_length
    position = whole
    while position > 0:
        request = order[first[chosen] + position - 1]
        if received_ns[request]:
            break
        received_ns[request] = time
        progress[ANSWERED] += 1
        position -= 1
