"""The bench: who sends what to whom, and what follows an answer."""

from __future__ import annotations

import numpy as np
import pytest

from replay.backtest.bench import CONNECTIONS, QUEUES, offer, topology
from replay.backtest.client import Client
from replay.engine.topology import FLOATS

CLIENT = Client(20.0, 6.0, 80.0, 20.0, 0.0, {200_000: 0.5, 600_000: 1.0})


def test_each_request_follows_the_one_before_and_has_its_acknowledgement() -> None:
    run = offer(CLIENT, 4_000, 200_000, 0.05, 1, pinned=False)
    load = run.workload
    assert load.parent is not None
    assert load.think_ns is not None
    assert load.queue is not None
    assert (load.service_ns[::2] == 4_000).all()
    assert (load.service_ns[1::2] == -1).all()
    assert (load.parent[1::2] == np.arange(0, len(load.parent), 2)).all()
    requests = np.arange(0, len(load.parent), 2)
    later = requests[load.parent[::2] >= 0]
    parent = load.parent[later]
    assert (parent < later).all()
    assert (load.arrival_ns[parent] < load.arrival_ns[later]).all()
    assert (load.queue[parent] == load.queue[later]).all()
    assert len(np.unique(parent)) == len(parent)
    # what is thought is half of this request's way and half of the other's
    both = (run.client_ns[later] + run.client_ns[parent]) / 2
    assert np.abs(load.think_ns[later] - both).max() <= 2
    assert len(requests) == pytest.approx(10_000, rel=0.05)


def test_unthrottled_connections_all_begin() -> None:
    load = offer(CLIENT, 4_000, 0, 0.05, 1, pinned=False).workload
    assert load.parent is not None
    assert np.count_nonzero(load.parent == -1) == CONNECTIONS


@pytest.mark.parametrize("pinned", [False, True])
def test_workers_float_unless_they_are_pinned(pinned: bool) -> None:
    load = offer(CLIENT, 4_000, 200_000, 0.01, 3, pinned=pinned).workload
    assert load.queue is not None
    assert load.worker is not None
    assert (load.queue == load.worker).all() == pinned
    assert len(np.unique(load.queue * QUEUES + load.worker)) == QUEUES  # a worker a queue
    assert topology(pinned=pinned).worker_cpu == (tuple(range(8)) if pinned else (FLOATS,) * 8)


def test_equal_seeds_make_equal_runs() -> None:
    one, same, other = (
        offer(CLIENT, 4_000, 400_000, 0.01, seed, pinned=False).workload for seed in (1, 1, 2)
    )
    assert one.arrival_ns.tolist() == same.arrival_ns.tolist()
    assert one.arrival_ns[:100].tolist() != other.arrival_ns[:100].tolist()


def test_the_slow_host_is_between_the_loads_that_are_known() -> None:
    assert CLIENT.late_at(400_000) == 0.75
    assert CLIENT.late_at(900_000) == 1.0
    host = np.arange(70_000) % 7
    times = CLIENT.times(np.random.default_rng(1), host, 0) / 1_000
    assert times[host != 0].mean() == pytest.approx(26, rel=0.02)
    assert times[host == 0].mean() == pytest.approx(26 + 90, rel=0.02)
