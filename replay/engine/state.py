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
RUNNING, THROTTLED, KSOFTIRQD = 0, 1, 2
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


class Constants(NamedTuple):
    """Numbers that a replay does not change: policy, host and the trace's end. ns and packets."""

    end: int
    closed: int
    times: int  # whether each packet's times are written
    rx_delay: int  # -1: no timer, frames only
    rx_frames: int
    weight: int
    defer: int
    timeout: int
    suspend: int
    usecs: int
    budget: int
    prefer: int
    busy: int
    threaded: int
    epoll_timeout: int
    irq_latency: int
    irq: int
    timer_latency: int
    timer: int
    poll: int
    packet: int
    exit: int
    wake: int
    sleep: int
    epoll: int
    event: int
    busy_poll: int
    ring: int
    rt_period: int
    rt_runtime: int
    slice: int


class Packets(NamedTuple):
    """Packets in the order they arrive, shape (packets,), and where results go."""

    when: Int64s  # read-only
    service: Int64s  # read-only
    fill_when: Int64s  # closed: the same memory as `when`, filled in as packets arrive
    fill_service: Int64s
    lost: npt.NDArray[np.uint8]  # 1: the ring was full
    row: Int64s  # closed: which packet of the workload it is
    # closed arrivals: the workload's packets, and a heap of those whose time is known
    workload_service: Int64s
    think: Int64s
    first_child: Int64s  # of packet i: child[first_child[i]] up to child[first_child[i + 1]]
    child: Int64s
    heap_time: Int64s
    heap_row: Int64s
    # results
    latency: Int64s  # histogram, shape (BUCKETS,)
    sizes: Int64s  # polls by their number of packets
    delivered: Int64s
    started: Int64s
    done: Int64s


def constants(workload: Workload, policy: Policy, host: Host, times: bool) -> Constants:
    """Return the numbers of a scenario. What the policy leaves open, the host says."""
    rx_usecs = host.rx_usecs if policy.rx_usecs is None else policy.rx_usecs
    rx_frames = host.rx_frames if policy.rx_frames is None else policy.rx_frames
    threaded = host.threaded if policy.threaded is None else policy.threaded
    return Constants(
        end=workload.duration_ns,
        closed=int(workload.closed),
        times=int(times),
        rx_delay=rx_usecs * MICROSECOND if rx_usecs or not rx_frames else -1,
        rx_frames=rx_frames,
        weight=policy.weight,
        defer=policy.defer_hard_irqs,
        timeout=policy.gro_flush_timeout_ns,
        suspend=policy.irq_suspend_timeout_ns,
        usecs=policy.busy_poll_usecs,
        budget=policy.busy_poll_budget,
        prefer=int(policy.prefer_busy_poll),
        busy=int(policy.busy_polls),
        threaded=int(threaded),
        epoll_timeout=policy.epoll_timeout_ns,
        irq_latency=host.irq_latency_ns,
        irq=host.irq_ns,
        timer_latency=host.timer_latency_ns,
        timer=host.timer_ns,
        poll=host.poll_ns,
        packet=host.packet_ns,
        exit=host.exit_ns,
        wake=host.wake_ns,
        sleep=host.sleep_ns,
        epoll=host.epoll_ns,
        event=host.event_ns,
        busy_poll=host.busy_poll_ns,
        ring=host.ring,
        rt_period=host.rt_period_ns,
        rt_runtime=host.rt_runtime_ns,
        slice=host.slice_ns,
    )


def new_state() -> np.record:
    """Return the state before the trace: the thread sleeps, the interrupt is armed."""
    state = np.zeros(1, STATE).view(np.recarray)[0]
    state.armed = 1
    for name in ("due", "irq_due", "timer", "unthrottle", "slice_end", "wakes_at"):
        state[name] = NEVER
    return state


def new_packets(workload: Workload, constants: Constants) -> Packets:
    """Lay out the arrays of a replay; open arrivals are used where they lie, read-only."""
    offered = int(np.searchsorted(workload.arrival_ns, workload.duration_ns))
    count = len(workload.arrival_ns)
    none = np.empty(0, np.int64)
    shape = count if constants.times else 0
    results = {
        "latency": np.zeros(BUCKETS, np.int64),
        "sizes": np.zeros(max(constants.weight, constants.budget) + 1, np.int64),
        "delivered": np.full(shape, -1, np.int64),
        "started": np.full(shape, -1, np.int64),
        "done": np.full(shape, -1, np.int64),
    }
    if workload.parent is None or workload.think_ns is None:
        return Packets(
            when=_read_only(workload.arrival_ns[:offered]),
            service=_read_only(workload.service_ns[:offered]),
            fill_when=none,
            fill_service=none,
            lost=np.zeros(offered, np.uint8),
            row=none,
            workload_service=_read_only(none),
            think=_read_only(none),
            first_child=none,
            child=none,
            heap_time=none,
            heap_row=none,
            **results,
        )
    parent = workload.parent
    order = np.argsort(parent, kind="stable").astype(np.int64)
    first = np.searchsorted(parent[order], np.arange(count + 1)).astype(np.int64)
    roots = np.flatnonzero(parent < 0).astype(np.int64)
    roots = roots[np.lexsort((roots, workload.arrival_ns[roots]))]
    heap_time, heap_row = np.empty(count, np.int64), np.empty(count, np.int64)
    heap_time[: len(roots)], heap_row[: len(roots)] = workload.arrival_ns[roots], roots
    when, service = np.empty(count, np.int64), np.empty(count, np.int64)
    return Packets(
        when=_read_only(when),
        service=_read_only(service),
        fill_when=when,
        fill_service=service,
        lost=np.zeros(count, np.uint8),
        row=np.empty(count, np.int64),
        workload_service=_read_only(workload.service_ns),
        think=_read_only(workload.think_ns),
        first_child=first,
        child=order,
        heap_time=heap_time,
        heap_row=heap_row,
        **results,
    )


def _read_only(values: Int64s) -> Int64s:
    """Return a read-only view: Arrow's buffers are, and a kernel is compiled for one kind."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view
