"""Where the server's CPU went: the scheduler's own accounts, read before and after."""

from __future__ import annotations

import os
from pathlib import Path

from replay.lab import machine

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def read(threads: dict[str, int]) -> dict[str, int]:
    """Ever-growing counts of the named threads (by thread id) and of the server's CPU.

    Time in an interrupt is charged to the thread that it interrupted; a running thread's account
    is brought up to date at the latest every clock tick (4 ms at 250 Hz).
    """
    counts: dict[str, int] = {}
    for name, thread in threads.items():
        run, wait, slices = Path(f"/proc/{thread}/schedstat").read_text().split()
        counts[f"{name}_cpu_ns"] = int(run)
        counts[f"{name}_waiting_ns"] = int(wait)
        counts[f"{name}_runs"] = int(slices)
        # The name in parentheses may contain spaces: count fields from behind it.
        fields = Path(f"/proc/{thread}/stat").read_text().rpartition(")")[2].split()
        counts[f"{name}_user_ns"] = int(fields[11]) * TICK_NS
        counts[f"{name}_system_ns"] = int(fields[12]) * TICK_NS
    for line in Path("/proc/stat").read_text().splitlines():
        cpu, *ticks = line.split()
        if cpu in (f"cpu{machine.SERVER_CPU}", f"cpu{machine.CLIENT_CPU}"):
            side = "server" if cpu == f"cpu{machine.SERVER_CPU}" else "client"
            counts[f"{side}_cpu_stolen_ns"] = int(ticks[7]) * TICK_NS
    return counts
