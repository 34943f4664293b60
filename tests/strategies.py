"""Random workloads, policies and hosts for hypothesis: small numbers, so that times coincide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from replay.engine import Workload
from replay.engine.topology import Topology
from replay.host import Host
from replay.policy import Policy

COSTS = [
    "irq_latency_ns",
    "irq_ns",
    "timer_latency_ns",
    "timer_ns",
    "poll_ns",
    "packet_ns",
    "timer_start_ns",
    "timer_later_ns",
    "exit_ns",
    "idle_ns",
    "transmit_ns",
    "notify_ns",
    "wake_ns",
    "sleep_ns",
    "epoll_ns",
    "event_ns",
    "busy_poll_ns",
]

durations = st.one_of(st.integers(0, 5), st.integers(0, 3000))


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    costs = {name: draw(durations) for name in COSTS}
    period = draw(st.sampled_from([2_000, 50_000, 10_000_000]))
    return Host(
        name="drawn",
        request_ns=0,
        ring=draw(st.sampled_from([1, 2, 3, 8, 256])),
        rx_usecs=draw(st.sampled_from([0, 0, 1, 3])),
        rx_frames=draw(st.sampled_from([0, 0, 1, 2, 3])),
        threaded=draw(st.booleans()),
        preemption=draw(st.booleans()),
        rt_period_ns=period,
        rt_runtime_ns=draw(st.sampled_from([period, period // 20 * 19, period // 4])),
        slice_ns=draw(st.sampled_from([500, 20_000, 3_000_000])),
        looks_again=draw(st.booleans()),
        gro_batch=draw(st.sampled_from([1, 2, 8])),
        jiffy_ns=draw(st.sampled_from([2_000, 20_000, 2_000_000, 4_000_000])),
        **costs,
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        "drawn",
        weight=draw(st.sampled_from([1, 2, 3, 64])),
        defer_hard_irqs=draw(st.sampled_from([0, 1, 2, 5, 100])),
        gro_flush_timeout_ns=draw(st.sampled_from([0, 1, 500, 3_000, 20_000])),
        irq_suspend_timeout_ns=draw(st.sampled_from([0, 1_000, 30_000])),
        busy_poll_usecs=draw(st.sampled_from([0, 0, 1, 4, 40])),
        busy_poll_budget=draw(st.sampled_from([1, 2, 8])),
        prefer_busy_poll=draw(st.booleans()),
        epoll_timeout_ns=draw(st.sampled_from([-1, -1, 1_000, 7_000])),
    )


@st.composite
def workloads(draw: st.DrawFn, closed: bool | None = None) -> Workload:
    gap = draw(st.sampled_from([0, 3, 500, 4_000, 30_000]))
    gaps = draw(st.lists(st.integers(0, gap), max_size=40))
    arrival = np.cumsum(np.array(gaps, np.int64), dtype=np.int64)
    service = np.array([draw(st.integers(-1, 2_500)) for _ in gaps], np.int64)
    last = int(arrival[-1]) if len(arrival) else 0
    duration = max(1, draw(st.integers(last // 2, last + 40_000)))
    if not (draw(st.booleans()) if closed is None else closed):
        return Workload(arrival, service, duration)
    parent = np.full(len(gaps), -1, np.int64)
    requests = np.flatnonzero(service >= 0)
    for packet in range(len(gaps)):
        earlier = requests[requests < packet]
        if len(earlier) and draw(st.booleans()):
            parent[packet] = draw(st.sampled_from(earlier.tolist()))
    think = np.array([draw(st.integers(0, gap)) for _ in gaps], np.int64)
    return Workload(arrival, service, duration, parent, think, scheduled=draw(st.booleans()))


# --- islands of any shape, every mechanism -----------------------------------------------------


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    cpus = draw(st.integers(1, 3))
    queues, workers = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    places = st.integers(0, cpus - 1)

    def several(count: int, values: st.SearchStrategy[int]) -> tuple[int, ...]:
        return tuple(draw(st.lists(values, min_size=count, max_size=count)))

    return Topology(
        queue_cpu=several(queues, places),
        queue_device=several(queues, st.integers(0, 1)),
        worker_cpu=several(workers, st.integers(-1, cpus - 1)),
        cpu_domain=several(cpus, st.integers(0, 1)),
        cpu_tx_queue=several(cpus, st.integers(-1, queues - 1)),
    )


@st.composite
def wide_hosts(draw: st.DrawFn) -> Host:
    """Hosts with all that only the general engine knows."""
    background = draw(st.sampled_from([0, 0, 0, 3_000, 20_000]))
    return replace(
        draw(hosts()),
        coalescing=draw(st.sampled_from(["timer", "cqe", "gap"])),
        adaptive=draw(st.sampled_from(["off", "off", "dim", "itr"])),
        tx_usecs=draw(st.sampled_from([0, 1, 3])),
        tx_frames=draw(st.sampled_from([0, 0, 1, 2])),
        tx_completions=draw(st.booleans()),
        tx_delay_ns=draw(durations),
        tx_ns=draw(durations),
        repost_every=draw(st.sampled_from([1, 1, 0, 2, 4])),
        repost_above=draw(st.sampled_from([0, 0, 1, 4])),
        extra_irq=draw(st.booleans()),
        gro_batch=draw(st.sampled_from([1, 2, 8])),
        jiffy_ns=draw(st.sampled_from([2_000, 20_000, 4_000_000])),
        napi_thread=draw(st.sampled_from(["fifo", "pinned", "floating"])),
        ipi_ns=draw(durations),
        handoff_ns=draw(durations),
        far_ns=draw(durations),
        cold_ns=draw(durations),
        interrupted_ns=draw(durations),
        stale_ns=draw(durations),
        stale_after_ns=draw(st.sampled_from([0, 1_000, 20_000])),
        program_ns=draw(durations),
        cstates=draw(st.sampled_from([(), ((1_000, 100), (4_000, 900))])),
        background_ns=draw(durations),
        background_period_ns=background,
    )


@st.composite
def wide_policies(draw: st.DrawFn) -> Policy:
    """Policies with all that only the general engine knows."""
    return replace(
        draw(policies()),
        netdev_budget=draw(st.sampled_from([1, 3, 300])),
        netdev_budget_usecs=draw(st.sampled_from([None, 0, 5])),
        busy_read_usecs=draw(st.sampled_from([0, 0, 50])),
        pollers=draw(st.sampled_from([0, 0, 1, 2])),
        epoll_timeout_ns=draw(st.sampled_from([-1, -1, 0, 1_000, 7_000])),
        max_events=draw(st.sampled_from([0, 0, 1, 2])),
        ring=draw(st.sampled_from([None, None, 2, 5])),
    )


@st.composite
def wide_workloads(draw: st.DrawFn, topology: Topology) -> Workload:
    """Packets for each queue and worker of a topology."""
    workload = draw(workloads())
    count = len(workload.arrival_ns)

    def column(highest: int) -> npt.NDArray[np.int64]:
        return np.array([draw(st.integers(0, highest)) for _ in range(count)], np.int64)

    return replace(
        workload,
        queue=column(len(topology.queue_cpu) - 1),
        worker=column(len(topology.worker_cpu) - 1),
        size=column(3_000),
        answer_size=column(3_000),
    )
