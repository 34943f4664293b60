"""When the device interrupts: three models of coalescing, transmissions, adaptive moderation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay.engine.topology import Topology
from replay.policy import Policy
from replay.policy.model import Coalescing
from replay.units import MILLISECOND
from tests.engine.general.cases import ACK, BASE, DEFER, delivered, replay, took

US = 1_000


@pytest.mark.parametrize(
    ("coalescing", "times", "irqs"),
    [
        ("timer", [11_000, 11_000, 21_001, 50_000], 3),  # from the first packet
        ("cqe", [21_001, 21_001, 21_001, 50_000], 2),  # from the last: 11,001 restarts it
        ("gap", [1_000, 11_000, 21_000, 40_000], 4),  # from the previous interrupt
    ],
)
def test_three_models_on_the_same_arrivals(
    coalescing: Coalescing, times: list[int], irqs: int
) -> None:
    policy = replace(BASE, coalescing=coalescing, rx_usecs=10)
    outcome = replay([1_000, 3_000, 11_001, 40_000], policy)
    assert delivered(outcome) == times
    assert outcome.irqs == irqs


def test_a_debounce_never_fires_while_packets_keep_coming() -> None:
    """Only the frame count bounds what mlx5's CQE mode adds."""
    arrivals = [n * 9 * US for n in range(100)]
    policy = Policy("cqe", coalescing="cqe", rx_usecs=10)
    assert delivered(replay(arrivals, policy)) == [99 * 9 * US + 10 * US] * 100
    bounded = delivered(replay(arrivals, replace(policy, rx_frames=32)))
    assert bounded == [31 * 9 * US] * 32 + [63 * 9 * US] * 32 + [95 * 9 * US] * 32 + [901 * US] * 4
    timer = delivered(replay(arrivals, replace(policy, coalescing="timer")))
    assert timer == [(n // 2 * 2) * 9 * US + 10 * US for n in range(100)]


def test_a_gap_takes_no_notice_of_frames() -> None:
    policy = Policy("gap", coalescing="gap", rx_usecs=10, rx_frames=2)
    assert delivered(replay([0, 1_000, 2_000, 3_000], policy)) == [0, 10_000, 10_000, 10_000]


@pytest.mark.parametrize(
    ("coalescing", "first"), [("timer", 11_000), ("cqe", 11_000), ("gap", 1_000)]
)
def test_coalescing_has_no_part_in_what_the_timer_polls(coalescing: Coalescing, first: int) -> None:
    policy = replace(DEFER, coalescing=coalescing, rx_usecs=10, rx_frames=2)
    outcome = replay([1_000, first + 14_000, first + 18_000], policy)
    assert delivered(outcome) == [first, first + 20_000, first + 20_000]
    assert outcome.irqs == 1


# --- transmissions share the vector -------------------------------------------------------------


@pytest.mark.parametrize(
    ("usecs", "irqs", "no_work"),
    [
        (0, 20, 10),  # each completion interrupts, and its poll finds no received packet
        (97, 20, 10),  # 2 us after the response, 97 us after that
        (99, 11, 1),  # the next request's poll cleans up; only the last has none after it
        (1_000, 10, 0),  # not within the millisecond
    ],
)
def test_raising_tx_usecs_saves_the_interrupts_without_work(
    usecs: int, irqs: int, no_work: int
) -> None:
    outcome = replay(
        [n * 100 * US for n in range(10)],
        replace(BASE, tx_usecs=usecs),
        tx_completions=True,
        tx_delay_ns=2_000,
        duration=1_020 * US,
    )
    assert (outcome.irqs, outcome.irqs_no_work, outcome.polls) == (irqs, no_work, irqs)
    assert outcome.polls_empty == no_work


@pytest.mark.parametrize(
    ("usecs", "frames", "interrupts"),
    [
        (0, 0, [1_600, 1_700, 1_800]),
        (50, 2, [1_700, 51_800]),  # two, and 50 us later the third
        (50, 3, [1_800]),
        (50, 0, [51_600]),  # 50 us after the first
        (0, 2, [1_700]),  # frames alone leave the third where it is
    ],
)
def test_completions_interrupt_by_time_and_frames(
    usecs: int, frames: int, interrupts: list[int]
) -> None:
    """Three requests are done at 1,100, 1,200 and 1,300; each completion comes 500 ns later."""
    policy = replace(BASE, tx_usecs=usecs, tx_frames=frames)
    for n, time in enumerate(interrupts):
        for duration, seen in ((time, n), (time + 1, n + 1)):
            outcome = replay(
                [1_000] * 3,
                policy,
                service=100,
                duration=duration,
                tx_completions=True,
                tx_delay_ns=500,
            )
            assert (outcome.irqs, outcome.irqs_no_work) == (1 + seen, seen)


def test_cleaning_up_takes_time_and_is_no_work() -> None:
    """Drivers pass received packets only to napi_complete_done: deferral ends the same."""
    costs = {"tx_completions": True, "tx_delay_ns": 500, "tx_ns": 300}
    outcome = replay([1_000] * 3, replace(BASE, tx_frames=3), **costs)
    assert outcome.cpu.softirq == 3 * 300
    once = replace(DEFER, defer_hard_irqs=1)
    outcome = replay([1_000], once, **costs)
    # the first timer poll cleans up and finds nothing: the interrupt is armed, nothing follows
    assert (outcome.irqs, outcome.timers, outcome.polls_empty) == (1, 1, 1)
    assert outcome.cpu.softirq == 300


@pytest.mark.parametrize(("tx_queue", "irqs"), [(-1, 2), (0, 2), (1, 1)])
def test_transmissions_complete_on_the_queue_of_the_core_that_transmits(
    tx_queue: int, irqs: int
) -> None:
    """XPS: queue 1's NIC reports five completions at once, queue 0's each."""
    topology = Topology(
        queue_cpu=(0, 0), queue_device=(0, 1), cpu_domain=(0,), cpu_tx_queue=(tx_queue,)
    )
    policies = [BASE, replace(BASE, tx_frames=5)]
    outcome = replay([1_000], policies, topology, tx_completions=True)
    assert (outcome.irqs, outcome.irqs_no_work) == (irqs, irqs - 1)


def test_beside_cqe_mode_transmissions_wait_since_their_last_event() -> None:
    """START_FROM_EQE: not since the first completion, as a timer does."""
    arrivals = [0, 40_000, 70_000]
    for coalescing, irqs in (("timer", [15_000, 55_000, 85_000]), ("cqe", [0, 40_000, 70_000])):
        policy = Policy("it", coalescing=coalescing, rx_usecs=60, rx_frames=1, tx_usecs=15)
        costs = {"tx_completions": True, "duration": 100 * US}
        outcome = replay(arrivals, policy, **costs)
        assert outcome.irqs == 6
        for time in irqs:
            earlier = replay(arrivals, policy, **{**costs, "duration": time + 1})
            before = replay(arrivals, policy, **{**costs, "duration": max(1, time)})
            assert earlier.irqs > before.irqs or time == 0
    dense = Policy("it", coalescing="cqe", rx_usecs=60, rx_frames=1, tx_usecs=15)
    outcome = replay([0, 4_000, 8_000], dense, tx_completions=True, duration=100 * US)
    assert outcome.irqs == 5  # three requests, completions at 0 and, both others, at 15,000


# --- adaptive moderation ------------------------------------------------------------------------

DIM = Policy("dim", coalescing="timer", adaptive="dim")


def test_dim_counts_its_index_from_0_while_the_hardware_runs_1() -> None:
    """net_dim: 64 interrupts a sample; the first decision moves to the profile that runs."""
    arrivals = [n * 100 * US for n in range(261)]
    times = delivered(replay(arrivals, DIM, duration=27 * MILLISECOND))
    delays = [time - arrival for time, arrival in zip(times, arrivals, strict=True)]
    assert delays[:65] == [8_000] * 65  # profile 1, decided after a first sample and 64 more
    assert delays[65:130] == [8_000] * 65  # from 0 to 1: nothing changes
    assert delays[130:195] == [1_000] * 65  # no better, so back, to 0
    assert delays[195:260] == [8_000] * 65
    assert delays[260:] == [1_000]


@pytest.mark.parametrize(
    ("policy", "delay"),
    [
        (DIM, 1_000),  # 300 interrupts: 4 decisions, to 1, 0, 1, 0
        (replace(DIM, defer_hard_irqs=2, gro_flush_timeout_ns=20_000), 8_000),  # 1 interrupt
    ],
)
def test_dim_starves_under_deferral(policy: Policy, delay: int) -> None:
    last = 300 * 15 * US + MILLISECOND
    arrivals = [*(n * 15 * US for n in range(300)), last]
    outcome = replay(arrivals, policy, duration=2 * last)
    assert delivered(outcome)[300] == last + delay
    assert outcome.irqs == (301 if delay == 1_000 else 2)


def test_dim_begins_with_the_second_profile_of_its_table() -> None:
    """CQE mode begins with 8 us, 128 frames; EQE with 8 us, 256; a gap with 8 us."""
    assert delivered(replay([0] * 128, replace(DIM, coalescing="cqe"))) == [0] * 128
    assert delivered(replay([0] * 127, replace(DIM, coalescing="cqe"))) == [8_000] * 127
    assert delivered(replay([0] * 255, DIM)) == [8_000] * 255
    assert delivered(replay([0] * 256, DIM)) == [0] * 256
    assert delivered(replay([0, 1], replace(DIM, coalescing="gap"))) == [0, 8_000]


@pytest.mark.parametrize(
    ("size", "gap"),
    [(60, 4_000), (3_000, 32_000)],  # (4096 or 32256) / 2 / 1024 ns, up, times 2 us
)
def test_intels_dynamic_itr(size: int, gap: int) -> None:
    """i40e_update_itr, at each interrupt armed: 2 us at first, then 3 samples ignored.

    Of each two packets the first interrupts at once, the second after the gap. The fifth sample
    (the third pair's first packet) is measured: one packet since, so its size decides. After more
    than a jiffy of silence it is 2 us again.
    """
    pairs = [0, 100_000, 200_000, 300_000, 3 * MILLISECOND]
    arrivals = [time for start in pairs for time in (start, start + 500)]
    outcome = replay(
        arrivals,
        Policy("itr", coalescing="gap", adaptive="itr"),
        service=ACK,
        columns={"size": [size] * 10},
        jiffy_ns=MILLISECOND,
        duration=4 * MILLISECOND,
    )
    times = delivered(outcome)
    assert times[::2] == pairs
    gaps = [time - start for time, start in zip(times[1::2], pairs, strict=True)]
    assert gaps == [2_000, 2_000, gap, gap, 2_000]
    assert outcome.irqs == 10


# --- the driver's own interrupt -----------------------------------------------------------------


@pytest.mark.parametrize(("extra", "irqs", "polls"), [(False, 2, 4), (True, 4, 6)])
def test_ice_and_i40e_interrupt_once_more_as_they_leave_deferral(
    extra: bool, irqs: int, polls: int
) -> None:
    """ice_enable_interrupt: one software interrupt, and its empty poll, an episode."""
    policy = replace(DEFER, defer_hard_irqs=1)
    outcome = replay([1_000, 100_000], policy, extra_irq=extra)
    assert (outcome.irqs, outcome.timers, outcome.polls) == (irqs, 2, polls)
    assert outcome.irqs_no_work == irqs - 2
    assert replay([1_000, 100_000], BASE, extra_irq=extra).irqs == 2  # never left: never deferred


def test_the_extra_interrupt_is_no_event_about_transmissions() -> None:
    """The one at 70 us says nothing of completions: that of 90 us waits since the event of 50."""
    policy = replace(DEFER, defer_hard_irqs=1, coalescing="cqe", rx_usecs=10, tx_usecs=30)
    costs = {"tx_completions": True, "tx_delay_ns": 40_000, "extra_irq": True}
    irqs = [replay([0, 45_000], policy, duration=at, **costs).irqs for at in (90_000, 90_001)]
    assert irqs == [4, 5]  # by reception at 10, by completion at 50, the driver's at 30 and 70


LOOKS = {"irq_latency_ns": 1_000, "irq_ns": 500, "poll_ns": 100, "packet_ns": 1_000}


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize(
    ("looks_again", "times", "irqs", "polls"),
    [
        # the first poll looks at 1,600; the second packet came while the stack had the first one,
        # the third at the very instant of the last look, the fourth 1 ns too late
        (True, [2_600, 3_700, 4_800, 7_401], 2, 4),
        # otherwise a poll looks behind each packet
        (False, [3_600, 3_600, 7_300, 7_300], 2, 2),
    ],
)
def test_veth_and_virtio_look_again_and_poll_on_without_an_interrupt(
    looks_again: bool, threaded: bool, times: list[int], irqs: int, polls: int
) -> None:
    """veth_poll, virtqueue_napi_complete: once NAPI is done and notifications are on again."""
    policy = replace(BASE, threaded=threaded)
    arrivals = [0, 2_000, 3_700, 4_801]
    outcome = replay(arrivals, policy, looks_again=looks_again, gro_batch=8, **LOOKS)
    assert (delivered(outcome), outcome.irqs, outcome.polls) == (times, irqs, polls)
    assert outcome.cpu.softirq == polls * 100 + 4 * 1_000
    assert outcome.polls_empty == 0


def test_who_defers_does_not_look_again() -> None:
    """napi_complete_done returns false: the driver leaves the queue to the timer."""
    outcome = replay([0, 2_000], DEFER, looks_again=True, gro_batch=8, **LOOKS)
    assert delivered(outcome) == [2_600, 2_600 + 20_000 + 100 + 1_000]
    assert (outcome.irqs, outcome.timers) == (1, 49)


def test_a_poll_goes_on_behind_a_full_batch_and_ends_with_another() -> None:
    """napi_gro_receive passes on a full batch within the poll: the driver's loop looks behind it.

    The fourth packet comes while the stack has the third, which napi_complete_done passed on.
    """
    arrivals = [0, 0, 3_000, 4_000]
    outcome = replay(arrivals, looks_again=True, gro_batch=2, **LOOKS)
    assert delivered(outcome) == [3_600, 3_600, 4_600, 5_700]
    assert (outcome.irqs, outcome.polls) == (1, 2)
    assert outcome.poll_sizes[[1, 3]].tolist() == [1, 1]


def test_dim_counts_each_completion_queues_events_and_the_bytes_that_were_sent() -> None:
    """Interrupts about transmissions are no events of reception; responses' bytes decide too."""
    arrivals = [n * 30 * US for n in range(600)]
    policy = Policy("dim", coalescing="cqe", adaptive="dim")
    costs = {"tx_completions": True, "tx_delay_ns": 12_000, "program_ns": 700, "service": 100}
    seen = set()
    for small in (100, 10_000):
        sizes = [small if n % 200 < 100 else 100 for n in range(600)]
        columns = {"answer_size": sizes, "size": [100] * 600}
        outcome = replay(arrivals, policy, columns=columns, duration=18 * MILLISECOND, **costs)
        assert outcome.cpu.other > 0
        assert outcome.cpu.other % 700 == 0
        seen.add((outcome.irqs, outcome.cpu.other))
    assert len(seen) == 2


def test_a_profile_is_programmed_by_a_kworker_of_that_cpu() -> None:
    """Where the application is woken meanwhile, it goes to another CPU of that cache."""
    arrivals = [n * 100 * US for n in range(200)]
    topology = Topology(queue_cpu=(0,), worker_cpu=(-1,), cpu_domain=(0, 0), cpu_tx_queue=(-1, -1))
    costs = {"service": 100, "handoff_ns": 50, "duration": 21 * MILLISECOND}
    still = replay(arrivals, DIM, topology, **costs)
    assert set(took(still)) == {100}
    moved = replay(arrivals, DIM, topology, program_ns=150_000, **costs)
    assert moved.cpu.other == 150_000 * 3  # net DIM moved at the 65th, 130th and 195th interrupt
    assert set(took(moved)) == {100, 150}
