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
# What the thread does: asleep; waking; epoll_wait returns events, then starts the suspension timer;
# the request at `serving` is served; the rest of it; epoll_wait is called; the thread falls asleep
ASLEEP, WAKING, RETURNING, SUSPENDING, SERVING, SENDING, CALLING, DOZING = range(8)

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
            "last_lost",  # the last packet that was dropped
            "interrupted",  # an interrupt scheduled NAPI, no poll has looked yet
            "handed",  # packets before this one were handed to the stack
            # why NAPI polls: an index in CAUSES, since when; when its first poll began, -1: not yet
            "why",
            "since",
            "polled_since",
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
            "in_pass",  # net_rx_action goes on
            "pass_budget",
            "deadline",  # jiffies
            "arming",  # what the timer started by the last completion costs
            # thread
            "asleep",
            "need_resched",
            "wakes_at",
            "napi_id",
            "ready",  # requests that epoll would return
            "stage",  # what the thread does
            "left",  # of it, the CPU time that it still takes
            "called",  # when epoll_wait was called
            "woken",  # when the thread was last back from its sleep
            "begun",  # when the request at `serving` was begun
            "noted",  # the size of the records of tally.py, and of those that are not needed
            "explained",
            "batch",  # requests that epoll_wait returned and that were not begun
            "notify",  # what the next transmission costs more, as the first of its batch
            "serving",  # the next packet to look at for a request to serve
            # closed arrivals
            "upcoming",  # when the next packet arrives that is not known before that
            "pending",  # size of the heap of arrivals to come
            "waiting",  # packets in the buckets
            "emptied",  # buckets before this one were emptied into the heap
            # glide
            "polled_at",  # when the last poll ended; -1: none
            "unseen",  # of the ready requests, those whose NAPI epoll_wait does not know
            # results
            "irqs",
            "irqs_no_work",
            "squeezes",
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
    state.armed, state.last_lost = 1, -1
    for name in (
        "due",
        "upcoming",
        "irq_due",
        "irq_at",
        "timer",
        "unthrottle",
        "slice_end",
        "wakes_at",
    ):
        state[name] = NEVER
    return state
