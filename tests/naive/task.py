"""Threads of the kernel: what they do, as steps of (kind of CPU time, ns)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.naive import polls

Steps = Iterator[tuple[str, int]]


class Task:
    """A thread. Its steps begin and end with ("sleep", 0), asleep."""

    fifo = False  # SCHED_FIFO
    napi = False  # polls: others have their turn between its polls only
    pinned = True
    fresh = False  # woken, and has not run since
    serving = False  # a request: not in a system call
    holds = False  # holds a NAPI: others have their turn later

    def __init__(self, cpu) -> None:
        self.cpu, self.island, self.host = cpu, cpu.island, cpu.island.host
        self.restart()

    def restart(self) -> None:
        """Asleep, at the beginning."""
        self.asleep = True
        self.steps = self.live()
        self.work = [*next(self.steps)]

    def live(self) -> Steps:
        raise AssertionError("a task lives")

    def sleep(self) -> Steps:
        self.asleep = True
        if self.fifo or self.cpu.running is self:
            self.cpu.block(self)
        yield "sleep", 0


class Ksoftirqd(Task):
    napi = True

    def live(self) -> Steps:
        yield "sleep", 0
        while True:
            yield from polls.handle_softirqs(self.cpu, self)
            self.cpu.bh_off = None
            self.cpu.leave_softirq()
            yield from self.sleep()


class Background(Task):
    def live(self) -> Steps:
        yield "sleep", 0
        while True:
            yield "other", self.host.background_ns
            yield from self.sleep()


class Kworker(Task):
    owed = 0

    def live(self) -> Steps:
        yield "sleep", 0
        while True:
            while self.owed:
                time, self.owed = self.owed, 0
                yield "other", time
            yield from self.sleep()


class NapiThread(Task):
    """napi_threaded_poll, for one queue or (TAPI) for several in turn."""

    napi = True

    def __init__(self, cpu, kind: str) -> None:
        self.queues: list = []
        self.fifo, self.pinned = kind == "fifo", kind != "floating"
        self.leaving, self.in_exit = 0, False
        super().__init__(cpu)

    def add(self, queue, cpu, in_call: bool) -> None:
        self.queues.append(queue)
        if self.asleep:
            self.island.wake(self, cpu, in_call)
        elif self.in_exit:  # called back as it was leaving: what that takes is dropped
            self.restart()
            self.asleep = False

    def live(self) -> Steps:
        self.in_exit = False
        yield "sleep", 0
        while True:
            while self.queues:
                if self.fifo:
                    self.throttle()
                    yield "softirq", 0
                self.cpu.bh_off = self
                queue = self.queues.pop(0)
                again: list = []
                yield from polls.poll_napi(self.cpu, queue, again, self)
                self.cpu.enable_bh()
                self.queues += again
                if not self.fifo and self.cpu.slice_is_over():
                    self.cpu.rotate()
                yield "softirq", 0
            self.in_exit = True
            leaving, self.leaving = self.leaving, 0
            yield "softirq", leaving + self.host.exit_ns
            self.in_exit = False
            yield from self.sleep()

    def throttle(self) -> None:
        """sched_rt_runtime_exceeded: FIFO threads get rt_runtime of each rt_period."""
        cpu = self.cpu
        window = cpu.now // self.host.rt_period_ns
        if window != cpu.rt_window:
            cpu.rt_window, cpu.rt_used = window, 0
        if cpu.rt_used >= self.host.rt_runtime_ns:
            cpu.throttled = True
            cpu.unthrottle = (window + 1) * self.host.rt_period_ns
