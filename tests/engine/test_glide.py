"""Long traces at every load: cycles in local variables equal the same steps one by one."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.engine import Outcome, Workload, replay_island
from replay.engine.constants import new_constants
from replay.host import GENERIC, Host
from replay.policy import Policy, parse_policy
from tests.naive import replay_naively

NAMES = ["base", "base:rx-usecs=8", "defer5", "defer20", "defer200", "suspend5", "suspend20"]


@st.composite
def real_hosts(draw: st.DrawFn) -> Host:
    """Hosts whose costs are of the size that real ones have, some of them zero."""
    costs: dict[str, Any] = {
        name: draw(st.sampled_from([0, cost, cost * 2])) for name, cost in COSTS.items()
    }
    period = draw(st.sampled_from([50_000, 10_000_000]))
    return dataclasses.replace(
        GENERIC,
        gro_batch=draw(st.sampled_from([1, 8])),
        ring=draw(st.sampled_from([8, 64, 1024])),
        threaded=draw(st.booleans()),
        rt_period_ns=period,
        rt_runtime_ns=period // draw(st.sampled_from([1, 2, 4])),
        **costs,
    )


COSTS = {
    "irq_latency_ns": 500,
    "irq_ns": 500,
    "timer_latency_ns": 500,
    "timer_ns": 500,
    "poll_ns": 200,
    "packet_ns": 300,
    "timer_start_ns": 50,
    "exit_ns": 100,
    "idle_ns": 200,
    "transmit_ns": 300,
    "notify_ns": 100,
    "wake_ns": 500,
    "sleep_ns": 300,
    "epoll_ns": 200,
    "event_ns": 20,
    "busy_poll_ns": 300,
}


@st.composite
def real_policies(draw: st.DrawFn) -> Policy:
    policy = parse_policy(draw(st.sampled_from(NAMES)))
    polls = draw(st.sampled_from([policy.defer_hard_irqs, 1, 3]))
    weight = draw(st.sampled_from([64, 5, 4]))
    deferral = polls if policy.defer_hard_irqs else 0
    return dataclasses.replace(policy, weight=weight, defer_hard_irqs=deferral)


@st.composite
def long_workloads(draw: st.DrawFn) -> Workload:
    packets, gap = draw(st.integers(80, 500)), draw(st.sampled_from([300, 1_000, 2_000, 20_000]))
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    arrival = np.cumsum(random.exponential(gap, packets)).astype(np.int64)
    requests = random.random(packets) < draw(st.sampled_from([1, 0.9, 0.5]))
    service = np.where(requests, random.integers(0, 1_000, packets), -1).astype(np.int64)
    end = int(arrival[-1]) + draw(st.sampled_from([-gap, 100_000]))
    connections = draw(st.sampled_from([0, 1, 5, 40]))
    if not connections:
        return Workload(arrival, service, end)
    parent = np.maximum(np.arange(packets) - connections, -1)
    parent[service[parent] < 0] = -1  # what gets no response is followed by nobody
    think = random.exponential(draw(st.sampled_from([0, 300, 5_000, 50_000])), packets)
    return Workload(arrival, service, end, parent, think.astype(np.int64))


def assert_same(one: Outcome, other: Outcome) -> None:
    for field in dataclasses.fields(Outcome):
        if field.compare and field.name != "poll_sizes":
            assert getattr(one, field.name) == getattr(other, field.name), field.name
    longest = max(len(one.poll_sizes), len(other.poll_sizes))
    first, second = (
        np.pad(each, (0, longest - len(each))) for each in (one.poll_sizes, other.poll_sizes)
    )
    assert np.array_equal(first, second)


@settings(max_examples=250, deadline=None)
@given(long_workloads(), real_policies(), real_hosts())
def test_cycles_equal_single_steps(workload: Workload, policy: Policy, host: Host) -> None:
    steps = replay_island(workload, policy, host, times=True, causes=True)
    assert_same(replay_island(workload, policy, host, causes=True), steps)


@settings(max_examples=50, deadline=None)
@given(long_workloads(), real_policies(), real_hosts())
def test_cycles_equal_the_reference(workload: Workload, policy: Policy, host: Host) -> None:
    fast = replay_island(workload, policy, host, causes=True)
    assert_same(fast, replay_naively(workload, policy, host))
    without = replay_island(workload, policy, host)
    assert_same(dataclasses.replace(without, causes=fast.causes), fast)


@pytest.mark.parametrize("name", NAMES)
def test_which_replays_glide(name: str) -> None:
    workload = Workload(np.zeros(3, np.int64), np.zeros(3, np.int64), 10)
    policy = parse_policy(name)
    assert new_constants(workload, policy, GENERIC, times=False).glides
    assert not new_constants(workload, policy, GENERIC, times=True).glides
