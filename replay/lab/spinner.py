"""The spinner: a program that takes all the idle time of a CPU and keeps account of it.

In a virtual machine an idle CPU is given back to the host, and what that costs would hide what is
to be measured. So a task of the SCHED_IDLE class spins; its time is the CPU's idle time. It reads
the clock all the while: what lies between two readings is idle time if it is short, and an
interruption if it is long. The scheduler's own accounts would not do: they charge a woken thread
from the instant of its wake-up, long before it gets the CPU.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

from replay.lab import processes
from replay.lab.clock import ACCOUNTS, BUSY_NS, GAPS, IDLE_NS, INTERRUPTIONS, READY, spin

_SIZE = -(-8 * ACCOUNTS // mmap.PAGESIZE) * mmap.PAGESIZE


class Spinner:
    """A spinner on one CPU, from its making until it is closed."""

    def __init__(self, cpu: int) -> None:
        descriptor = os.memfd_create("spinner")
        try:
            os.ftruncate(descriptor, _SIZE)
            self._accounts = np.frombuffer(mmap.mmap(descriptor, _SIZE), np.int64, ACCOUNTS)
            self.process: subprocess.Popen[Any] = processes.start(
                [sys.executable, "-m", "replay.lab.spinner", str(descriptor)],
                cpu,
                pass_fds=(descriptor,),
            )
        finally:
            os.close(descriptor)
        while not self._accounts[READY]:
            if self.process.poll() is not None:
                raise OSError("the spinner ended before it began to spin")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        """The thread whose time is the CPU's idle time."""
        return self.process.pid

    def read(self) -> dict[str, int]:
        """Ever-growing accounts: idle time, time lost to interruptions, and their number."""
        return {
            "idle_ns": int(self._accounts[IDLE_NS]),
            "busy_ns": int(self._accounts[BUSY_NS]),
            "interruptions": int(self._accounts[INTERRUPTIONS]),
        }

    def gaps(self) -> np.ndarray:
        """Ever-growing: interruptions by their length, in steps of GAP_STEP_NS."""
        return self._accounts[GAPS:].copy()

    def close(self) -> None:
        """End the process."""
        processes.stop(self.process)


def main() -> None:
    """Spin for ever in the memory of the given descriptor."""
    accounts = np.frombuffer(mmap.mmap(int(sys.argv[1]), _SIZE), np.int64, ACCOUNTS)
    timespec = np.zeros(2, np.int64)
    spin(accounts, timespec, 0)  # compiles
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    accounts[:] = 0
    accounts[READY] = 1
    spin(accounts, timespec, 1 << 62)


if __name__ == "__main__":
    main()
