"""Which CPU does what, and what the machine says of itself."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CLIENT_CPU = 0  # client, perf and this program itself
SERVER_CPU = 1  # server, its NAPI thread and the spinner that keeps the CPU from idling
FIRST = -20  # the nice value of server and client: other work of the machine comes after them


def describe() -> dict[str, object]:
    """Kernel, CPU model and CPU count, as stored beside every result."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "kernel": platform.release(),
        "cpu_model": model,
        "cpus": os.cpu_count(),
        "client_cpu": CLIENT_CPU,
        "server_cpu": SERVER_CPU,
    }
