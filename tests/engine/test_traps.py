"""What surprises in NAPI, a case each, with numbers worked out by hand; the reference agrees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from replay.engine import Outcome, Workload, replay_island
from replay.engine.island import is_common
from replay.host.model import ZERO_COST
from replay.policy import Policy, parse_policy
from replay.units import MILLISECOND
from tests.engine.test_island import assert_equal
from tests.naive import replay_naively

ACK = -1  # a packet that wakes nobody
BASE = Policy("base")
DEFER = Policy("defer", defer_hard_irqs=100, gro_flush_timeout_ns=20_000)


def replay(
    arrivals: list[int],
    policy: Policy,
    *,
    service: list[int] | None = None,
    duration: int = MILLISECOND,
    **costs: Any,
) -> Outcome:
    """Replay packets on a host whose steps are free, but for `costs`; requests take no time."""
    services = np.array(service or [0] * len(arrivals), np.int64)
    workload = Workload(np.array(arrivals, np.int64), services, duration)
    host = replace(ZERO_COST, **{"ring": 16_384, **costs})
    outcome = replay_island(workload, policy, host, times=True, causes=True)
    assert_equal(outcome, replay_naively(workload, policy, host))
    return outcome


def delivered(outcome: Outcome) -> list[int]:
    assert outcome.times is not None
    return outcome.times.delivered.tolist()


@pytest.mark.parametrize("empty", [1, 2, 5])
def test_the_interrupt_is_armed_again_by_the_nth_empty_timer_poll(empty: int) -> None:
    policy = replace(DEFER, defer_hard_irqs=empty)
    last = 1_000 + empty * 20_000
    outcome = replay([1_000], policy)
    assert (outcome.irqs, outcome.timers, outcome.polls_empty) == (1, empty, empty)
    assert delivered(replay([1_000, last - 1], policy)) == [1_000, last]  # the timer's
    assert delivered(replay([1_000, last + 1], policy)) == [1_000, last + 1]  # the interrupt's


def test_suspension_polls_99_times_after_an_epoll_wait_that_found_nothing() -> None:
    policy = parse_policy("suspend20")
    outcome = replay([1_000], policy, duration=3 * MILLISECOND)
    assert (outcome.irqs, outcome.resumes, outcome.timers) == (1, 1, 99)
    assert outcome.polls == 1 + 2 + 1 + 99  # interrupt, busy and stop, resume, timers
    last = 1_000 + 99 * 20_000
    assert delivered(replay([1_000, last - 1], policy, duration=last + 1))[1] == last
    assert delivered(replay([1_000, last + 1], policy, duration=last + 2))[1] == last + 1


def test_a_busy_loop_costs_two_polls_and_a_failed_one_with_suspension_three() -> None:
    busy = Policy("busy", prefer_busy_poll=True)
    outcome = replay([1_000], busy)
    assert (outcome.polls, outcome.busy_polls, outcome.polls_empty) == (3, 2, 2)
    outcome = replay([1_000], replace(busy, irq_suspend_timeout_ns=20 * MILLISECOND))
    assert (outcome.polls, outcome.busy_polls, outcome.resumes) == (4, 2, 1)


@pytest.mark.parametrize(("usecs", "arrival"), [(1, 0), (50, 0), (50, 1_023), (50, 1_024)])
def test_a_microsecond_of_busy_polling_is_1024_ns_of_a_coarse_clock(
    usecs: int, arrival: int
) -> None:
    outcome = replay([arrival], Policy("busy", busy_poll_usecs=usecs))
    assert outcome.cpu.kernel == (arrival // 1_024 + usecs + 1) * 1_024 - arrival


@pytest.mark.parametrize(
    "policy", [replace(DEFER, gro_flush_timeout_ns=0), replace(DEFER, defer_hard_irqs=0)]
)
def test_one_knob_of_two_defers_nothing(policy: Policy) -> None:
    outcome = replay([1_000, 2_000, 50_000], policy)
    assert (outcome.irqs, outcome.timers, outcome.polls) == (3, 0, 3)
    assert delivered(outcome) == [1_000, 2_000, 50_000]


def test_suspension_masks_nothing() -> None:
    """Without deferral it adds polls, and one stale timer 20 ms after the last events."""
    arrivals, suspend0 = [1_000, 50_000], parse_policy("suspend0")
    outcome = replay(arrivals, suspend0, duration=20_050_001)
    assert delivered(outcome) == delivered(replay(arrivals, BASE)) == arrivals
    assert (outcome.irqs, outcome.timers) == (2, 1)
    assert outcome.polls == 2 * (1 + 2 + 1) + 1
    assert replay(arrivals, suspend0, duration=20_050_000).timers == 0


def test_a_timer_that_expires_while_a_poller_owns_the_queue_polls_nothing() -> None:
    policy = Policy("busy", prefer_busy_poll=True, irq_suspend_timeout_ns=1_000)
    outcome = replay([0], policy, busy_poll_ns=5_000)
    assert (outcome.timers, outcome.polls) == (1, 4)  # interrupt, busy, stop, resume
    outcome = replay([0], policy, epoll_ns=5_000)  # it expires while nobody owns the queue
    assert (outcome.timers, outcome.polls) == (1, 5)


def test_the_short_timer_fires_between_the_stop_poll_and_the_suspension() -> None:
    policy = Policy(
        "suspend1",
        prefer_busy_poll=True,
        defer_hard_irqs=100,
        gro_flush_timeout_ns=1_000,
        irq_suspend_timeout_ns=MILLISECOND,
    )
    # 5,000 ns to return the first event: timers after 1, 2, 3, 4 us. The stop poll from 5,100 to
    # 5,200 takes the second packet, whose event is returned at 10,200: four timers again.
    outcome = replay([0, 5_150], policy, event_ns=5_000, busy_poll_ns=100, duration=10_300)
    assert delivered(outcome) == [0, 5_200]
    assert (outcome.irqs, outcome.timers, outcome.epoll_returns) == (1, 8, 2)
    assert outcome.polls == 1 + 4 + 2 + 4 + 1  # the last is a busy poll that ends at 10,300


def test_a_full_stop_poll_longer_than_the_timer_loses_the_queue() -> None:
    policy = Policy(
        "busy",
        prefer_busy_poll=True,
        busy_poll_budget=2,
        defer_hard_irqs=1,
        gro_flush_timeout_ns=1_000,
    )
    arrivals, service = [0, 615, 615, 10_000], [0, ACK, ACK, 0]
    costs = {"packet_ns": 600, "busy_poll_ns": 10}
    # the stop poll from 610 ends at 1,820; its timer expired at 1,610, and no interrupt is armed
    outcome = replay(arrivals, policy, service=service, **costs)
    assert (outcome.irqs, outcome.timers, outcome.left) == (1, 1, 1)
    assert delivered(outcome) == [600, 1_220, 1_820, -1]
    later = replace(policy, gro_flush_timeout_ns=2_000)
    assert delivered(replay(arrivals, later, service=service, **costs))[3] == 10_600


def test_napi_gives_way_only_to_a_busy_poller_that_found_it_at_work() -> None:
    policy = replace(DEFER, prefer_busy_poll=True, weight=1)
    acks = [ACK] * 5
    # The first packet wakes the thread, so ksoftirqd polls on; the thread finds the queue taken.
    outcome = replay([0] * 6, policy, service=[0, *acks], packet_ns=100)
    assert delivered(outcome)[:2] == [100, 201]  # the thread's one try takes 1 ns
    assert delivered(outcome)[2:] == [20_301, 20_401, 20_501, 20_601]  # left to the timer
    alone = replace(policy, prefer_busy_poll=False)
    outcome = replay([0] * 6, alone, service=[0, *acks], packet_ns=100)
    assert delivered(outcome) == [100, 200, 300, 400, 500, 600]
    # Nobody was at work when the thread polled: a later burst is polled to its end.
    unhurried = replace(policy, weight=2)
    outcome = replay([0] + [5_000] * 5, unhurried, service=[0, *acks], packet_ns=100)
    assert delivered(outcome) == [100, 20_200, 20_300, 20_400, 20_500, 20_600]


def test_a_softirq_takes_640_packets_then_ksoftirqd_waits_for_its_turn() -> None:
    arrivals = [0] + [10_000] * 1_000
    service = [MILLISECOND] + [ACK] * 1_000
    outcome = replay(
        arrivals, BASE, service=service, packet_ns=100, wake_ns=1, duration=2 * MILLISECOND
    )
    times = delivered(outcome)
    start = 100
    assert times[640] == 10_000 + 640 * 100
    # the request that was interrupted ends first, within its slice of 3 ms
    assert times[641] == start + 1 + MILLISECOND + 640 * 100 + 100
    assert times[1_000] == times[641] + 359 * 100


def test_a_fifo_napi_thread_leaves_the_application_its_reserve() -> None:
    outcome = replay(
        [0] * 10_000,
        replace(BASE, threaded=True, weight=10),
        service=[MILLISECOND] + [ACK] * 9_999,
        packet_ns=100,
        rt_period_ns=100_000,
        rt_runtime_ns=95_000,
        duration=400_000,
    )
    assert outcome.cpu.softirq == 4 * 95_000
    assert outcome.cpu.app == 4 * 5_000
    assert outcome.delivered == 4 * 950


def test_what_finds_the_ring_full_is_dropped() -> None:
    outcome = replay([0] * 10 + [5_000], BASE, ring=4, packet_ns=100)
    assert (outcome.packets, outcome.delivered, outcome.dropped) == (11, 5, 6)
    assert delivered(outcome) == [100, 200, 300, 400, *[-1] * 6, 5_100]


def test_coalescing_by_time_counts_from_the_first_packet() -> None:
    outcome = replay([1_000, 3_000, 11_001], replace(BASE, rx_usecs=10))
    assert delivered(outcome) == [11_000, 11_000, 21_001]
    assert (outcome.irqs, outcome.polls) == (2, 2)


def test_coalescing_by_frames_interrupts_at_the_nth() -> None:
    both = replace(BASE, rx_usecs=10, rx_frames=2)
    assert delivered(replay([1_000, 3_000, 4_000], both)) == [3_000, 3_000, 14_000]
    frames = replay([1_000, 3_000, 4_000, 5_000, 6_000], replace(BASE, rx_frames=3))
    assert delivered(frames) == [4_000, 4_000, 4_000, -1, -1]
    assert (frames.irqs, frames.left) == (1, 2)


def test_a_timer_that_expires_while_it_is_armed_needs_the_general_engine() -> None:
    """It would interrupt its own arming: the common loop takes a timer to be armed at once."""
    short = replace(DEFER, name="short", gro_flush_timeout_ns=500)
    host = replace(ZERO_COST, timer_start_ns=1_900, timer_ns=4, exit_ns=3, threaded=True, ring=64)
    assert not is_common(short, host)
    assert is_common(replace(short, gro_flush_timeout_ns=1_900), host)
    assert is_common(replace(short, gro_flush_timeout_ns=0), host)
    arrivals = np.cumsum(np.random.default_rng(4).integers(0, 3_000, 300))
    workload = Workload(arrivals, np.tile([ACK, 9, 1], 100), int(arrivals[-1]))
    outcome = replay_island(workload, short, host, times=True, causes=True)
    assert_equal(outcome, replay_naively(workload, short, host))
    assert outcome.timers > 300
