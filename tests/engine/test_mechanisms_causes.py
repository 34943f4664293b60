"""Why a request waited, split by hand: one case of each cause, and all of them in one request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay.engine.histogram import bucket_of
from replay.engine.topology import Topology
from replay.host import GENERIC
from replay.policy.model import Coalescing
from replay.units import MILLISECOND
from tests.engine.general.cases import ACK, BASE, DEFER, SUSPEND, delivered, done, replay, why

#: what each step of one request's way takes
COSTS = {
    name: getattr(GENERIC, name)
    for name in (
        *("irq_latency_ns", "irq_ns", "timer_latency_ns", "timer_ns", "poll_ns", "packet_ns"),
        *("timer_start_ns", "timer_later_ns", "exit_ns", "wake_ns", "event_ns", "transmit_ns"),
    )
}


def test_one_request_alone_takes_each_step_once() -> None:
    outcome = replay([1_000], replace(BASE, rx_usecs=10), service=2_500, **COSTS)
    assert why(outcome) == {
        "coalescing": 10_000,
        "cpu": 700 + 900,  # from the signal to the poll: latency, handler
        "ring": 400 + 1_000,  # the poll and its packet
        "wakeup": 200 + 1_500,  # leaving softirq, the thread's return from sleep
        "queueing": 60,  # until epoll_wait returns its event
        "service": 2_500,
    }
    assert done(outcome) == [1_000 + 17_260]


def test_one_request_that_the_timer_delivers() -> None:
    """As before, but the timer waits from the first packet's completion, at 4,000."""
    outcome = replay([1_000, 9_000], DEFER, service=[ACK, 2_500], **COSTS)
    assert why(outcome) == {
        "timer": 4_000 + 20_000 - 9_000,
        "cpu": 700 + 900,
        "ring": 400 + 1_000,
        "wakeup": 100 + 200 + 1_500,  # a timer is started on the way
        "queueing": 60,
        "service": 2_500,
    }


@pytest.mark.parametrize(
    ("coalescing", "waits"), [("timer", 2_000), ("cqe", 18_001), ("gap", 8_000)]
)
def test_coalescing(coalescing: Coalescing, waits: int) -> None:
    """The packets of the three models' test: interrupts at 11,000; 21,001; 1,000 and 11,000."""
    policy = replace(BASE, coalescing=coalescing, rx_usecs=10)
    service = [ACK, 7, ACK]
    arrivals = {"timer": 9_000, "cqe": 3_000, "gap": 3_000}
    outcome = replay([1_000, arrivals[coalescing], 11_001], policy, service=service)
    assert why(outcome) == {"coalescing": waits, "service": 7}


def test_the_timer_of_suspension() -> None:
    outcome = replay([0, 50_000], SUSPEND, service=[2 * MILLISECOND, 0], duration=3 * MILLISECOND)
    # polled 1 ms after the first was returned; the application is still at work then
    assert why(outcome) == {"timer": 950_000, "queueing": MILLISECOND, "service": 2 * MILLISECOND}


def test_packets_before_it_in_the_ring() -> None:
    """Nine of them, and its own; with a weight of four also the polls between."""
    service = [ACK] * 9 + [7]
    assert why(replay([0] * 10, BASE, service=service, packet_ns=100)) == {
        "ring": 1_000,
        "service": 7,
    }
    outcome = replay([0] * 10, replace(BASE, weight=4), service=service, packet_ns=100, poll_ns=30)
    assert why(outcome) == {"ring": 3 * 30 + 1_000, "service": 7}


def test_the_stacks_batches() -> None:
    """gro_normal_batch: the first of eight is delivered with the last."""
    outcome = replay([0] * 10, BASE, service=[7] + [ACK] * 9, packet_ns=100, gro_batch=8)
    assert delivered(outcome) == [800] * 8 + [1_000] * 2
    assert why(outcome) == {"ring": 800, "wakeup": 200, "service": 7}


def test_a_cpu_that_polls_another_queue_first() -> None:
    topology = Topology(queue_cpu=(0, 0), queue_device=(0, 0))
    outcome = replay(
        [0] * 64 + [1_000],
        BASE,
        topology,
        service=[ACK] * 64 + [7],
        columns={"queue": [0] * 64 + [1]},
        packet_ns=100,
    )
    assert why(outcome) == {"cpu": 5_400, "ring": 100, "service": 7}


def test_a_cpu_that_serves_while_the_napi_thread_waits() -> None:
    policy = replace(BASE, threaded=True, napi_thread="pinned")
    outcome = replay([0, 10_000], policy, service=[50_000, 7])
    assert why(outcome) == {"cpu": 40_000, "service": 50_007}


def test_a_cpu_that_polls_while_a_request_is_served() -> None:
    outcome = replay([0, 500], BASE, service=[1_000, ACK], irq_ns=30, packet_ns=100)
    assert done(outcome)[0] == 130 + 1_000 + 130
    assert why(outcome) == {"cpu": 30 + 130, "ring": 100, "service": 1_000}


def test_what_a_busy_poll_finds_waited_for_polls_only() -> None:
    """The one that is under way as it comes (ring), the stop poll after its own (queueing)."""
    policy = replace(BASE, prefer_busy_poll=True, busy_poll_usecs=40, rx_usecs=1_000)
    costs = {"busy_poll_ns": 600, "packet_ns": 100, "duration": 2 * MILLISECOND}
    # from 1,000,100 on a poll each 600 ns: that from 1,001,900 takes it at 1,002,500
    outcome = replay([0, 1_002_000], policy, service=[0, 7], **costs)
    assert delivered(outcome)[1] == 1_002_600
    assert why(outcome) == {
        "coalescing": MILLISECOND,  # the first's
        "ring": 100 + 600,
        "queueing": 600,
        "service": 7,
    }


@pytest.mark.parametrize(("worker_cpu", "waits"), [(0, 1_500), (1, 1_500 + 2_000)])
def test_a_worker_asleep(worker_cpu: int, waits: int) -> None:
    topology = Topology(worker_cpu=(worker_cpu,), cpu_domain=(0, 0), cpu_tx_queue=(-1, -1))
    outcome = replay([0], BASE, topology, service=7, wake_ns=1_500, ipi_ns=2_000)
    assert why(outcome) == {"wakeup": waits, "service": 7}


def test_a_worker_whose_cpu_runs_another() -> None:
    """Woken at 10,000, it runs when the other's slice is over: that is wake-up."""
    topology = Topology(worker_cpu=(0, 0))
    outcome = replay(
        [0, 10_000],
        BASE,
        topology,
        service=[15_000, 7],
        columns={"worker": [0, 1]},
        slice_ns=3_000_000,
    )
    assert why(outcome) == {"wakeup": 5_000, "service": 15_007}


def test_requests_served_before() -> None:
    outcome = replay([0, 0, 400], BASE, service=[1_000, 1_000, 7], transmit_ns=50)
    assert why(outcome) == {"queueing": 1_050 + 2_100 - 400, "service": 2_007}


def test_service_includes_cold_caches_and_the_way_between_them() -> None:
    topology = Topology(worker_cpu=(1,), cpu_domain=(0, 1), cpu_tx_queue=(-1, -1))
    outcome = replay([0], BASE, topology, service=1_000, cold_ns=700, far_ns=80, handoff_ns=5)
    assert why(outcome) == {"service": 1_780}


def test_leaving_a_c_state_is_time_of_the_cpu() -> None:
    outcome = replay([5_000], BASE, service=7, cstates=((1_000, 900),))
    assert why(outcome) == {"cpu": 900, "service": 7}


def test_the_tail_is_made_of_the_longest() -> None:
    """Five requests of 100 ns; a sixth waits 30 us for the coalescing timer."""
    policy = replace(BASE, coalescing="gap", rx_usecs=30)
    outcome = replay([0, 100_000, 200_000, 300_000, 400_000, 400_500], policy, service=100)
    assert why(outcome) == {"coalescing": 29_500, "service": 600}
    causes = outcome.causes
    assert causes is not None
    tail = {cause: ns for cause, ns in causes.tail(bucket_of(29_600)).items() if ns}
    assert tail == {"coalescing": 29_500, "service": 100}
    assert causes.counts[0, 0] == 5  # five did not wait for it
    assert causes.counts[0, bucket_of(29_500)] == 1
