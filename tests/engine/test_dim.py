"""Net DIM: the jitted machine equals the reference; its surprises, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.engine import dim
from replay.engine.accelerate import jit
from replay.engine.dim import dim_profile, dim_sample
from tests.naive.adaptive import PROFILES, Dim

US, MS = 1_000, 1_000_000
Step = tuple[int, int, int, int]  # ns, interrupts, packets, bytes since the sample before


@jit
def feed(d: Any, samples: Any, chosen: Any, index: Any) -> None:
    for i in range(len(samples)):
        chosen[i] = dim_sample(d, samples[i, 0], samples[i, 1], samples[i, 2], samples[i, 3])
        index[i] = d.ix


@jit
def profiles(table: Any) -> None:
    for kind in range(5):
        for index in range(5):
            usecs, frames = dim_profile(kind, index)
            table[kind, index, 0] = usecs
            table[kind, index, 1] = frames


def run(steps: list[Step]) -> tuple[list[int], np.record, set[str]]:
    """Return what each sample chose (-1: nothing), DIM at the end, and the modes it went through.

    The reference agrees sample by sample.
    """
    samples = np.cumsum(np.array([(0, 0, 0, 0), *steps], np.int64), axis=0)
    d = np.zeros(1, dim.DIM).view(np.recarray)[0]
    chosen, index = np.empty((2, len(samples)), np.int64)
    feed(d, samples, chosen, index)
    reference, modes = Dim(), set()
    for i, sample in enumerate(samples.tolist()):
        expected = reference.sample(*sample)
        assert (chosen[i], index[i]) == (-1 if expected is None else expected, reference.ix), i
        modes.add(reference.mode)
    return chosen.tolist(), d, modes


def measured(us: int, packets: int = 1_000, size: int = 100) -> list[Step]:
    """One measurement of 64 interrupts, and the sample that starts another if this one decides."""
    return [(us * US, 64, packets, packets * size), (0, 0, 0, 0)]


def decisions(chosen: list[int]) -> list[int]:
    """Return what the samples chose that ended a measurement of `measured`."""
    return chosen[1::2]


steps = st.tuples(
    st.sampled_from([0, 999, 1_000, 500 * US, MS, 1_100 * US, 2 * MS, 1 << 42, 1 << 43]),
    st.sampled_from([0, 1, 32, 63, 64, 65, 65_535, 65_536, 65_600]),
    st.sampled_from([0, 1, 64, 72, 1_000, 1_110, 1_120, (1 << 32) + 5]),
    st.sampled_from([0, 60, 100_000, 110_000, 110_999, 111_000, 1 << 31]),
)


@given(st.lists(steps, max_size=80))
def test_equals_the_reference(steps: list[Step]) -> None:
    run(steps)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_reference_through_all_modes(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = []
    for factor in random.choice([90, 95, 100, 105, 112, 150], 3_000):
        rows += measured(10 * int(factor), int(random.choice([900, 1_000])))
    assert run(rows)[2] == {"parked on top", "parked tired", "left", "right"}


def test_profiles_are_those_of_the_reference() -> None:
    table = np.empty((5, 5, 2), np.int64)
    profiles(table)
    assert table.tolist() == [[list(row) for row in rows] for rows in PROFILES.values()]
    assert table[dim.RX_CQE, dim.START_INDEX].tolist() == [8, 128]
    assert table[dim.TX_EQE, 4].tolist() == [128, 128]


def test_fewer_interrupts_at_each_step_walk_right_and_park_in_five_decisions() -> None:
    # us for 64 interrupts: constant packets and bytes a millisecond, ever fewer interrupts
    rows = [row for i in range(5) for row in measured(1_000 << i, 1_000 << i)]
    chosen, d, _ = run(rows)
    assert decisions(chosen) == [1, 2, 3, 4, -1]
    assert (d.ix, d.tune, d.tired) == (4, dim.PARKED_ON_TOP, 0)


def test_the_logical_index_starts_at_0_although_hardware_runs_1() -> None:
    # The first decision programs what already runs; so the second finds no difference and turns.
    chosen, d, _ = run(measured(1_000) + measured(1_000))
    assert decisions(chosen) == [1, 0]
    assert (d.ix, d.tune) == (0, dim.LEFT)


def test_no_traffic_decides_nothing() -> None:
    chosen, d, _ = run(3 * measured(1_000, packets=0))
    assert set(chosen) == {-1}
    assert (d.ix, d.tune) == (0, dim.PARKED_ON_TOP)


@pytest.mark.parametrize(("events", "index"), [(63, -1), (64, 1), (65, 1)])
def test_64_interrupts_decide(events: int, index: int) -> None:
    assert run([(MS, events, 100, 10_000)])[0] == [-1, index]


def test_no_interrupts_freeze_the_profile() -> None:
    steps = [*measured(1_000), *[(MS, 0, 10_000 * i, 500_000 * i) for i in range(100)]]
    chosen, d, _ = run(steps)
    assert decisions(chosen[:3]) == [1]
    assert set(chosen[2:]) == {-1}
    assert (d.ix, d.state) == (1, dim.MEASURING)


def test_the_count_of_interrupts_wraps_at_16_bits() -> None:
    assert run([(MS, 65_536 + 63, 100, 10_000)])[0] == [-1, -1]
    assert run([(MS, 65_536 + 64, 100, 10_000)])[0] == [-1, 1]
    # the counter itself passes 2^16 between the two samples
    assert run([(MS, 65_500, 0, 0), (MS, 64, 100, 10_000)])[0] == [-1, -1, 1]


def test_less_than_a_microsecond_measures_on() -> None:
    assert run([(999, 64, 100, 10_000), (1, 0, 0, 0)])[0] == [-1, -1, 1]


def second(first: Step, then: Step) -> int:
    """Return what a second measurement chooses: 2 where it is better, otherwise 0."""
    return decisions(run([first, (0, 0, 0, 0), then, (0, 0, 0, 0)])[0])[1]


@pytest.mark.parametrize(
    ("first", "then", "index"),
    [
        ((MS, 64, 1_000, 100_000), (MS, 64, 1_000, 110_999), 0),  # 10 whole percent
        ((MS, 64, 1_000, 100_000), (MS, 64, 1_000, 111_000), 2),  # 11
        ((MS, 64, 1_000, 100_000), (MS, 64, 500, 111_000), 2),  # bytes come before packets
        ((MS, 64, 1_000, 100_000), (MS, 64, 1_109, 100_000), 0),
        ((MS, 64, 1_000, 100_000), (MS, 64, 1_110, 100_000), 2),
        ((MS, 64, 1_000, 100_000), (MS, 64, 890, 100_000), 0),
        ((MS, 64, 0, 100_000), (MS, 64, 1, 100_000), 2),
        ((MS, 64, 0, 100_000), (2 * MS, 64, 0, 200_000), 0),  # interrupts are not looked at
        ((MS, 64, 1_000, 100_000), (2 * MS, 64, 2_000, 200_000), 2),  # half the interrupts
        ((2 * MS, 64, 2_000, 200_000), (MS, 64, 1_000, 100_000), 0),
        ((MS, 128, 1_000, 100_000), (MS, 64, 1_000, 100_000), 0),  # counted as 64 all the same
        ((MS, 64, 1_000, 100_000), (MS, 64, (1 << 32) + 1_000, 100_000), 0),  # 32-bit counters
        ((MS, 64, 1_000, 100_000), (MS, 64, 1_000, (1 << 32) + 100_000), 0),
    ],
)
def test_what_is_better(first: Step, then: Step, index: int) -> None:
    assert second(first, then) == index


def test_ten_steps_without_rest_tire() -> None:
    # Better once, then ever worse: every decision turns
    rows = []
    for size in [512, 1_024, *[1_024 >> i for i in range(1, 10)]]:
        rows += measured(1_000, 1_000, size)
    chosen, d, _ = run(rows)
    assert decisions(chosen) == [1, 2, 1, 2, 1, 2, 1, 2, 1, 2, -1]
    assert (d.tune, d.tired) == (dim.PARKED_TIRED, 10)
    # It rests for ten decisions: the tenth leaves, to the left
    chosen, d, _ = run(rows + 10 * measured(1_000))
    assert decisions(chosen)[11:] == [-1] * 9 + [1]
    assert (d.tune, d.tired) == (dim.LEFT, 1)
