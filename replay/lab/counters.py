"""Counting kernel events without recording them: perf events that only add one."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from replay.lab import machine, system
from replay.lab.network import SERVER_DEVICE

TRACING = Path("/sys/kernel/tracing")
PERF_TYPE_TRACEPOINT = 2
SET_FILTER = 0x40082406
HARD_INTERRUPT = 0x08  # of the field common_flags


@dataclass(frozen=True)
class Count:
    """One tracepoint on one CPU, and which of its firings count."""

    name: str
    event: str
    cpu: int
    filter: str = ""


def counts(napi_thread: int, worker: int) -> list[Count]:
    """What is counted in every measured run."""
    client, server = machine.CLIENT_CPU, machine.SERVER_CPU
    wakeup, poll, epoll = "sched/sched_wakeup", "napi/napi_poll", "syscalls/sys_exit_epoll_wait"
    woken = f"pid == {napi_thread}"
    by_interrupt = f"common_flags & {HARD_INTERRUPT}"
    ours = f'dev_name == "{SERVER_DEVICE}"'
    by_worker = f"common_pid == {worker}"
    watchdog = f"function == {_kernel_address('napi_watchdog')}"
    return [
        # The peer's transmit wakes the thread: here a network card would interrupt.
        Count("interrupts", wakeup, client, woken),
        # The timer wakes it out of a hard interrupt, a failed busy poll out of the server's call.
        Count("timer_wakes", wakeup, server, f"{woken} && {by_interrupt}"),
        Count("resumes", wakeup, server, f"{woken} && !({by_interrupt})"),
        Count("timers", "timer/hrtimer_expire_entry", server, watchdog),
        Count("polls", poll, server, ours),
        Count("empty_polls", poll, server, f"work == 0 && {ours}"),
        Count("busy_polls", poll, server, f"{by_worker} && {ours}"),
        Count("epoll_returns", epoll, server, f"{by_worker} && ret > 0"),
        Count("epoll_returns_empty", epoll, server, f"{by_worker} && ret == 0"),
    ]


def describe(wanted: list[Count]) -> dict[str, object]:
    """How the counts were made, to be stored beside them."""
    return {
        "method": "perf events on tracepoints, each counted in the kernel on one CPU where its "
        "filter holds, read before and after the window; nothing is recorded",
        "counts": [asdict(count) for count in wanted],
    }


class Counters(ExitStack):
    """A set of counts that run from when it is made until it is closed."""

    def __init__(self, wanted: list[Count]) -> None:
        super().__init__()
        self._descriptors: dict[str, int] = {}
        with ExitStack() as unfinished:
            for count in wanted:
                descriptor = _open(count)
                unfinished.callback(os.close, descriptor)
                self._descriptors[count.name] = descriptor
            self.push(unfinished.pop_all())

    def read(self) -> dict[str, int]:
        """How often each has happened since."""
        return {
            name: int.from_bytes(os.read(descriptor, 8), "little")
            for name, descriptor in self._descriptors.items()
        }


def _open(count: Count) -> int:
    identity = int((TRACING / "events" / count.event / "id").read_text())
    # struct perf_event_attr, first version: type, size, config, no period (so nothing is
    # sampled), no sample or read format, no flags.
    attributes = struct.pack("=IIQQQQQ", PERF_TYPE_TRACEPOINT, 64, identity, 0, 0, 0, 0)
    descriptor = system.open_perf_event(attributes.ljust(64, b"\0"), count.cpu)
    if count.filter:
        try:
            fcntl.ioctl(descriptor, SET_FILTER, count.filter.encode() + b"\0")
        except OSError as error:
            os.close(descriptor)
            raise OSError(f"cannot count {count.event} where {count.filter}: {error}") from error
    return descriptor


def _kernel_address(function: str) -> str:
    """Where the kernel keeps a function, in the form that a filter compares with."""
    for line in Path("/proc/kallsyms").read_text().splitlines():
        address, _, name = line.split()[:3]
        if name == function:
            return f"0x{address}"
    raise OSError(f"the kernel does not say where {function} is")
