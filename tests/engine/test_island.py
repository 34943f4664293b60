"""The engine equals the event-by-event reference, and keeps the laws of a replay."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings

from replay.engine import Outcome, Workload, replay_island
from replay.host import GENERIC, Host
from replay.host.model import ZERO_COST
from replay.policy import Policy, parse_policy
from tests.naive import replay_naively
from tests.strategies import hosts, policies, workloads

POLICIES = [
    "base",
    "base:rx-usecs=20,rx-frames=4",
    "defer20",
    "defer200",
    "suspend0",
    "suspend20",
    "suspend200",
    "napibusy",
    "fullbusy",
]


def poisson(rate_per_s: float, packets: int, service_ns: int = 3_000, seed: int = 1) -> Workload:
    random = np.random.default_rng(seed)
    arrival = np.cumsum(random.exponential(1e9 / rate_per_s, packets)).astype(np.int64)
    service = np.where(random.random(packets) < 0.9, service_ns, -1).astype(np.int64)
    return Workload(arrival, service, int(arrival[-1]) + 1_000_000)


def assert_equal(fast: Outcome, slow: Outcome) -> None:
    for field in dataclasses.fields(Outcome):
        if field.name == "causes" and fast.causes is None:  # not asked for
            continue
        if field.name not in ("times", "poll_sizes", "queues"):
            assert getattr(fast, field.name) == getattr(slow, field.name), field.name
    longest = max(len(fast.poll_sizes), len(slow.poll_sizes))
    for outcome in (fast, slow):
        assert outcome.times is not None
    assert np.array_equal(
        np.pad(fast.poll_sizes, (0, longest - len(fast.poll_sizes))),
        np.pad(slow.poll_sizes, (0, longest - len(slow.poll_sizes))),
    )
    for name in ("arrival", "delivered", "started", "done"):
        assert np.array_equal(getattr(fast.times, name), getattr(slow.times, name)), name


def assert_lawful(outcome: Outcome, workload: Workload, policy: Policy) -> None:
    """The invariants that hold on every run."""
    times = outcome.times
    assert times is not None
    assert outcome.causes is not None
    assert sum(outcome.causes.totals.values()) == outcome.latency.total
    assert outcome.packets == outcome.delivered + outcome.dropped + outcome.left
    assert outcome.cpu.total == outcome.duration_ns
    assert min(dataclasses.astuple(outcome.cpu)) >= 0
    assert outcome.polls == outcome.poll_sizes.sum()
    assert outcome.served == outcome.latency.count
    seen = times.delivered >= 0
    assert (times.arrival[seen] <= times.delivered[seen]).all()
    started = times.started >= 0
    assert (times.delivered[started] <= times.started[started]).all()
    done = times.done >= 0
    assert (times.started[done] + workload.service_ns[done] <= times.done[done]).all()
    order = np.lexsort((times.done[done], times.started[done]))
    assert (np.diff(times.done[done][order]) >= 0).all()
    if not policy.busy_polls:
        assert outcome.busy_polls == 0
    if not (policy.irq_suspend_timeout_ns and policy.prefer_busy_poll):
        assert outcome.resumes == 0


@settings(max_examples=400, deadline=None)
@given(workloads(), policies(), hosts())
def test_equals_the_reference(workload: Workload, policy: Policy, host: Host) -> None:
    fast = replay_island(workload, policy, host, times=True, causes=True)
    assert_equal(fast, replay_naively(workload, policy, host))
    assert_lawful(fast, workload, policy)


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("rate", [10_000, 150_000])
def test_equals_the_reference_on_real_policies(name: str, threaded: bool, rate: float) -> None:
    host = dataclasses.replace(GENERIC, threaded=threaded)
    workload, policy = poisson(rate, 700), parse_policy(name)
    fast = replay_island(workload, policy, host, times=True, causes=True)
    assert_equal(fast, replay_naively(workload, policy, host))
    assert_lawful(fast, workload, policy)


@given(workloads(), policies(), hosts())
def test_equal_inputs_give_equal_outcomes(workload: Workload, policy: Policy, host: Host) -> None:
    first, second = (
        replay_island(workload, policy, host, times=True, causes=True) for _ in range(2)
    )
    assert_equal(first, second)


@given(workloads(closed=False))
def test_without_costs_a_busy_poller_adds_nothing(workload: Workload) -> None:
    """Latency is then the service time, and the wait for requests served before."""
    host = dataclasses.replace(ZERO_COST, ring=256)
    outcome = replay_island(workload, parse_policy("fullbusy"), host, times=True)
    assert outcome.times is not None
    free = 0
    for packet in np.flatnonzero(outcome.times.done >= 0):
        free = max(free, int(workload.arrival_ns[packet])) + int(workload.service_ns[packet])
        assert outcome.times.done[packet] == free


def test_the_whole_trace_is_read_only() -> None:
    workload = poisson(50_000, 100)
    workload.arrival_ns.setflags(write=False)
    workload.service_ns.setflags(write=False)
    outcome = replay_island(workload, parse_policy("base"), GENERIC)
    assert outcome.packets == 100
    assert outcome.times is None
