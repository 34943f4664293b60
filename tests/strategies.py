"""Random workloads, policies and hosts for hypothesis: small numbers, so that times coincide."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from replay.engine import Workload
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
        gro_batch=1,
        jiffy_ns=2_000_000,
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
    return Workload(arrival, service, duration, parent, think)
