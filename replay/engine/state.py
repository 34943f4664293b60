"""What an island remembers between two instants: scalars in a record."""

from __future__ import annotations

import numpy as np

from replay.units import NEVER

# Who polls the queue
NOBODY, NAPI, BUSY = 0, 1, 2
# Why a scheduled NAPI does not run
RUNNING, THROTTLED, KSOFTIRQD, IN_CALL = 0, 1, 2, 3
# Whose CPU time it is
SOFTIRQ, KERNEL, APP = 0, 1, 2

#: Scalars that change, all int64. Times are ns since the start, NEVER where there is none.
STATE = np.dtype(
    [
        (name, np.int64)
        for name in [
            "now",
            "over",  # the end was reached: nothing more happens
            "due",  # the next interrupt or scheduler event
            "quiet",  # up to here, inclusive, work goes on undisturbed
            # device
            "armed",
            "armed_at",
            "irq_due",  # an interrupt on its way to the CPU
            "irq_at",  # the next interrupt, as far as arrivals are known
            "head",  # the first packet that was not taken from the ring
            "known",  # packets before this one have a time of arrival
            "tail",  # packets before this one were let into the ring or dropped
            "in_ring",  # of them, those in the ring
            # NAPI
            "owner",
            "missed",
            "prefer_bit",
            "count",
            "timer",  # when napi_watchdog runs
            "parked",
            "unthrottle",
            "unparked",
            "rt_window",
            "rt_used",
            "ksoftirqd_turn",
            "slice_end",
            "passes",
            "softirq_start",
            "arming",  # what the timer started by the last completion costs
            # thread
            "asleep",
            "need_resched",
            "wakes_at",
            "napi_id",
            "ready",  # requests that epoll would return
            "notify",  # what the next transmission costs more, as the first of its batch
            "serving",  # the next packet to look at for a request to serve
            "pending",  # size of the heap of arrivals to come
            # results
            "irqs",
            "timers",
            "polls",
            "polls_empty",
            "busy_polls",
            "epoll_returns",
            "resumes",
            "dropped",
            "delivered",
            "served",
            "hardirq",
            "softirq",
            "kernel",
            "app",
            "latency_sum",
            "latency_low",
            "latency_high",
        ]
    ]
)


def new_state() -> np.record:
    """Return the state before the trace: the thread sleeps, the interrupt is armed."""
    state: np.record = np.zeros(1, STATE).view(np.recarray)[0]
    state.armed = 1
    for name in ("due", "irq_due", "irq_at", "timer", "unthrottle", "slice_end", "wakes_at"):
        state[name] = NEVER
    return state
