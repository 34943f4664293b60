"""Who polls and for how long: several NAPIs on a CPU, weights, budgets, ksoftirqd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from replay.engine import Outcome
from replay.engine.topology import Topology
from replay.units import MILLISECOND
from tests.engine.general.cases import ACK, BASE, delivered, replay


def on_one_cpu(queues: int, *, devices: tuple[int, ...] | None = None) -> Topology:
    return Topology(queue_cpu=(0,) * queues, queue_device=devices or (0,) * queues)


def of_queue(outcome: Outcome, queue: list[int], number: int) -> list[int]:
    return [time for time, q in zip(delivered(outcome), queue, strict=True) if q == number]


# --- several NAPIs on a CPU ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queues", "budget", "squeezes"),
    [
        (1, 300, 0),
        (4, 300, 0),  # 4 x 64 = 256 a pass
        (5, 300, 2),  # 320 in the second and third pass
        (5, 320, 2),  # over budget with the last queue: counted though nobody was cut short
        (5, 321, 0),
        (2, 64, 6),  # every full poll ends its pass
        (2, 65, 2),  # 64, then 128
    ],
)
def test_the_budget_is_not_reached_below_five_busy_napis(
    queues: int, budget: int, squeezes: int
) -> None:
    """net_rx_action: a NAPI is polled once a pass; time_squeeze counts passes cut short.

    192 packets in each queue: the first has its first pass alone, the others interrupt meanwhile.
    """
    queue = [number for number in range(queues) for _ in range(192)]
    outcome = replay(
        [0] * len(queue),
        replace(BASE, netdev_budget=budget),
        on_one_cpu(queues),
        service=ACK,
        columns={"queue": queue},
        packet_ns=100,
    )
    assert outcome.squeezes == squeezes
    assert (outcome.polls, outcome.polls_empty) == (4 * queues, queues)


@pytest.mark.parametrize(
    ("arrival", "usecs", "squeezes"),
    [
        (3_999_000, 5, 1),  # 5 us are a jiffy, and its edge is at 4 ms
        (1_000, 5, 0),
        (3_999_000, None, 0),  # two jiffies: until 8 ms
        (1_000, 0, 1),  # over before it began
    ],
)
def test_the_time_limit_of_a_softirq_counts_edges_of_jiffies(
    arrival: int, usecs: int | None, squeezes: int
) -> None:
    policy = replace(BASE, netdev_budget_usecs=usecs)
    outcome = replay([arrival], policy, service=ACK, packet_ns=2_000, duration=5 * MILLISECOND)
    assert outcome.squeezes == squeezes


def test_napis_take_turns_of_a_weight() -> None:
    queue = [0] * 128 + [1] * 128
    outcome = replay(
        [0] * 256, BASE, on_one_cpu(2), service=ACK, columns={"queue": queue}, packet_ns=100
    )
    times = [(n + 1) * 100 for n in range(256)]
    assert of_queue(outcome, queue, 0) == times[:64] + times[128:192]
    assert of_queue(outcome, queue, 1) == times[64:128] + times[192:]


def test_a_napi_scheduled_meanwhile_comes_before_those_polled_already() -> None:
    """net_rx_action: leftovers, then newly scheduled, then those to poll again."""
    queue = [0] * 128 + [1]
    outcome = replay(
        [0] * 128 + [3_000],
        BASE,
        on_one_cpu(2),
        service=ACK,
        columns={"queue": queue},
        packet_ns=100,
    )
    assert of_queue(outcome, queue, 1) == [6_500]
    assert of_queue(outcome, queue, 0)[63:65] == [6_400, 6_600]


@pytest.mark.parametrize(("low", "share"), [(64, 64), (32, 32), (16, 16), (1, 1)])
def test_under_saturation_packets_go_by_weight(low: int, share: int) -> None:
    """A card of weight 64 beside one of less: neither has a turn more often."""
    queue = [0, 1] * 1_000
    rounds = 10  # as many as a softirq has passes
    outcome = replay(
        [0] * 2_000,
        [BASE, replace(BASE, weight=low)],
        on_one_cpu(2, devices=(0, 1)),
        service=ACK,
        columns={"queue": queue},
        packet_ns=100,
        duration=rounds * (64 + share) * 100,
    )
    times = np.array(delivered(outcome))
    assert (times[::2] >= 0).sum() == rounds * 64
    assert (times[1::2] >= 0).sum() == rounds * share


@pytest.mark.parametrize(
    ("weight", "packets_an_interrupt"), [(9, None), (10, None), (11, 21), (12, 11), (64, 11)]
)
def test_a_weight_above_the_steady_load_bounces(
    weight: int, packets_an_interrupt: int | None
) -> None:
    """A packet a us; a poll takes 1 us and 900 ns each packet, so the k-th is taken at 1 + 0.9 k.

    That is before its arrival for k > 10: a poll of more than 10 finds the ring empty after 11
    packets, completes, and the next packet interrupts. One of 10 ends in time to find 10 more, for
    ever; one of 11 ends full, its second poll is short, and two polls take 21.
    """
    packets = 11 * 21
    outcome = replay(
        [n * 1_000 for n in range(packets)],
        replace(BASE, weight=weight),
        service=ACK,
        poll_ns=1_000,
        packet_ns=900,
    )
    assert outcome.irqs == (packets // packets_an_interrupt if packets_an_interrupt else 1)
    assert outcome.dropped == 0


# --- ksoftirqd ----------------------------------------------------------------------------------


def test_any_interrupt_drains_what_waits_for_ksoftirqd() -> None:
    """There is no guard: irq_exit runs pending softirqs, whoever was to run them."""
    # 640 of 1,000 are polled until 74,000; ksoftirqd has to wait for the request that takes 1 ms
    arrivals, queue = [0] + [10_000] * 1_000, [0] * 1_001
    costs = {"packet_ns": 100, "duration": 2 * MILLISECOND}
    service = [MILLISECOND] + [ACK] * 1_000
    alone = replay(
        arrivals, BASE, on_one_cpu(2), service=service, columns={"queue": queue}, **costs
    )
    assert delivered(alone)[640:642] == [74_000, 100 + MILLISECOND + 64_000 + 100]
    outcome = replay(
        [*arrivals, 100_000],
        BASE,
        on_one_cpu(2),
        service=[*service, ACK],
        columns={"queue": [*queue, 1]},
        **costs,
    )
    times = delivered(outcome)
    assert times[641:705] == [100_000 + n * 100 for n in range(1, 65)]
    assert times[-1] == 106_500  # the other queue's own packet has its turn
    assert times[705:1_001] == [106_500 + n * 100 for n in range(1, 297)]


def test_waking_the_application_hands_the_rest_to_ksoftirqd() -> None:
    """handle_softirqs stops where need_resched; the thread that was woken goes first."""
    costs = {"packet_ns": 100, "duration": MILLISECOND}
    outcome = replay([0] * 128, BASE, service=[50_000] + [ACK] * 127, **costs)
    assert delivered(outcome)[63:65] == [6_400, 6_400 + 50_000 + 100]
    outcome = replay([0] * 128, BASE, service=ACK, **costs)
    assert delivered(outcome)[63:65] == [6_400, 6_500]


@pytest.mark.parametrize(("start", "time"), [(3_990_000, 7_055_000), (4_000_000, 4_065_000)])
def test_two_milliseconds_end_at_the_edge_of_a_jiffy(start: int, time: int) -> None:
    """At HZ = 250 they are one jiffy: a softirq that begins 10 us before its edge has one pass.

    The rest waits from 4,054,000 on for the application's slice of 3 ms to end.
    """
    outcome = replay(
        [0] + [start] * 300,
        BASE,
        service=[10 * MILLISECOND] + [ACK] * 300,
        packet_ns=1_000,
        duration=8 * MILLISECOND,
    )
    assert delivered(outcome)[65] == time
