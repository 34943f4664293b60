"""The application: batches of events, caches, sleep and C-states, other work, closed arrivals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from replay.engine import Workload, replay_island
from replay.engine.topology import SINGLE, Topology
from replay.host.model import ZERO_COST
from replay.policy import Policy
from replay.units import MILLISECOND
from tests.engine.general.cases import (
    ACK,
    BASE,
    SUSPEND,
    check,
    delivered,
    done,
    replay,
    started,
    took,
)


@pytest.mark.parametrize(
    ("most", "returns", "times"),
    [
        (0, 1, [500, 1_500, 2_500, 3_500, 4_500]),
        (5, 1, [500, 1_500, 2_500, 3_500, 4_500]),
        (2, 3, [200, 1_200, 2_400, 3_400, 4_500]),
        (1, 5, [100, 1_200, 2_300, 3_400, 4_500]),
    ],
)
def test_epoll_wait_returns_maxevents_at_most(most: int, returns: int, times: list[int]) -> None:
    """ep_send_events: 100 ns an event, before the first of them is served."""
    policy = replace(BASE, max_events=most)
    outcome = replay([0] * 5, policy, service=1_000, event_ns=100)
    assert started(outcome) == times
    assert outcome.epoll_returns == returns


@pytest.mark.parametrize(
    ("batch", "times"), [(1, [100, 1_100]), (8, [800, 1_800]), (64, [1_200, 2_200])]
)
def test_gro_wakes_the_application_in_batches(batch: int, times: list[int]) -> None:
    """gro_normal_one: every eight segments and at the end of the poll, not at each packet."""
    topology = Topology(worker_cpu=(1,), cpu_domain=(0, 0), cpu_tx_queue=(-1, -1))
    service = [1_000, 1_000] + [ACK] * 10
    outcome = replay([0] * 12, BASE, topology, service=service, packet_ns=100, gro_batch=batch)
    assert started(outcome)[:2] == times


def test_events_left_by_maxevents_need_no_poll() -> None:
    """Ready events are returned before napi_busy_loop: the loop runs once they are gone."""
    policy = Policy("busy", prefer_busy_poll=True)
    for most, returns in ((0, 1), (2, 2)):
        outcome = replay([0] * 4, replace(policy, max_events=most), service=1_000)
        assert (outcome.epoll_returns, outcome.busy_polls) == (returns, 2)


def test_each_return_of_events_suspends_anew() -> None:
    """The second batch is returned at 600,000: what came in between waits 1 ms from there."""
    for most, since in ((0, 0), (1, 600_000)):
        outcome = replay(
            [0, 0, 50_000],
            replace(SUSPEND, max_events=most),
            service=[600_000, 3 * MILLISECOND, 0],
            duration=4 * MILLISECOND,
        )
        assert delivered(outcome)[2] == since + MILLISECOND


def test_a_timeout_wakes_the_application_for_nothing() -> None:
    """Each millisecond epoll_wait returns no event, and takes its time."""
    policy = replace(BASE, epoll_timeout_ns=MILLISECOND)
    costs = {"epoll_ns": 500, "wake_ns": 2_000, "duration": 10 * MILLISECOND}
    outcome = replay([], policy, **costs)
    assert outcome.epoll_returns == 0
    # asleep since 0; woken at 1 ms, and then again 1 ms after each call: 2 us to return, 0.5 us
    # for the call that looks whether there is an event
    assert outcome.cpu.kernel == 9 * (2_000 + 500)
    assert replay([], BASE, **costs).cpu.kernel == 0


# --- caches, C-states ---------------------------------------------------------------------------


def test_caches_are_cold_for_the_first_request_after_a_sleep() -> None:
    outcome = replay([0, 500, 10_000], BASE, service=1_000, cold_ns=700)
    assert took(outcome) == [1_700, 1_000, 1_700]
    assert done(outcome) == [1_700, 2_700, 11_700]
    assert outcome.cpu.app == 3_000 + 2 * 700
    busy = Policy("busy", busy_poll_usecs=1_000)  # sleeps before the first only
    assert took(replay([0, 500, 10_000], busy, service=1_000, cold_ns=700)) == [1_700, 1_000, 1_000]


def test_leaving_a_c_state_takes_as_long_as_the_idle_gap_was_deep() -> None:
    """The deepest whose target residency the gap reached."""
    arrivals = [10_000, 12_900, 13_500, 17_499, 22_299]
    outcome = replay(arrivals, BASE, cstates=((1_000, 100), (4_000, 900)))
    # idle for 10,000; 2,000; 500; 3,999; and 4,700
    assert delivered(outcome) == [10_900, 13_000, 13_500, 17_599, 23_199]
    assert outcome.cpu.idle == MILLISECOND


def test_a_c_state_is_left_for_timers_and_wake_ups_of_other_cpus_too() -> None:
    cstates = ((4_000, 900),)
    policy = replace(BASE, defer_hard_irqs=1, gro_flush_timeout_ns=5_000)
    outcome = replay([10_000, 12_000], policy, cstates=cstates)
    assert delivered(outcome) == [10_900, 15_900 + 900]
    topology = Topology(cpu_domain=(0, 0), worker_cpu=(1,), cpu_tx_queue=(-1, -1))
    outcome = replay([10_000, 12_000], BASE, topology, cstates=cstates, ipi_ns=300)
    assert delivered(outcome) == [10_900, 12_000]
    assert started(outcome) == [10_900 + 300 + 900] * 2  # the second was ready by then
    busy = Policy("busy", busy_poll_usecs=1_000)  # never idle after the first
    outcome = replay([10_000, 60_000], busy, cstates=cstates, busy_poll_ns=1)
    assert delivered(outcome)[1] <= 60_002


# --- other work ---------------------------------------------------------------------------------


def test_background_work_delays_the_application_not_the_softirq() -> None:
    """5 us of it each 20 us; the thread woken at 21,000 has its turn when it sleeps."""
    costs = {"background_ns": 5_000, "background_period_ns": 20_000}
    outcome = replay([21_000, 27_000], BASE, service=1_000, **costs)
    assert delivered(outcome) == [21_000, 27_000]
    assert started(outcome) == [25_000, 27_000]
    assert outcome.cpu.other == 49 * 5_000  # at 20, 40, ... 980 us
    # and after a slice
    outcome = replay([21_000], BASE, service=1_000, slice_ns=3_000, **costs)
    assert started(outcome) == [24_000]
    # It runs from 23,000 to 26,000 and, after the application's slice, from 29,000 to 31,000; at
    # 43,000 and 63,000 the same; from 83,000 to 86,000, when the request has 1,000 left.
    outcome = replay([19_000], BASE, service=50_000, slice_ns=3_000, **costs)
    assert done(outcome) == [87_000]


def test_background_work_runs_on_each_cpu() -> None:
    topology = Topology(cpu_domain=(0, 0, 1), cpu_tx_queue=(-1, -1, -1))
    outcome = replay([], BASE, topology, background_ns=100, background_period_ns=300_000)
    assert outcome.cpu.other == 3 * 3 * 100


def test_interrupts_preempt_what_is_served() -> None:
    """By the whole of their poll, timers too."""
    policy = replace(BASE, defer_hard_irqs=1, gro_flush_timeout_ns=20_000)
    costs = {"irq_ns": 100, "timer_ns": 50, "poll_ns": 30, "packet_ns": 7, "exit_ns": 3}
    outcome = replay([0, 10_000], policy, service=[30_000, ACK], **costs)
    # irq, poll and exit: 140; the timer 20 us after the poll (137) finds a packet: 90
    assert delivered(outcome) == [137, 20_137 + 87]
    assert done(outcome)[0] == 140 + 30_000 + 90


def test_a_thread_that_was_interrupted_finds_its_caches_used() -> None:
    """By a device or its NAPI's timer; an IPI or a timeout takes nothing from it."""
    outcome = replay([0, 10_000], BASE, service=[30_000, ACK], interrupted_ns=700)
    assert took(outcome)[0] == 30_700
    two = Topology(queue_cpu=(0,), worker_cpu=(1,), cpu_domain=(0, 0), cpu_tx_queue=(-1, -1))
    assert took(replay([0, 10_000], BASE, two, service=[30_000, ACK], interrupted_ns=700)) == [
        30_000,
        0,
    ]


def test_time_on_the_way_out_of_a_c_state_is_counted_apart() -> None:
    outcome = replay([10_000, 30_000], BASE, cstates=((0, 100), (15_000, 900)))
    assert outcome.leaving_idle_ns == 1_000
    assert outcome.cpu.idle == MILLISECOND


# --- arrivals that follow responses -------------------------------------------------------------


def test_closed_arrivals_cross_queues_and_workers() -> None:
    """A request's successor comes its think time after the response, whichever queue that was."""
    topology = Topology(
        queue_cpu=(0, 1),
        queue_device=(0, 1),
        worker_cpu=(0, 1),
        cpu_domain=(0, 0),
        cpu_tx_queue=(-1, -1),
    )
    columns = {
        "parent": [-1, 0, 0, 1, -1],
        "think_ns": [0, 5_000, 1_000, 200, 0],
        "queue": [0, 1, 0, 0, 1],
        "worker": [0, 1, 1, 0, 1],
    }
    outcome = replay(
        [1_000, 0, 0, 0, 3_000_000],
        [BASE, replace(BASE, rx_usecs=2)],
        topology,
        service=[100, 300, ACK, 400, 0],
        columns=columns,
        duration=2 * MILLISECOND,
    )
    times = outcome.times
    assert times is not None
    # the second follows at 1,100 + 5,000 on queue 1, which waits 2 us; the fourth its response
    assert times.arrival.tolist() == [1_000, 6_100, 2_100, 8_600, -1]
    assert times.delivered.tolist() == [1_000, 8_100, 2_100, 8_600, -1]
    assert times.done.tolist() == [1_100, 8_400, -1, 9_000, -1]
    assert (outcome.packets, outcome.requests) == (4, 3)


def test_what_follows_a_dropped_request_never_comes() -> None:
    columns = {"parent": [-1, -1, 0, 1], "think_ns": [0, 0, 10, 10]}
    outcome = replay([0] * 4, BASE, service=10, columns=columns, ring=1, packet_ns=5)
    times = outcome.times
    assert times is not None
    assert times.arrival.tolist() == [0, 0, 25, -1]
    assert (outcome.packets, outcome.dropped, outcome.served) == (3, 1, 2)


def test_a_scheduled_request_waits_for_its_time_and_for_the_answer() -> None:
    """A client of depth 1 that sends at given times: late where the answer is, otherwise not."""
    columns = {"parent": [-1, 0, 1], "think_ns": [0, 500, 500]}
    workload = Workload(
        np.array([1_000, 2_000, 30_000]),
        np.array([5_000, 100, 100]),
        MILLISECOND,
        *(np.array(columns[name]) for name in ("parent", "think_ns")),
        scheduled=True,
    )
    times = check(workload, BASE, replace(ZERO_COST, ring=16), SINGLE).times
    assert times is not None
    assert times.arrival.tolist() == [1_000, 6_500, 30_000]
    common = replay_island(workload, BASE, replace(ZERO_COST, ring=16), times=True).times
    assert common is not None
    assert common.arrival.tolist() == [1_000, 6_500, 30_000]
