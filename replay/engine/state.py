"""What an island remembers between two instants: scalars in a record, packets in arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.histogram import BUCKETS
from replay.engine.workload import Int64s, Workload
from replay.host import Host
from replay.policy import Policy
from replay.units import MICROSECOND, NEVER

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
            # device
            "armed",
            "armed_at",
            "irq_due",  # an interrupt on its way to the CPU
            "head",  # the first packet that was not taken from the ring
            "known",  # packets before this one have a time of arrival
            "tail",  # packets before this one were let into the ring or dropped
            "in_ring",  # of them, those in the ring
            # NAPI
            "owner",
            "missed",
            "prefer_bit",
            "count",
            "timer",
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


#: Numbers that a replay does not change, all int64: policy, host, the trace's end (ns, packets),
#: and where in `Packets.memory` each array begins.
CONSTANTS = np.dtype(
    [
        (name, np.int64)
        for name in [
            "end",
            "closed",
            "times",  # whether each packet's times are written
            "rx_delay",  # -1: no timer, frames only
            "rx_frames",
            "weight",
            "defer",
            "timeout",
            "suspend",
            "usecs",
            "budget",
            "prefer",
            "busy",
            "threaded",
            "epoll_timeout",
            "irq_latency",
            "irq",
            "timer_latency",
            "timer",
            "poll",
            "packet",
            "timer_start",
            "exit",
            "transmit",
            "preemption",
            "wake",
            "sleep",
            "epoll",
            "event",
            "busy_poll",
            "ring",
            "rt_period",
            "rt_runtime",
            "slice",
            # results: latencies by bucket, polls by their packets, times by packet
            "latency_at",
            "sizes_at",
            "delivered_at",
            "started_at",
            "done_at",
            # closed arrivals: packets in the order they arrive, and which of the workload they are
            "when_at",
            "service_at",
            "row_at",
            # the workload's packets, and a heap of those whose time is known
            "workload_service_at",
            "think_at",
            "first_child_at",  # packet i is followed by child[first_child[i] : first_child[i + 1]]
            "child_at",
            "heap_time_at",
            "heap_row_at",
            "memory_size",
        ]
    ]
)


class Packets(NamedTuple):
    """Packets in the order they arrive. Few arrays: each costs seven words at every call."""

    when: Int64s  # read-only, shape (packets,)
    service: Int64s  # read-only, shape (packets,)
    lost: npt.NDArray[np.uint8]  # 1: the ring was full; shape (packets,)
    memory: Int64s  # all that is written and grows with the packets, one array after another


def new_constants(workload: Workload, policy: Policy, host: Host, times: bool) -> np.record:
    """Return the numbers of a scenario. What the policy leaves open, the host says."""
    rx_usecs = host.rx_usecs if policy.rx_usecs is None else policy.rx_usecs
    rx_frames = host.rx_frames if policy.rx_frames is None else policy.rx_frames
    threaded = host.threaded if policy.threaded is None else policy.threaded
    k: np.record = np.zeros(1, CONSTANTS).view(np.recarray)[0]
    k.end = workload.duration_ns
    k.closed = workload.closed
    k.times = times
    k.rx_delay = rx_usecs * MICROSECOND if rx_usecs or not rx_frames else -1
    k.rx_frames = rx_frames
    k.weight = policy.weight
    k.defer = policy.defer_hard_irqs
    k.timeout = policy.gro_flush_timeout_ns
    k.suspend = policy.irq_suspend_timeout_ns
    k.usecs = policy.busy_poll_usecs
    k.budget = policy.busy_poll_budget
    k.prefer = policy.prefer_busy_poll
    k.busy = policy.busy_polls
    k.threaded = threaded
    k.epoll_timeout = policy.epoll_timeout_ns
    for name in _COSTS:
        k[name] = getattr(host, f"{name}_ns")
    k.ring = host.ring
    k.preemption = host.preemption or not threaded
    _lay_out(k, len(workload.arrival_ns))
    return k


_COSTS = (
    *(
        "irq_latency",
        "irq",
        "timer_latency",
        "timer",
        "poll",
        "packet",
        "timer_start",
        "exit",
        "transmit",
    ),
    *("wake", "sleep", "epoll", "event", "busy_poll", "rt_period", "rt_runtime", "slice"),
)


def _lay_out(k: np.record, packets: int) -> None:
    """Say where in the memory each array begins."""
    times, closed = packets * int(k.times), packets * int(k.closed)
    sizes = {
        "latency": BUCKETS,
        "sizes": max(int(k.weight), int(k.budget)) + 1,
        "delivered": times,
        "started": times,
        "done": times,
        "when": closed,
        "service": closed,
        "row": closed,
        "workload_service": closed,
        "think": closed,
        "first_child": closed + int(k.closed),
        "child": closed,
        "heap_time": closed,
        "heap_row": closed,
    }
    for name, size in sizes.items():
        k[f"{name}_at"] = k.memory_size
        k.memory_size += size


def new_state() -> np.record:
    """Return the state before the trace: the thread sleeps, the interrupt is armed."""
    state: np.record = np.zeros(1, STATE).view(np.recarray)[0]
    state.armed = 1
    for name in ("due", "irq_due", "timer", "unthrottle", "slice_end", "wakes_at"):
        state[name] = NEVER
    return state


def new_packets(workload: Workload, k: np.record) -> Packets:
    """Lay out the arrays of a replay; open arrivals are used where they lie, read-only."""
    memory = np.zeros(int(k.memory_size), np.int64)
    if k.times:
        memory[k.delivered_at : k.done_at + len(workload.arrival_ns)] = -1
    if workload.parent is None or workload.think_ns is None:
        offered = int(np.searchsorted(workload.arrival_ns, workload.duration_ns))
        when, service = workload.arrival_ns[:offered], workload.service_ns[:offered]
    else:
        count = len(workload.arrival_ns)
        when = memory[k.when_at :][:count]
        service = memory[k.service_at :][:count]
        _plan_closed_arrivals(workload, workload.parent, workload.think_ns, k, memory)
    lost = np.zeros(len(when), np.uint8)
    return Packets(_read_only(when), _read_only(service), lost, memory)


def _plan_closed_arrivals(
    workload: Workload, parent: Int64s, think: Int64s, k: np.record, memory: Int64s
) -> None:
    """Write who follows whom, and begin the heap with the packets that follow nobody."""
    count = len(parent)
    order = np.argsort(parent, kind="stable")
    roots = np.flatnonzero(parent < 0)
    roots = roots[np.lexsort((roots, workload.arrival_ns[roots]))]
    memory[k.workload_service_at :][:count] = workload.service_ns
    memory[k.think_at :][:count] = think
    memory[k.first_child_at :][: count + 1] = np.searchsorted(parent[order], np.arange(count + 1))
    memory[k.child_at :][:count] = order
    memory[k.heap_time_at :][: len(roots)] = workload.arrival_ns[roots]
    memory[k.heap_row_at :][: len(roots)] = roots


def _read_only(values: Int64s) -> Int64s:
    """Return a read-only view: Arrow's buffers are, and a kernel is compiled for one kind."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view
