"""An open-loop client: it asks when the plan says, however slow the answers are."""

from __future__ import annotations

import select
import signal
import socket
from contextlib import ExitStack

import numpy as np

from replay.lab import client_loop, interrupt
from replay.lab.client_loop import Connections, Spinner, spin
from replay.lab.libc import EVENT_WORDS
from replay.lab.network import SERVER_ADDRESS, inside
from replay.lab.requests import Requests
from replay.lab.services import Service

CONNECTIONS = 100


class Client(ExitStack):
    """One hundred TCP connections and a loop that spins over them."""

    def __init__(self, namespace: int, service: Service, answer_length: int) -> None:
        super().__init__()
        with ExitStack() as unfinished:
            self._epoll = unfinished.enter_context(select.epoll())
            self._sockets = []
            for _ in range(CONNECTIONS):
                with inside(namespace):
                    address = SERVER_ADDRESS, service.port
                    connection = socket.create_connection(address, timeout=2)
                self._sockets.append(unfinished.enter_context(connection))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setblocking(False)
                interest = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
                self._epoll.register(connection, interest)
            self._let_signals_end_the_loop(unfinished)
            self._keep = unfinished.pop_all()
        self.enter_context(self._keep)
        self.local_ports = np.array([s.getsockname()[1] for s in self._sockets], np.int32)
        self._connections = _connections([s.fileno() for s in self._sockets])
        self._spinner = _spinner(self._epoll.fileno(), service.question, answer_length)

    def run(self, requests: Requests, until_ns: int, until_answered: bool = False) -> None:
        """Go on with the requests until an instant; may be called again to go on from there."""
        interrupt.obey()
        ended = spin(until_ns, until_answered, requests, self._connections, self._spinner)
        interrupt.obey()
        if ended == client_loop.CONNECTION_BROKEN:
            raise ConnectionError("the server closed a connection during a run")

    def forget_pauses(self) -> None:
        """Begin a new account of the loop's own pauses."""
        self._spinner.progress[client_loop.PAUSES] = 0

    @property
    def pauses(self) -> np.ndarray:
        """When the loop did not come round for long: each pause's beginning and length, ns."""
        return self._spinner.pauses[: self._spinner.progress[client_loop.PAUSES]].copy()

    def _let_signals_end_the_loop(self, unfinished: ExitStack) -> None:
        # Python's handlers wait for the compiled loop to return; its wake-up descriptor does not.
        alarm, wake = socket.socketpair()
        unfinished.enter_context(alarm)
        unfinished.enter_context(wake)
        wake.setblocking(False)
        self._epoll.register(alarm, select.EPOLLIN)
        previous = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        unfinished.callback(signal.set_wakeup_fd, previous)


def _connections(descriptors: list[int]) -> Connections:
    number = np.full(max(descriptors) + 64, -1, np.int64)
    number[descriptors] = np.arange(len(descriptors))
    return Connections(
        socket=np.array(descriptors, np.int32),
        due=np.zeros(len(descriptors), np.int64),
        sent_bytes=np.zeros(len(descriptors), np.int64),
        received_bytes=np.zeros(len(descriptors), np.int64),
        blocked=np.zeros(len(descriptors), np.bool_),
        number=number,
    )


def _spinner(epoll: int, question: bytes, answer_length: int) -> Spinner:
    return Spinner(
        epoll=epoll,
        question=np.frombuffer(question * 64, np.uint8).copy(),
        question_length=len(question),
        answer_length=answer_length,
        buffer=np.zeros(65_536, np.uint8),
        events=np.zeros(client_loop.EVENTS_AT_ONCE * EVENT_WORDS, np.uint32),
        timespec=np.zeros(2, np.int64),
        progress=np.zeros(4, np.int64),
        pauses=np.zeros((client_loop.MOST_PAUSES, 2), np.int64),
    )
