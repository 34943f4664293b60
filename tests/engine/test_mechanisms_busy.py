"""Busy polling and suspension: what polls, what stalls, what is forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay.engine.topology import Topology
from replay.policy import Policy
from replay.units import MILLISECOND
from tests.engine.general.cases import ACK, BASE, DEFER, SUSPEND, delivered, done, replay, started


def test_epoll_wait_0_never_busy_polls() -> None:
    """ep_poll returns before napi_busy_loop: only the suspension's timer polls, 1 ms later.

    Its spinning calls take 1 us each; that from 1,000 finds the request at 2,000 and suspends.
    """
    spinning = replace(SUSPEND, epoll_timeout_ns=0)
    costs = {"epoll_ns": 1_000, "duration": 2 * MILLISECOND}
    outcome = replay([1_500, 5_500], spinning, **costs)
    assert delivered(outcome) == [1_500, 2_000 + MILLISECOND]
    assert (outcome.busy_polls, outcome.resumes, outcome.timers) == (0, 0, 1)
    # a timeout of 1 ms polls on, and finds it at the first 20 us timer instead
    waiting = replay([1_500, 5_500], replace(SUSPEND, epoll_timeout_ns=MILLISECOND), **costs)
    assert waiting.resumes > 0
    assert delivered(waiting)[1] == 1_500 + 1_000 + 20_000


def test_spinning_takes_all_of_the_cpu_and_no_polls() -> None:
    outcome = replay([5_500], replace(BASE, epoll_timeout_ns=0), service=300, epoll_ns=1_000)
    assert (outcome.polls, outcome.epoll_returns) == (1, 1)
    assert (outcome.cpu.idle, outcome.cpu.app) == (0, 300)
    assert started(outcome) == [6_000]


def test_a_free_busy_poll_that_its_budget_ended_is_followed_by_another_at_once() -> None:
    """napi_busy_loop goes on until there are events: no packet waits for the next one to arrive."""
    policy = replace(BASE, busy_poll_usecs=40, busy_poll_budget=2)
    outcome = replay([0, *[10_000] * 5], policy, service=[0, ACK, ACK, ACK, ACK, 0])
    assert delivered(outcome) == [0, *[10_000] * 5]


def test_one_epoll_of_two_queues_forgets_the_first() -> None:
    """It has one napi_id, the last marked: the other queue sits out its suspension.

    Queue 0 is suspended at 0 for 1 ms. Queue 1's packet interrupts at 10,000 and marks the epoll
    instance; what comes to queue 0 at 50,000 is not seen by the busy polls that follow.
    """
    topology = Topology(queue_cpu=(0, 0), queue_device=(0, 0))
    arrivals, service = [0, 10_000, 50_000], [100_000, 100_000, 0]
    columns = {"queue": [0, 1, 0]}
    costs = {"service": service, "columns": columns, "duration": 2 * MILLISECOND}
    outcome = replay(arrivals, SUSPEND, topology, **costs)
    assert delivered(outcome) == [0, 10_000, MILLISECOND]
    # one epoll instance a queue
    split = Topology(queue_cpu=(0, 0), queue_device=(0, 0), worker_cpu=(0, 0))
    costs["columns"] = {**columns, "worker": [0, 1, 0]}
    assert delivered(replay(arrivals, SUSPEND, split, **costs))[2] < 250_000


def test_what_the_resume_poll_finds_is_returned_without_suspension() -> None:
    """napi_resume_irqs delivers, epoll_wait has forgotten the NAPI: deferral goes on.

    Polled 0 to 1,000 by softirq; busy 1,000 to 1,100, stop to 1,200, resume to 2,200.
    """
    costs = {"poll_ns": 1_000, "busy_poll_ns": 100}
    outcome = replay([0, 1_500], SUSPEND, duration=20_000, **costs)
    assert delivered(outcome) == [1_000, 2_200]
    assert (outcome.epoll_returns, outcome.resumes, outcome.busy_polls) == (2, 1, 2)
    # so the third comes with the 20 us timer of the resume poll's completion
    assert delivered(replay([0, 1_500, 5_000], SUSPEND, **costs))[2] == 22_200 + 1_000
    # one that the stop poll finds is returned with suspension, and asked for again
    outcome = replay([0, 1_150], SUSPEND, duration=20_000, **costs)
    assert delivered(outcome) == [1_000, 1_200]
    assert (outcome.epoll_returns, outcome.resumes, outcome.busy_polls) == (2, 1, 4)


def test_suspension_lasts_while_the_application_works_and_no_longer() -> None:
    policy = replace(SUSPEND, irq_suspend_timeout_ns=100_000)
    # found by the busy poll after the request
    outcome = replay([0, 10_000], policy, service=[60_000, 0])
    assert delivered(outcome) == [0, 60_000]
    # overrun: one timer, whose softirq starts the deferral again
    outcome = replay([0, 10_000, 105_000], policy, service=[180_000, 0, 0])
    assert delivered(outcome) == [0, 100_000, 120_000]


def test_a_busy_loop_ends_with_an_event_and_the_stop_poll_takes_more() -> None:
    """Events of any packet end the loop; the budget bounds each of its polls."""
    policy = Policy("busy", prefer_busy_poll=True, busy_poll_budget=3, rx_usecs=100)
    outcome = replay([0] + [100_500] * 5, policy, service=[1_000, 0, 0, 0, 0, 0])
    assert delivered(outcome) == [100_000, *[101_000] * 5]
    assert outcome.poll_sizes.tolist()[:4] == [2, 1, 1, 1]  # 1; 3 and 2; two empty


@pytest.mark.parametrize(
    ("latency", "arrival", "softirqs"),
    [
        (0, 2_900, 1),  # within the poll from 2,500 to 3,000
        (300, 2_900, 1),  # at 3,200, within that from 2,800 to 3,300
        (300, 3_100, 2),  # at 3,400, when the stop poll runs
    ],
)
def test_an_interrupt_within_a_busy_loop_only_marks_the_napi(
    latency: int, arrival: int, softirqs: int
) -> None:
    """napi_schedule_prep sets MISSED; busy_poll_stop forgets it, but not what comes after."""
    policy = Policy("busy", prefer_busy_poll=True, busy_poll_usecs=1_000)
    outcome = replay([0, arrival], policy, busy_poll_ns=500, irq_latency_ns=latency)
    assert outcome.irqs == 2
    assert outcome.polls == outcome.busy_polls + softirqs


# --- SO_BUSY_POLL -------------------------------------------------------------------------------


@pytest.mark.parametrize("requests", [1, 2, 5])
def test_a_socket_that_busy_polls_does_so_twice_after_each_request(requests: int) -> None:
    """The read that finds it empty: one busy poll, and the stop poll."""
    policy = Policy("busyread", busy_read_usecs=50)
    outcome = replay([0] * requests, policy, service=1_000, packet_ns=1)
    assert (outcome.busy_polls, outcome.polls) == (2 * requests, 1 + 2 * requests)
    assert outcome.epoll_returns == 1


def test_a_read_fetches_what_the_device_has_not_signalled() -> None:
    policy = Policy("busyread", rx_usecs=100)
    arrivals, service = [0, 100_500], [1_000, 0]
    assert delivered(replay(arrivals, policy, service=service)) == [100_000, 200_500]
    read = replace(policy, busy_read_usecs=50)
    outcome = replay(arrivals, read, service=service)
    assert delivered(outcome) == [100_000, 101_000]
    assert done(outcome) == [101_000, 101_000]


def test_a_read_polls_the_queue_its_packet_came_from() -> None:
    policy = replace(DEFER, busy_read_usecs=50)
    topology = Topology(queue_cpu=(0, 0), queue_device=(0, 0))
    for queue, time in ((0, 1_000), (1, 20_000)):
        # of queue 1, masked since 100, the timer is the next to poll
        outcome = replay(
            [0, 0, 500],
            policy,
            topology,
            service=[1_000, ACK, ACK],
            columns={"queue": [0, 1, queue]},
        )
        assert delivered(outcome) == [0, 0, time]
