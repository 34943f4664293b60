from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.arrivals import Offered, offered, requests_of
from replay.engine.topology import FLOATS, OWN, SINGLE, Topology
from replay.engine.workload import Workload
from replay.islands import Placement, beside_its_queue
from replay.places import Places
from replay.policy import PRESETS
from tests.tiny import HOST, tiny_trace

EMPTY = np.empty(0, np.int64)


def offer(folder: Path) -> Offered:
    return offered(tiny_trace(folder), HOST, load=1.0, arrivals="closed")


def test_islands_hold_every_packet_once_and_keep_their_parents(tmp_path: Path) -> None:
    work = offer(tmp_path).workload
    queue = np.arange(len(work.arrival_ns)) // 2 % 4  # request and acknowledgement of a flow
    islands = beside_its_queue(work, np.where(queue == 3, 1, queue)).apart
    assert [island.queues for island in islands] == [(0,), (1,), (2,)]
    assert sum(len(island.workload.arrival_ns) for island in islands) == len(work.arrival_ns)
    assert sum(island.requests for island in islands) == requests_of(work)
    first = islands[0].workload
    assert first.parent is not None
    assert first.parent[:4].tolist() == [-1, 0, 0, 2]
    assert all(island.topology == SINGLE for island in islands)


def test_a_parent_on_another_island_is_none(tmp_path: Path) -> None:
    work = offer(tmp_path).workload
    queue = np.arange(len(work.arrival_ns)) % 2  # requests here, acknowledgements there
    requests, acknowledgements = beside_its_queue(work, queue).apart
    assert requests.workload.parent is not None
    assert acknowledgements.workload.parent is not None
    assert (requests.workload.parent[4:] >= 0).all()
    assert (acknowledgements.workload.parent == -1).all()


def test_a_queue_without_packets_is_an_island_too(tmp_path: Path) -> None:
    work = replace(offer(tmp_path).workload, size=np.arange(400))
    queue = np.full(len(work.arrival_ns), 1)
    islands = Placement(work, Places().topology(3), queue, queue, (0, 1, 2)).apart
    assert [len(island.workload.arrival_ns) for island in islands] == [0, 400, 0]
    assert [island.queues for island in islands] == [(0,), (1,), (2,)]
    assert islands[0].workload.size is not None
    assert np.array_equal(islands[1].workload.size, work.size)
    (recorded,) = beside_its_queue(work, queue).apart
    assert recorded.queues == (1,)


def test_one_queue_is_the_whole_as_it_stands(tmp_path: Path) -> None:
    work = offer(tmp_path).workload
    (island,) = beside_its_queue(work, None).apart
    assert island.workload.arrival_ns is work.arrival_ns
    assert island.topology == SINGLE


def test_queues_on_one_cpu_and_workers_apart() -> None:
    """Two queues on CPU 0, their workers on CPUs 1 and 2; a queue of its own on CPU 3."""
    topology = Topology(
        queue_cpu=(0, 3, 0),
        queue_device=(0, 0, 1),
        worker_cpu=(1, 3, 2),
        cpu_domain=(0, 0, 1, 1, 1),
        cpu_tx_queue=(0, OWN, OWN, 1, OWN),
    )
    queue = np.array([2, 1, 0, 2])
    work = Workload(np.arange(4), np.zeros(4, np.int64), 10, size=np.array([9, 8, 7, 6]))
    shared, alone = Placement(work, topology, queue, queue, (0, 1, 2)).apart
    assert shared.queues == (0, 2)
    assert shared.topology == Topology(
        queue_cpu=(0, 0),
        queue_device=(0, 1),
        worker_cpu=(1, 2),
        cpu_domain=(0, 0, 1),
        cpu_tx_queue=(0, OWN, OWN),
    )
    assert shared.workload.queue is not None
    assert shared.workload.worker is not None
    assert shared.workload.queue.tolist() == [1, 0, 1]
    assert shared.workload.worker.tolist() == [1, 0, 1]
    assert shared.workload.arrival_ns.tolist() == [0, 2, 3]
    assert shared.workload.size is not None
    assert shared.workload.size.tolist() == [9, 7, 6]
    assert alone.queues == (1,)
    assert alone.topology == SINGLE
    assert (alone.workload.queue, alone.workload.worker) == (None, None)


def test_a_worker_that_floats_makes_one_island_of_all_cpus() -> None:
    topology = Places(worker_cpus=(0, FLOATS), cpus=3).topology(2)
    work = Workload(EMPTY, EMPTY, 10)
    (island,) = Placement(work, topology, EMPTY, EMPTY, (0, 1)).apart
    assert island.topology == topology


def test_a_worker_joins_the_queues_whose_packets_it_serves() -> None:
    topology = Places(workers=2).topology(2)
    queue = np.array([0, 1, 0])
    work = Workload(np.arange(3), np.zeros(3, np.int64), 10)
    crossed = Placement(work, topology, queue, np.array([0, 1, 1]), (0, 1)).apart
    straight = Placement(work, topology, queue, queue, (0, 1)).apart
    assert [island.queues for island in crossed] == [(0, 1)]
    assert [island.queues for island in straight] == [(0,), (1,)]
    together = Placement(work, topology, queue, queue, (0, 1)).together
    assert [island.topology for island in together] == [topology]


@pytest.mark.parametrize(
    ("policy", "islands"),
    [("base", 2), ("threaded", 2), ("threaded-floating", 1), ("tapi", 1)],
)
def test_napi_threads_that_roam_make_one_island(policy: str, islands: int) -> None:
    queue = np.array([0, 1])
    placed = beside_its_queue(Workload(queue, queue, 10), queue)
    assert len(placed.islands([PRESETS[policy]], HOST)) == islands
    threaded = replace(HOST, threaded=True, napi_thread="floating")
    assert len(placed.islands([PRESETS["base"]], threaded)) == 1


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    queues, cpus, workers = (draw(st.integers(1, 5)) for _ in range(3))
    numbers = st.integers(0, cpus - 1)
    topology = Topology(
        queue_cpu=tuple(draw(numbers) for _ in range(queues)),
        queue_device=tuple(draw(st.integers(0, 1)) for _ in range(queues)),
        worker_cpu=tuple(
            draw(st.one_of(numbers, numbers, st.just(FLOATS))) for _ in range(workers)
        ),
        cpu_domain=tuple(draw(st.integers(0, 2)) for _ in range(cpus)),
        cpu_tx_queue=tuple(draw(st.integers(OWN, queues - 1)) for _ in range(cpus)),
    )
    packets = draw(st.integers(0, 12))
    queue, worker = (
        np.array([draw(st.integers(0, most - 1)) for _ in range(packets)], np.int64)
        for most in (queues, workers)
    )
    work = Workload(np.arange(packets), np.arange(packets), 20)
    return Placement(work, topology, queue, worker, tuple(range(queues)))


@given(placements(), st.booleans())
def test_islands_part_what_nothing_joins(placed: Placement, together: bool) -> None:
    whole = placed.topology
    islands = placed.together if together else placed.apart
    assert sorted(queue for island in islands for queue in island.queues) == list(
        range(len(whole.queue_cpu))
    )
    seen = np.concatenate([island.workload.arrival_ns for island in islands])
    assert sorted(seen.tolist()) == list(range(len(placed.workload.arrival_ns)))
    assert placed.queue is not None
    for island in islands:
        topology, work = island.topology, island.workload
        local = np.zeros(len(work.arrival_ns), int) if work.queue is None else work.queue
        assert [island.queues[i] for i in local] == placed.queue[work.arrival_ns].tolist()
        assert all(
            whole.queue_device[q] == topology.queue_device[i] for i, q in enumerate(island.queues)
        )
        if FLOATS in topology.worker_cpu and not topology.single:
            assert len(islands) == 1
        if together:
            assert len(islands) == 1
    assert sum(len(island.topology.cpu_domain) for island in islands) <= len(whole.cpu_domain)
