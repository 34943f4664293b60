"""What a kernel timer costs on the server's CPU: the part of a policy that `base` never shows."""

from __future__ import annotations

import os

import numpy as np

from replay.lab import machine
from replay.lab.clock import watch_timer
from replay.lab.libc import CLOCK_MONOTONIC, timerfd_create

DELAY_NS = 200_000
SAMPLES = 2_000


def measure() -> dict[str, dict[str, float]]:
    """Arm and watch timers, with nothing else on the CPU. Quartiles in ns, by what was measured."""
    before = os.sched_getaffinity(0)
    timer = timerfd_create(CLOCK_MONOTONIC, 0)
    setting, timespec = np.zeros(8, np.int64), np.zeros(2, np.int64)
    result = np.zeros((SAMPLES, 4), np.int64)
    try:
        os.sched_setaffinity(0, {machine.SERVER_CPU})
        watch_timer(timer, DELAY_NS, setting, timespec, result[:1])  # compiles
        watch_timer(timer, DELAY_NS, setting, timespec, result)
    finally:
        os.sched_setaffinity(0, before)
        os.close(timer)
    arming = result[:, 0] - result[:, 1]
    seen = result[:, 3] > 0
    return {
        "arming_ns": _quartiles(arming),
        "lateness_ns": _quartiles(result[seen, 2]),
        "interrupt_ns": _quartiles(result[seen, 3]),
    }


def _quartiles(values: np.ndarray) -> dict[str, float]:
    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
    return {"q1": float(q1), "median": float(median), "q3": float(q3), "samples": len(values)}
