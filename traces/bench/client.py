"""An open-loop client: it asks when the plan says, however slow the answers are."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from types import TracebackType

import numpy as np

from bench import client_loop
from bench.network import SERVER_ADDRESS, inside
from bench.requests import Requests

KEY, VALUE = b"k", b"0123456789abcdef0123456789abcdef"
QUESTION = b"get " + KEY + b"\r\n"
ANSWER = b"VALUE " + KEY + b" 0 %d\r\n" % len(VALUE) + VALUE + b"\r\nEND\r\n"
CONNECTIONS = 100


class Interrupted(Exception):
    """A signal arrived while the client was spinning."""


class Client:
    """One hundred TCP connections and what has gone over them."""

    def __init__(self, namespace: int, port: int, connections: int = CONNECTIONS) -> None:
        self.sockets: list[socket.socket] = []
        self._epoll = select.epoll()
        with inside(namespace):
            for _ in range(connections):
                connection = socket.create_connection((SERVER_ADDRESS, port), timeout=2)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sockets.append(connection)
        for number, connection in enumerate(self.sockets):
            self._check(connection)
            connection.setblocking(False)
            interest = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
            self._register(connection.fileno(), number, interest)
        self.local_ports = np.array([s.getsockname()[1] for s in self.sockets], np.int32)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._epoll.close()
        for connection in self.sockets:
            connection.close()
