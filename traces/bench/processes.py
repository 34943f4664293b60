"""Children that cannot outlive the bench."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

from bench import system


def start(command: Sequence[str], cpu: int, nice: int = 0, **options: Any) -> subprocess.Popen:
    """Start a command pinned to one CPU, killed by the kernel if this process is."""

    def prepare() -> None:
        system.die_with_parent()
        os.sched_setaffinity(0, {cpu})
        os.setpriority(os.PRIO_PROCESS, 0, nice)

    return subprocess.Popen(command, preexec_fn=prepare, stdin=subprocess.DEVNULL, **options)


def stop(
    process: subprocess.Popen, how: signal.Signals = signal.SIGTERM, patience_s: float = 2
) -> None:
    """End a child, by force if it takes longer than that, and take its exit status."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start_idle_spinner(cpu: int) -> subprocess.Popen:
    """Keep a CPU from idling with a loop that any other task may interrupt.

    In a virtual machine an idle CPU is given back to the host, and what that costs would hide
    what is to be measured; its time in this loop is the CPU's idle time.
    """
    spinner = start(["python3", "-S", "-E", "-c", "while True: pass"], cpu)
    try:
        os.sched_setscheduler(spinner.pid, os.SCHED_IDLE, os.sched_param(0))
    except BaseException:
        stop(spinner)
        raise
    return spinner


def threads(pid: int) -> dict[int, str]:
    """The threads of a process and their names."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{name}/comm") as comm:
            found[int(name)] = comm.read().strip()
    return found
