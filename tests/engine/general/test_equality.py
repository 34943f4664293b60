"""The general engine equals the reference on any island, and keeps the laws of a replay."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from replay.engine import Workload, replay_island
from replay.engine.topology import SINGLE, Topology
from replay.host import Host
from replay.policy import Policy
from tests.engine.general.cases import check
from tests.strategies import (
    hosts,
    policies,
    topologies,
    wide_hosts,
    wide_policies,
    wide_workloads,
    workloads,
)


@st.composite
def islands(draw: st.DrawFn) -> tuple[Workload, list[Policy], Host, Topology]:
    """Return any mechanism on up to three queues, CPUs and workers and two NICs."""
    topology = draw(topologies())
    nics = [draw(wide_policies()), draw(wide_policies())]
    return draw(wide_workloads(topology)), nics, draw(wide_hosts()), topology


@settings(max_examples=400, deadline=None)
@given(islands())
def test_islands_equal_the_reference(
    island: tuple[Workload, list[Policy], Host, Topology],
) -> None:
    check(*island)


@settings(max_examples=100, deadline=None)
@given(wide_workloads(SINGLE), wide_policies(), wide_hosts())
def test_one_queue_equals_the_reference(workload: Workload, policy: Policy, host: Host) -> None:
    check(workload, policy, host, SINGLE)


@settings(max_examples=100, deadline=None)
@given(workloads(), policies(), hosts())
def test_both_engines_are_equal(workload: Workload, policy: Policy, host: Host) -> None:
    """What one queue, CPU and worker do is the same by the common loop and by the general one."""
    common = replay_island(workload, policy, host, times=True)
    general = check(workload, policy, host, SINGLE)
    for name in ("cpu", "latency", "irqs", "timers", "polls", "polls_empty", "epoll_returns"):
        assert getattr(common, name) == getattr(general, name), name
    assert common.times is not None
    assert general.times is not None
    assert common.times.done.tolist() == general.times.done.tolist()


@settings(max_examples=50, deadline=None)
@given(islands())
def test_what_is_kept_changes_nothing(
    island: tuple[Workload, list[Policy], Host, Topology],
) -> None:
    kept = replay_island(*island, times=True, causes=True)
    times, causes = replay_island(*island, times=True), replay_island(*island, causes=True)
    assert (times.causes, causes.times) == (None, None)
    assert causes.causes == kept.causes
    for bare in (times, causes):
        assert bare.cpu == kept.cpu
        assert bare.latency == kept.latency
        assert bare.polls == kept.polls
