from __future__ import annotations

import pytest

from replay.engine.topology import FLOATS, OWN, SINGLE, Topology
from replay.errors import PolicyError
from replay.places import Places, parse_places


def test_nothing_asked_is_a_cpu_and_a_worker_for_each_queue() -> None:
    assert Places().topology(1) == SINGLE
    three = (0, 1, 2)
    assert Places().topology(3) == Topology(three, (0,) * 3, three, (0,) * 3, three)
    assert parse_places() is None


def test_every_option() -> None:
    places = parse_places(
        cpus=4,
        workers=3,
        irq_cpus="0,0,2,2",
        worker_cpus="1, 3,float",
        cache_domains="0,0,1,1",
        queue_nics="0,0,0,1",
        spread="flows",
    )
    assert places is not None
    assert places.spread == "flows"
    assert places.topology(4) == Topology(
        queue_cpu=(0, 0, 2, 2),
        queue_device=(0, 0, 0, 1),
        worker_cpu=(1, 3, FLOATS),
        cpu_domain=(0, 0, 1, 1),
        cpu_tx_queue=(0, OWN, 2, OWN),
    )


@pytest.mark.parametrize(
    ("places", "queues", "cpus", "workers"),
    [
        (Places(cpus=2), 4, 2, (0, 1, 0, 1)),
        (Places(workers=2), 4, 4, (0, 1)),
        (Places(workers=3), 1, 1, (0, 0, 0)),
        (Places(irq_cpus=(0, 0, 1, 1)), 4, 2, (0, 0, 1, 1)),
        (Places(worker_cpus=(0, 1)), 4, 4, (0, 1)),
        (Places(worker_cpus=(1,)), 1, 2, (1,)),
        (Places(worker_cpus=(1,), workers=2), 1, 2, (1, 1)),
        (Places(worker_cpus=(FLOATS,)), 2, 2, (FLOATS, FLOATS)),
        (Places(worker_cpus=(FLOATS,), workers=1, cpus=3), 2, 3, (FLOATS,)),
        (Places(cache_domains=(0, 1, 1)), 1, 3, (0,)),
    ],
)
def test_what_is_not_said(places: Places, queues: int, cpus: int, workers: tuple[int, ...]) -> None:
    topology = places.topology(queues)
    assert len(topology.cpu_domain) == cpus
    assert topology.worker_cpu == workers
    assert all(
        cpu == queue % cpus or places.irq_cpus for queue, cpu in enumerate(topology.queue_cpu)
    )


@pytest.mark.parametrize(
    ("options", "queues", "message"),
    [
        ({"cpus": 0}, 1, "cpus = 0 is outside 1 to 1024"),
        ({"workers": 1025}, 1, "workers = 1025 is outside 1 to 1024"),
        ({"irq_cpus": "0,x"}, 2, "irq-cpus: 'x' is not a number from 0 to 1023"),
        ({"irq_cpus": "-1"}, 1, "irq-cpus: '-1' is not a number from 0 to 1023"),
        ({"irq_cpus": "0,4096"}, 2, "irq-cpus = 4096 is outside 0 to 1023"),
        ({"irq_cpus": "0,2", "cpus": 2}, 2, "irq-cpus = 2 is outside 0 to 1$"),
        ({"irq_cpus": "0,1"}, 4, "irq-cpus has 2 numbers for 4 queues: one for each"),
        ({"irq_cpus": "0,1"}, 1, "irq-cpus has 2 numbers for 1 queue: one for each"),
        ({"worker_cpus": "flaot"}, 1, "worker-cpus: 'flaot' is not a number or float from"),
        ({"worker_cpus": "0,1", "workers": 3}, 1, "worker-cpus has 2 numbers for 3 workers"),
        ({"worker_cpus": "2", "cpus": 2}, 1, "worker-cpus = 2 is outside 0 to 1$"),
        ({"cache_domains": "0,0", "cpus": 3}, 1, "cache-domains has 2 numbers for 3 CPUs"),
        ({"queue_nics": "0"}, 2, "queue-nics has 1 numbers for 2 queues"),
        ({"spread": "users"}, 1, "spread = 'users' is none of queues, flows"),
    ],
)
def test_places_that_cannot_be(options: dict[str, object], queues: int, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse_places(**options).topology(queues)  # type: ignore
