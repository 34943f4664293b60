"""Softirqs that run ahead of workers: the outcome is the reference's, also where they cannot."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.engine import Outcome, Workload, replay_island
from replay.engine.general import island, replay_general
from replay.engine.topology import Topology
from replay.host import Host
from replay.host.model import ZERO_COST
from replay.policy import Policy
from tests.engine.general.cases import BASE, DEFER, SUSPEND, padded
from tests.naive import replay_naively
from tests.strategies import durations, topologies, wide_hosts, wide_policies, wide_workloads

#: Two CPUs, each with two queues and a worker that is sent requests from all four.
SHARED = Topology((0, 1, 0, 1), (0, 0, 0, 0), (0, 1), (0, 1), (-1, -1))
HOST = replace(
    ZERO_COST,
    **{"irq_latency_ns": 500, "irq_ns": 500, "timer_ns": 400, "poll_ns": 200, "packet_ns": 300},
    **{"exit_ns": 100, "idle_ns": 50, "wake_ns": 300, "sleep_ns": 200, "epoll_ns": 200},
    **{"handoff_ns": 40, "far_ns": 90, "cold_ns": 70, "interrupted_ns": 30, "ring": 256},
)


def assert_same_without_times(
    workload: Workload, policies: list[Policy], host: Host, topology: Topology
) -> Outcome:
    """Only without times and causes do softirqs go ahead."""
    fast = replay_general(workload, policies, host, topology, times=False, causes=False)
    slow = replay_naively(workload, policies, host, topology)
    for field in dataclasses.fields(Outcome):
        if field.name not in ("times", "causes", "poll_sizes", "queues"):
            assert getattr(fast, field.name) == getattr(slow, field.name), field.name
    assert padded(fast.poll_sizes) == padded(slow.poll_sizes)
    kept = replay_general(workload, policies, host, topology, times=True, causes=False)
    for one, other in zip(fast.queues, kept.queues, strict=True):
        assert (one.latency, one.polls, one.dropped) == (other.latency, other.polls, other.dropped)
    return fast


@st.composite
def islands(draw: st.DrawFn) -> tuple[Workload, list[Policy], Host, Topology]:
    """Return islands whose softirqs depend on no thread, but where polls and rings are full."""
    topology = draw(topologies())
    cpus = len(topology.cpu_domain)
    workers = draw(st.permutations(range(cpus)))[: draw(st.integers(1, cpus))]
    topology = replace(topology, worker_cpu=tuple(workers))
    steps = {
        name: 1 + draw(durations)
        for name in ("irq_ns", "timer_ns", "poll_ns", "packet_ns", "wake_ns")
    }
    host = replace(
        draw(wide_hosts()),
        adaptive="off",
        **{"tx_completions": False, "extra_irq": False, "looks_again": False, "threaded": False},
        **{"repost_every": 1, "cstates": (), "background_ns": 0},
        **steps,
    )
    found = [
        replace(
            draw(wide_policies()),
            **{"busy_poll_usecs": 0, "busy_read_usecs": 0, "prefer_busy_poll": False},
            **{"epoll_timeout_ns": -1, "threaded": False},
        )
        for _ in range(2)
    ]
    workload = replace(draw(wide_workloads(topology)), parent=None, think_ns=None, scheduled=False)
    return workload, found, host, topology


@settings(max_examples=200, deadline=None)
@given(islands())
def test_islands_equal_the_reference(
    island: tuple[Workload, list[Policy], Host, Topology],
) -> None:
    assert_same_without_times(*island)


def poisson(packets: int, gap_ns: int) -> Workload:
    random = np.random.default_rng(5)
    arrival = np.cumsum(random.exponential(gap_ns, packets)).astype(np.int64)
    return Workload(
        arrival,
        random.integers(-100, 900, packets),
        int(arrival[-1]) + 5_000,
        queue=random.integers(0, 4, packets),
        worker=random.integers(0, 2, packets),
    )


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which is added how far softirqs went ahead, ns, each time."""
    found: list[int] = []
    run_ahead = island.run_ahead

    def watched(g: object) -> None:
        before = int(g.now)  # type: ignore[attr-defined]
        run_ahead(g)
        found.append(int(g.now) - before)  # type: ignore[attr-defined]

    monkeypatch.setattr(island, "run_ahead", watched)
    return found


@pytest.mark.parametrize("policy", [BASE, DEFER])
def test_most_of_a_trace_is_replayed_ahead(policy: Policy, ahead: list[int]) -> None:
    workload = poisson(3_000, 2_000)
    without = assert_same_without_times(workload, [policy], HOST, SHARED)
    assert without.squeezes == without.dropped == 0
    assert sum(ahead) > 0.99 * workload.duration_ns


def test_what_is_unusual_is_replayed_otherwise(ahead: list[int]) -> None:
    """Bursts fill polls and rings: some of the trace goes ahead, some does not."""
    calm, burst = poisson(1_000, 3_000), poisson(1_000, 20)
    begins = int(calm.arrival_ns[-1])
    arrival = np.concatenate([calm.arrival_ns, begins + burst.arrival_ns])
    arrival = np.concatenate([arrival, int(arrival[-1]) + calm.arrival_ns])
    columns = {
        name: np.concatenate([getattr(part, name) for part in (calm, burst, calm)])
        for name in ("service_ns", "queue", "worker")
    }
    workload = Workload(arrival_ns=arrival, duration_ns=int(arrival[-1]) + 5_000, **columns)
    without = assert_same_without_times(workload, [BASE], replace(HOST, ring=64), SHARED)
    assert without.dropped > 0
    assert without.poll_sizes[64] > 0
    assert 0.5 * workload.duration_ns < sum(ahead) < 0.99 * workload.duration_ns


@pytest.mark.parametrize("changed", [{"wake_ns": 0}, {"cstates": ((1, 1),)}, {"threaded": True}])
def test_hosts_whose_softirqs_wait_for_threads(changed: dict[str, int], ahead: list[int]) -> None:
    assert_same_without_times(poisson(100, 2_000), [BASE], replace(HOST, **changed), SHARED)
    assert ahead == []


def test_hooks_of_any_nic_decide_after_polls(ahead: list[int]) -> None:
    """They may arm another timer than the policy."""
    two = replace(SHARED, queue_device=(0, 0, 1, 1))
    for hooked in (True, False):
        policies = [DEFER, replace(DEFER, hooked=hooked)]
        replay_general(poisson(100, 2_000), policies, HOST, two, times=False, causes=False)
        assert (ahead == []) == hooked


def test_whoever_polls_busily_changes_what_softirqs_do(ahead: list[int]) -> None:
    busy = replace(SUSPEND, busy_poll_usecs=40)
    host = replace(HOST, busy_poll_ns=300)
    assert replay_island(poisson(100, 2_000), busy, host, SHARED).busy_polls > 0
    assert ahead == []
