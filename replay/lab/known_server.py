"""A server whose service time is known: for each request it watches the clock that long.

    python -m replay.lab.known_server ADDRESS PORT SERVICE_NS

One thread, edge-triggered epoll_wait without a timeout, an answer for each 16 bytes. Its loop is
compiled, so that what a request takes beyond SERVICE_NS is recv, send and little else.
"""

from __future__ import annotations

import ctypes
import select
import socket
import sys

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_here
from replay.lab.libc import (
    EVENT_DATA,
    EVENT_WORDS,
    MSG_NOSIGNAL,
    epoll_wait,
    now,
    receive,
    send,
)

QUESTION, ANSWER = 16, 32
EVENTS_AT_ONCE = 128
_PR_SET_NAME = 15

Words = npt.NDArray[np.uint32]
Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@jit_here
def serve(
    listener: int,
    epoll: int,
    service_ns: int,
    events: Words,
    timespec: Int64s,
    buffer: Bytes,
    others: Words,
) -> int:
    """Answer until connections come or go; return how many descriptors of `others` did."""
    found = 0
    while not found:
        ready = epoll_wait(epoll, events.ctypes.data, EVENTS_AT_ONCE, -1)
        for position in range(ready):
            descriptor = events[position * EVENT_WORDS + EVENT_DATA]
            size = 0
            if descriptor != listener:
                size = receive(descriptor, buffer.ctypes.data, buffer.size, 0)
            if size == 0:
                others[found] = descriptor
                found += 1
            for _ in range(size // QUESTION):
                until = now(timespec) + service_ns
                while now(timespec) < until:
                    pass
                send(descriptor, buffer.ctypes.data, ANSWER, MSG_NOSIGNAL)
    return found


def main() -> None:
    """Serve on the address and port of the command line."""
    address, port, service_ns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ctypes.CDLL(None).prctl(_PR_SET_NAME, b"known-server", 0, 0, 0)
    events = np.zeros(EVENTS_AT_ONCE * EVENT_WORDS, np.uint32)
    others = np.zeros(EVENTS_AT_ONCE, np.uint32)
    scratch = np.zeros(2, np.int64), np.zeros(4096, np.uint8)
    connections: dict[int, socket.socket] = {}
    with socket.create_server((address, port), backlog=1024) as listener, select.epoll() as epoll:
        listener.setblocking(False)
        epoll.register(listener, select.EPOLLIN)
        while True:
            found = serve(listener.fileno(), epoll.fileno(), service_ns, events, *scratch, others)
            for descriptor in others[:found].tolist():
                if descriptor != listener.fileno():
                    connections.pop(descriptor).close()
                    continue
                connection, _ = listener.accept()
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                epoll.register(connection, select.EPOLLIN | select.EPOLLET)


if __name__ == "__main__":
    main()
