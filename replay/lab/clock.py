"""Compiled loops that watch the clock: idle time, and what a timer costs."""

from __future__ import annotations

import numpy as np

from replay.engine.accelerate import jit_here
from replay.lab.libc import now, timerfd_gettime, timerfd_settime

# Where the spinner keeps its accounts: then interruptions by length, in steps of GAP_STEP_NS
IDLE_NS, BUSY_NS, INTERRUPTIONS, READY, GAPS = range(5)
GAP_STEP_NS, GAP_STEPS = 100, 4_000
ACCOUNTS = GAPS + GAP_STEPS
# Two readings of the clock are some 50 ns apart; the shortest interrupt takes above 1 us.
INTERRUPTION_NS = 800


@jit_here
def spin(accounts: np.ndarray, timespec: np.ndarray, until_ns: int) -> None:
    """Watch the clock; add each step to idle time, or to the interruptions if it is long."""
    before = time = now(timespec)
    while time < until_ns:
        time = now(timespec)
        step = time - before
        if step < INTERRUPTION_NS:
            accounts[IDLE_NS] += step
        else:
            accounts[BUSY_NS] += step
            accounts[INTERRUPTIONS] += 1
            accounts[GAPS + min(step // GAP_STEP_NS, GAP_STEPS - 1)] += 1
        before = time


@jit_here
def watch_timer(
    timer: int, delay_ns: int, setting: np.ndarray, timespec: np.ndarray, result: np.ndarray
) -> None:
    """Let a timer expire and see it happen, once a row of `result`.

    Columns, ns: arming it, a system call that arms nothing, lateness, the interruption's length.
    """
    for row in range(len(result)):
        setting[:] = 0
        setting[3] = delay_ns
        start = now(timespec)
        timerfd_gettime(timer, setting[4:].ctypes.data)
        called = now(timespec)
        timerfd_settime(timer, 0, setting.ctypes.data, 0)
        armed = now(timespec)
        due = called + delay_ns
        before = armed
        lateness = length = 0
        while before < due + 20 * delay_ns:
            time = now(timespec)
            if time >= due and time - before >= INTERRUPTION_NS:
                lateness, length = max(0, before - due), time - before
                break
            before = time
        result[row, 0] = armed - called
        result[row, 1] = called - start
        result[row, 2] = lateness
        result[row, 3] = length
