"""Which policy a queue, and the threads beside it, have."""

from __future__ import annotations

import numpy as np

from replay.engine import Workload, replay_island
from replay.engine.topology import Topology
from replay.host import GENERIC
from replay.policy import parse_policy
from tests.engine.test_island import assert_equal, poisson
from tests.naive import replay_naively

BOTH = [parse_policy("base"), parse_policy("suspend20")]


def on_nic(device: int) -> Topology:
    return Topology(queue_device=(device,))


def test_a_queue_alone_is_all_under_its_own_nic_s_policy() -> None:
    """Its worker too: what the other NIC's policy says of epoll is not for it."""
    workload = poisson(50_000, 400)
    for device, policy in enumerate(BOTH):
        for causes in (False, True):
            one = replay_island(workload, BOTH, GENERIC, on_nic(device), causes=causes)
            other = replay_island(workload, policy, GENERIC, causes=causes)
            for name in ("latency", "cpu", "irqs", "timers", "polls", "resumes", "causes"):
                assert getattr(one, name) == getattr(other, name), name
        slow = replay_naively(workload, BOTH, GENERIC, on_nic(device))
        assert_equal(replay_island(workload, BOTH, GENERIC, on_nic(device), times=True), slow)
    first, second = (replay_island(workload, BOTH, GENERIC, on_nic(nic)) for nic in (0, 1))
    assert first.timers == 0 < second.timers


def test_queues_that_share_have_each_its_deferral_and_the_first_one_s_epoll() -> None:
    workload = poisson(50_000, 400)
    queue = np.arange(400) % 2
    shared = Workload(workload.arrival_ns, workload.service_ns, workload.duration_ns, queue=queue)
    topology = Topology((0, 0), (0, 1))
    outcome = replay_island(shared, BOTH, GENERIC, topology)
    assert [part.timers > 0 for part in outcome.queues] == [False, True]
    assert outcome.busy_polls == 0
