"""Children that cannot outlive the bench."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

from replay.lab import system


def start(
    command: Sequence[str], cpu: int, nice: int = 0, user: str | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """Start a command pinned to one CPU, killed by the kernel if this process is."""
    account = pwd.getpwnam(user) if user else None

    def prepare() -> None:
        os.sched_setaffinity(0, {cpu})
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        if account:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        # Last, because a change of user cancels it.
        system.die_with_parent()

    return subprocess.Popen(command, preexec_fn=prepare, stdin=subprocess.DEVNULL, **options)


def stop(
    process: subprocess.Popen[Any], how: signal.Signals = signal.SIGTERM, patience_s: float = 2
) -> None:
    """End a child, by force if it takes longer than that, and take its exit status."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def threads(pid: int) -> dict[int, str]:
    """The threads of a process and their names."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{name}/comm") as comm:
            found[int(name)] = comm.read().strip()
    return found
