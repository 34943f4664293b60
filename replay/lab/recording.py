"""Recording what the kernel does, event by event, with perf."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from replay.capture import EPOLL_EVENTS, EVENTS
from replay.lab import machine, processes

# A ring this large lets perf sleep, off the client's CPU, until the recording is over.
RING = "128M"
# Only of the server: the polling client would flood the recording and disturb every tail.
EVENTS_OF_THE_WORKER = EPOLL_EVENTS
ANSWERS_WITHIN_S = 10
WRITES_WITHIN_S = 60


def command(path: Path, worker: int) -> list[str]:
    """The perf command line, but for how it is told when to record."""
    words = ["perf", "record", "-a", "-m", RING, "-k", "CLOCK_MONOTONIC", "-o", str(path)]
    for event in EVENTS:
        words += ["-e", event]
    for event in EVENTS_OF_THE_WORKER:
        words += ["-e", event, "--filter", f"common_pid == {worker}"]
    return words


class Recording:
    """A perf that is ready once entered, records between start() and pause(), and then writes."""

    def __init__(self, path: Path, worker: int) -> None:
        self.command = command(path, worker)
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the rest)
        heard, self._control = os.pipe()
        self._acknowledged, answer = os.pipe()
        try:
            self._perf = processes.start(
                [*self.command, "--delay", "-1", "--control", f"fd:{heard},{answer}"],
                machine.CLIENT_CPU,
                pass_fds=(heard, answer),
                stdout=subprocess.DEVNULL,
                stderr=self._said,
            )
        finally:
            os.close(heard)
            os.close(answer)

    def __enter__(self) -> Recording:
        try:
            self._tell("ping")  # an answer says that the rings are there
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def start(self) -> None:
        """Record from now on."""
        self._tell("enable")

    def pause(self) -> None:
        """Record no more."""
        self._tell("disable")

    def _close(self) -> None:
        processes.stop(self._perf, signal.SIGINT, WRITES_WITHIN_S)
        os.close(self._control)
        os.close(self._acknowledged)
        self._said.close()

    def _tell(self, what: str) -> None:
        answer = b""
        try:
            os.write(self._control, f"{what}\n".encode())
            if select.select([self._acknowledged], [], [], ANSWERS_WITHIN_S)[0]:
                answer = os.read(self._acknowledged, 16)
        except BrokenPipeError:
            pass
        if not answer.startswith(b"ack"):
            processes.stop(self._perf)
            self._said.seek(0)
            said = self._said.read().strip().splitlines()
            raise OSError(f"perf record failed: {said[-1] if said else 'it gave no reason'}")
