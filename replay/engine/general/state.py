"""What a general island is made of: records of int64 that kernels reach by their addresses."""

from __future__ import annotations

from typing import Any

import numpy as np

from replay.engine.accelerate import jit_inline
from replay.engine.intrinsics import array_at, at

NOTHING = -1

#: No island has more: a request that is ready is noted as slot * CPUS + the CPU that polled it.
CPUS = 4096

#: Nor workers: of a packet that has not arrived is noted its queue * WORKERS + its worker.
WORKERS = 1 << 20

# Who polls a queue
NOBODY, NAPI, BUSY = 0, 1, 2
# What a device's usecs count from: the first packet, the last one, the previous interrupt
TIMER, CQE, GAP = 0, 1, 2
# Who moves them
FIXED, DIM_MODERATES, ITR_MODERATES = 0, 1, 2
# Whose CPU time it is: index into a CPU's `spent`
HARDIRQ, SOFTIRQ, KERNEL, APP, OTHER = 0, 1, 2, 3, 4
# Who has a CPU
IDLE, HANDLER, IN_SOFTIRQ, IN_TASK = 0, 1, 2, 3
# What interrupts
IRQ, NAPI_TIMER, TIMEOUT, IPI, BACKGROUND_TIMER = 0, 1, 2, 3, 4
# What a task is
WORKER, KSOFTIRQD, NAPI_THREAD, BACKGROUND, KWORKER = 0, 1, 2, 3, 4
# Where a worker stands; from BUSY_TOP on it is in busy.py
WOKEN, LOOP, EVENTS, SERVE, SERVED, SENT, CALL, CALLED, FOUND_NOTHING, SPINS, DROWSY = range(1, 12)
# Why a queue is polled: index into causes
FOR_COALESCING, FOR_TIMER, FOR_CPU = 0, 1, 2


def _record(*names: str) -> np.dtype[Any]:
    return np.dtype([(name, np.int64) for name in names])


#: The island: what it costs, where its arrays lie, and what all CPUs share.
ISLAND = _record(
    # time, ns; the CPU that acts, before when nothing disturbs it, and when another one acts
    *("now", "end", "current", "quiet", "others", "jiffies", "jiffy_began"),
    # the host's costs, ns
    *("irq_latency", "irq", "timer_latency", "timer", "poll", "packet", "exit"),
    *("idle", "wake", "sleep", "epoll", "event", "transmit", "notify", "busy_poll"),
    *("ipi", "handoff", "far", "cold", "stale", "stale_after", "interrupted", "program"),
    *("background", "background_period"),
    *(
        "tx_completions",
        "tx_delay",
        "tx",
        "extra_irq",
        "looks_again",
        "gro_batch",
        "jiffy",
        "preemption",
    ),
    *("rt_period", "rt_runtime", "slice", "cstates", "softirq_jiffies"),
    # the policy of the threads and of softirqs
    *("budget", "budget_jiffies", "prefer", "usecs", "busy_budget", "busy", "busy_read"),
    *("epoll_timeout", "max_events", "hooked"),
    "plain",  # answering a request has no consequence but its latency
    # addresses and sizes of arrays
    *("queues", "queue_count", "cpus", "turns", "cpu_count", "tasks", "task_count", "worker_count"),
    *("lists", "list_count", "links", "link_count", "dims", "itrs"),
    *("when", "service", "lost", "offered", "memory", "memory_size"),
    # where in the memory arrays begin
    *("row_at", "worker_at", "queue_at", "size_at", "answer_size_at", "next_ready_at", "why_at"),
    *("tx_at", "tx_size", "cstate_at", "latency_at", "sizes_at", "sizes", "cause_at", "tail_at"),
    *("delivered_at", "started_at", "done_at", "times", "causes"),
    # closed arrivals: what follows whom, and those whose time is known
    *("closed", "upcoming", "pending", "waiting", "emptied", "follower_at", "heap_at", "place_at"),
    *("bucket_at", "bucket_shift", "buckets", "scheduled_at"),
    # softirqs ahead of workers: from when on, how far at once, and how long not where that failed
    *("ahead_at", "window", "pause", "span_at", "message_at", "kept_at"),
    # results
    *("epoll_returns", "squeezes", "overflow"),
)

#: A queue: device, ring and NAPI.
QUEUE = _record(
    # the policy of its NIC
    *("mode", "adaptive", "rx_delay", "rx_frames", "tx_delay", "tx_frames", "ring"),
    *("repost_every", "repost_above", "weight", "defer", "timeout", "suspend", "hooked"),
    *("timer_start", "suspend_start"),  # arming the timer for either timeout, ns
    *("timer_first", "timer_later"),  # where it is the CPU's next one, and behind the tick
    *("plain", "cpu", "following"),  # plain: descriptors go back at once, nobody moderates
    "thread",  # the task that polls it, or NOTHING
    # packets: their slots are `slots`, `slots` + 1, ...; the rest counts from 0
    *("slots", "head", "known", "tail", "in_ring", "missing"),
    *("tx_base", "tx_first", "tx_last"),  # transmissions on their way or to be cleaned up
    *("armed", "armed_at", "irq_due", "signal", "last_signal", "irq_at"),
    *("owner", "missed", "prefer_bit", "masked", "count"),
    *("timer", "timer_cpu", "following_timer"),  # timer_cpu: where it was last started
    *("interrupted", "why", "since", "polled_since"),
    *("by_transmit", "tx_event_at", "rx_events", "tx_events"),
    *("received", "bytes", "sent", "sent_bytes"),
    # results
    *("irqs", "irqs_no_work", "timers", "polls", "polls_empty", "busy_polls", "resumes"),
    *("dropped", "served", "latency_sum", "latency_low", "latency_high"),
    # the poll in progress
    *("poll_pc", "poll_budget", "work", "batch", "batch_first"),
)

CPU = _record(
    *("domain", "tx_queue", "worker", "ksoftirqd", "background", "kworker"),
    *("first_queue", "first_timer"),  # chains: of its interrupts, of timers last started here
    *("context", "task", "synced", "due"),
    *("hardirq", "softirq", "kernel", "app", "other"),  # time spent
    *("idle_since", "to_idle", "leaving_idle"),
    *("handler", "what", "target", "since", "in_call", "waking", "handler_left"),
    *("in_softirq", "softirq_pc", "softirq_left", "in_exit", "leaving"),
    *("passes", "start_jiffy", "deadline", "budget", "polling"),
    *("bh_off", "fifo_waits", "throttled", "unthrottle", "rt_window", "rt_used"),
    *("running", "slice_end", "need_resched", "background_at"),
    "free_at",  # when its softirqs, ahead of its worker, give it back
)

TASK = _record(
    *("kind", "cpu", "pinned", "fifo", "napi", "asleep", "holds", "ipi_at"),
    *("following", "fresh"),
    *("pc", "work", "left", "leaving", "in_exit", "queue", "owed"),
    # of a worker
    *("ready", "first_ready", "last_ready", "batch", "first_of_batch"),
    *("epoll_queue", "wakes_at", "bed", "woken", "cold"),
    *("called", "limit", "grabbed", "before", "skip", "packet", "started", "own"),
    *("stop_budget", "stop_prefer", "after_stop", "spun_since"),
)

#: Apart from the CPUs, as all are looked at to find who acts next: a CPU, and when it acts.
TURN = _record("next_at", "following")

LIST = _record("first", "last")

queues_at, cpus_at, tasks_at = (array_at(item) for item in (QUEUE, CPU, TASK))
turns_at, lists_at = (array_at(item) for item in (TURN, LIST))


@jit_inline
def queue_of(g: Any, number: int) -> Any:
    """Return a queue's record."""
    return queues_at(g.queues, g.queue_count)[at(number)]


@jit_inline
def cpu_of(g: Any, number: int) -> Any:
    """Return a CPU's record."""
    return cpus_at(g.cpus, g.cpu_count)[at(number)]


@jit_inline
def turn_of(g: Any, number: int) -> Any:
    """Return when a CPU acts."""
    return turns_at(g.turns, g.cpu_count)[at(number)]


@jit_inline
def task_of(g: Any, number: int) -> Any:
    """Return a task's record; workers come first."""
    return tasks_at(g.tasks, g.task_count)[at(number)]
