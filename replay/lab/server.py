"""The server on the bench: one of the services, unmodified, running on its CPU."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from replay.lab import machine, processes
from replay.lab.network import SERVER_ADDRESS, Network, inside
from replay.lab.services import Service

# An answer is over when nothing more of it comes for this long.
SILENCE_S = 0.1
# How long a server may take until it listens: our own compiles its loop first.
STARTS_WITHIN_S = 30.0


class Server(ExitStack):
    """A running service that has answered once; `answer_length` is the bytes of an answer."""

    def __init__(self, network: Network, service: Service) -> None:
        super().__init__()
        self.service = service
        with ExitStack() as unfinished:
            folder = Path(tempfile.mkdtemp(prefix="replay-server-"))
            unfinished.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.chmod(0o777)  # the server runs as another user
            with inside(network.server):
                self._process = processes.start(
                    service.command(folder),
                    machine.SERVER_CPU,
                    # Whatever else the machine does comes after the server. The NAPI does not.
                    nice=machine.FIRST,
                    user=service.user,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            unfinished.callback(processes.stop, self._process)
            self.answer_length = self._ask_once(network)
            self.worker = self._find_worker()
            self.push(unfinished.pop_all())

    @property
    def pid(self) -> int:
        """The process, not its worker thread."""
        return self._process.pid

    def _ask_once(self, network: Network) -> int:
        """Return the length of an answer, as soon as the server gives one."""
        give_up = time.monotonic() + STARTS_WITHIN_S
        name, port = self.service.name, self.service.port
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                raise OSError(f"{name} ended at once with status {self._process.returncode}")
            try:
                with inside(network.client):
                    link = socket.create_connection((SERVER_ADDRESS, port), timeout=2)
            except OSError:
                time.sleep(0.02)
                continue
            with link:
                if self.service.before:
                    _exchange(link, self.service.before)
                lengths = {len(_exchange(link, self.service.question)) for _ in range(3)}
            if len(lengths) != 1 or 0 in lengths:
                raise OSError(f"{name} gives answers of {sorted(lengths)} bytes: one is needed")
            return lengths.pop()
        raise OSError(f"{name} did not accept a connection within {STARTS_WITHIN_S:g} s")

    def _find_worker(self) -> int:
        names = processes.threads(self.pid)
        workers = [thread for thread, name in names.items() if name == self.service.worker]
        if len(workers) != 1:
            raise OSError(f"expected one thread {self.service.worker}, found {names}")
        return workers[0]


def _exchange(link: socket.socket, question: bytes) -> bytes:
    """Ask, and return the whole answer."""
    link.sendall(question)
    link.settimeout(2)
    answer = link.recv(4096)
    link.settimeout(SILENCE_S)
    try:
        while piece := link.recv(4096):
            answer += piece
    except TimeoutError:
        pass
    return answer
