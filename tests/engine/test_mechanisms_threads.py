"""Threads: NAPI threads, one poller for several queues (TAPI), workers, and where they wake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay.engine.topology import FLOATS, Topology
from replay.policy import Policy
from replay.policy.model import NapiThread
from replay.units import MILLISECOND
from tests.engine.general.cases import ACK, BASE, DEFER, delivered, done, replay, started, took

THREADED = replace(BASE, threaded=True)


def cpus(
    *domains: int, queues: tuple[int, ...] = (0,), workers: tuple[int, ...] = (0,)
) -> Topology:
    return Topology(
        queue_cpu=queues,
        queue_device=(0,) * len(queues),
        worker_cpu=workers,
        cpu_domain=domains,
        cpu_tx_queue=(-1,) * len(domains),
    )


# --- NAPI threads -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "service", "time"),
    [
        ("fifo", MILLISECOND, 10_000),  # preempts the application
        ("pinned", MILLISECOND, MILLISECOND),  # has its turn when the application sleeps
        ("pinned", 10 * MILLISECOND, 3_010_000),  # or after its slice
        ("floating", MILLISECOND, MILLISECOND),  # no other CPU to go to
    ],
)
def test_a_napi_thread_beside_a_busy_application(kind: NapiThread, service: int, time: int) -> None:
    policy = replace(THREADED, napi_thread=kind)
    outcome = replay([0, 10_000], policy, service=[service, ACK], duration=12 * MILLISECOND)
    assert delivered(outcome) == [0, time]
    assert delivered(replay([0, 10_000], BASE, service=[service, ACK])) == [0, 10_000]


@pytest.mark.parametrize(
    ("preemption", "arrival", "time"),
    [
        (False, 10_000, 10_000),  # the application gives up its own time at once
        (False, 35_000, 40_000),  # the rest of its system call it keeps
        (True, 35_000, 35_000),
    ],
)
def test_without_kernel_preemption_a_call_ends_first(
    preemption: bool, arrival: int, time: int
) -> None:
    costs = {"transmit_ns": 10_000, "preemption": preemption}
    outcome = replay([0, arrival], THREADED, service=[30_000, ACK], **costs)
    assert delivered(outcome) == [0, time]


@pytest.mark.parametrize(
    ("domains", "time"),
    [
        ((0, 0), 10_700),  # an idle CPU of the same cache, an IPI away
        ((0, 1), MILLISECOND),  # idle, but far: the thread waits where it was
        ((0, 1, 0), 10_700),
    ],
)
def test_a_floating_napi_thread_goes_where_the_cache_is(
    domains: tuple[int, ...], time: int
) -> None:
    """select_idle_sibling: the previous CPU if idle, else an idle one of its cache domain."""
    policy = replace(THREADED, napi_thread="floating")
    outcome = replay(
        [0, 10_000],
        policy,
        cpus(*domains),
        service=[MILLISECOND, ACK],
        ipi_ns=700,
        duration=2 * MILLISECOND,
    )
    # for the first packet its CPU is idle, and so stays idle: no IPI
    assert delivered(outcome) == [0, time]


def test_a_napi_thread_that_moved_stays_where_it_is() -> None:
    """What it polls there reaches the application on the other CPU for the price of the way."""
    outcome = replay(
        [0, 10_000, 300_000],
        replace(THREADED, napi_thread="floating"),
        cpus(0, 0),
        service=[100_000, 1_000, 1_000],
        ipi_ns=700,
        handoff_ns=50,
    )
    assert delivered(outcome) == [0, 10_700, 300_700]
    assert took(outcome) == [100_000, 1_050, 1_050]
    assert started(outcome) == [0, 100_000, 300_700 + 700]  # the worker is woken from there


def test_a_softirq_of_one_napi_thread_is_bounded_by_its_weight_only() -> None:
    """napi_threaded_poll has no budget, no limit of passes, no ksoftirqd."""
    outcome = replay(
        [0] * 1_000,
        replace(THREADED, netdev_budget=1, netdev_budget_usecs=0),
        service=ACK,
        packet_ns=100,
    )
    assert delivered(outcome) == [(n + 1) * 100 for n in range(1_000)]
    assert outcome.squeezes == 0


# --- TAPI ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pollers", "last"),
    [
        (0, [12_800, 12_800, 12_800]),  # a thread each, each on its interrupt's CPU
        (1, [25_600, 32_000, 38_400]),  # one thread, in turns of 64
        (2, [19_200, 12_800, 25_600]),  # the third shares the first's
    ],
)
def test_napis_packed_onto_polling_threads(pollers: int, last: list[int]) -> None:
    queue = [number for number in range(3) for _ in range(128)]
    outcome = replay(
        [0] * 384,
        replace(THREADED, pollers=pollers, napi_thread="pinned"),
        cpus(0, 0, 0, queues=(0, 1, 2)),
        service=ACK,
        columns={"queue": queue},
        packet_ns=100,
    )
    times = delivered(outcome)
    assert [times[127], times[255], times[383]] == last
    assert outcome.irqs == 3


def test_one_poller_leaves_the_other_cpus_to_the_application() -> None:
    """Two queues of 100 packets interrupt CPU 1, where a request is served."""
    queue = [1] + [1] * 100
    topology = cpus(0, 0, queues=(0, 1), workers=(1,))
    costs = {"packet_ns": 100, "columns": {"queue": queue}}
    service = [50_000] + [ACK] * 100
    policy = replace(THREADED, napi_thread="pinned")
    arrivals = [0] + [10_000] * 100
    packed = replay(arrivals, replace(policy, pollers=1), topology, service=service, **costs)
    assert done(packed)[0] == 100 + 50_000
    fifo = replace(policy, napi_thread="fifo")
    assert done(replay(arrivals, fifo, topology, service=service, **costs))[0] == 60_100
    assert done(replay(arrivals, BASE, topology, service=service, **costs))[0] == 60_100


# --- workers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("worker_cpu", "begins", "takes"),
    [(0, 1_000, 100), (1, 3_000, 600), (2, 3_000, 1_000)],
)
def test_what_a_worker_elsewhere_costs(worker_cpu: int, begins: int, takes: int) -> None:
    """An IPI to wake it, and its packets from another cache."""
    outcome = replay(
        [1_000],
        BASE,
        cpus(0, 0, 1, workers=(worker_cpu,)),
        service=100,
        ipi_ns=2_000,
        handoff_ns=500,
        far_ns=900,
    )
    assert (started(outcome), took(outcome)) == ([begins], [takes])


@pytest.mark.parametrize(
    ("domains", "others", "begins"),
    [
        ((0, 0, 1), 1, 10_000),  # its CPU is busy, the next one idle
        ((0, 0, 1), 2, 30_000),  # both are: it queues where it was, until the slice ends
        ((0, 1, 1), 1, 30_000),  # the idle one has another cache
    ],
)
def test_where_a_floating_worker_wakes(domains: tuple[int, ...], others: int, begins: int) -> None:
    """Interrupts come to CPU 2; the workers pinned to CPU 0 (and 1) serve since 0."""
    outcome = replay(
        [0] * others + [10_000],
        BASE,
        cpus(*domains, queues=(2,), workers=(FLOATS, 0, 1)),
        service=[100_000] * others + [1_000],
        columns={"worker": [*[1, 2][:others], 0]},
        slice_ns=20_000,
    )
    assert started(outcome)[-1] == begins


def test_a_pinned_worker_waits_beside_an_idle_cpu() -> None:
    outcome = replay(
        [0, 10_000],
        BASE,
        cpus(0, 0, 1, queues=(2,), workers=(0, 0)),
        service=[100_000, 1_000],
        columns={"worker": [1, 0]},
        slice_ns=20_000,
    )
    assert started(outcome)[1] == 30_000


@pytest.mark.parametrize(
    ("policy", "takes"),
    [
        (DEFER, [600, 600]),  # the softirq that polls is always CPU 0's
        (replace(DEFER, prefer_busy_poll=True), [600, 100]),
    ],
)
def test_the_timer_is_pinned_to_the_cpu_that_armed_it_last(
    policy: Policy, takes: list[int]
) -> None:
    """busy_poll_stop arms it on the worker's CPU: from there on that CPU polls in softirq."""
    outcome = replay([1_000, 10_000], policy, cpus(0, 0, workers=(1,)), service=100, handoff_ns=500)
    stop = 1_600 if policy.prefer_busy_poll else 1_000
    assert delivered(outcome) == [1_000, stop + 20_000]
    assert took(outcome) == takes


def test_polls_of_the_timer_interrupt_the_application_on_that_cpu() -> None:
    """Suspension's timer too: overrun, the worker's own CPU polls, and polls on every 20 us."""
    policy = replace(DEFER, prefer_busy_poll=True, irq_suspend_timeout_ns=100_000)
    topology = cpus(0, 0, workers=(1,))
    outcome = replay(
        [0, 10_000], policy, topology, service=[200_000, 1_000], packet_ns=700, poll_ns=300
    )
    assert delivered(outcome) == [1_000, 1_000 + 100_000 + 1_000]
    # first poll with the packet, then empty ones: from 122,000 on each 20,300, within 201,300
    empty = (201_000 + 1_000 - 102_000) // 20_300
    assert done(outcome)[0] == 1_000 + 200_000 + 1_000 + empty * 300
    assert done(replay([0], policy, topology, service=200_000, packet_ns=700, poll_ns=300)) == [
        1_000 + 200_000 + 300 * 5
    ]
