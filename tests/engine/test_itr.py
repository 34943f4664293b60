"""Intel's dynamic ITR: the jitted rules equal the reference; its surprises, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.engine.accelerate import jit
from replay.engine.itr import ITR, itr_sample
from tests.naive.adaptive import Itr

MS = 1_000_000
JIFFY = 4 * MS
Step = tuple[int, int, int]  # ns, packets, bytes since the sample before


@jit
def feed(d: Any, samples: Any, usecs: Any, jiffy_ns: int) -> None:
    for i in range(len(samples)):
        usecs[i] = itr_sample(d, samples[i, 0], samples[i, 1], samples[i, 2], jiffy_ns)


def run(steps: list[Step], jiffy_ns: int = JIFFY) -> tuple[list[int], np.record]:
    """Return the gap after each step, us, and the record at the end; the reference agrees."""
    samples = np.cumsum(np.array(steps, np.int64).reshape(-1, 3), axis=0)
    d = np.zeros(1, ITR).view(np.recarray)[0]
    usecs = np.empty(len(samples), np.int64)
    feed(d, samples, usecs, jiffy_ns)
    reference = Itr(jiffy_ns)
    for i, sample in enumerate(samples.tolist()):
        assert usecs[i] == reference.sample(*sample), i
    assert d.countdown == reference.ignore
    return usecs.tolist(), d


FIRST = [(0, 0, 0)] * 4  # aged; then three that are ignored


def after(*intervals: tuple[int, int]) -> list[int]:
    """Return the gaps that (packets, bytes) choose, each followed by three ignored samples."""
    rows = [*FIRST]
    for packets, size in intervals:
        rows += [(100, packets, size), (100, 9, 9), (100, 9, 9), (100, 9, 9)]
    return run(rows)[0][4::4]


steps = st.tuples(
    st.one_of(
        st.just(1_000),
        st.sampled_from([0, MS, JIFFY - 1, JIFFY, JIFFY + 1, 2 * JIFFY, 10 * JIFFY]),
    ),
    st.sampled_from([0, 1, 3, 4, 55, 56, 112, 113, 256, 257, 1_000]),
    st.sampled_from([0, 60, 180, 1_140, 5_000, 8_999, 9_000, 200_000, 1_500_000, 4_000_000]),
)


@given(st.lists(steps, max_size=80), st.sampled_from([MS, JIFFY, 10 * MS]))
def test_equals_the_reference(steps: list[Step], jiffy_ns: int) -> None:
    run(steps, jiffy_ns)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_reference_at_length_and_stays_in_range(seed: int) -> None:
    random = np.random.default_rng(seed)
    packets = random.choice([0, 2, 10, 30, 50, 80, 200, 300], 5_000, p=[0.02, *[0.14] * 7])
    sizes = random.integers(60, 9_000, 5_000)
    rows = np.stack([random.integers(0, MS, 5_000), packets, packets * sizes], axis=1)
    usecs, _ = run(rows.tolist())
    assert min(usecs) == 2
    assert max(usecs) <= 126
    assert all(value % 2 == 0 for value in usecs)


def test_the_first_sample_chooses_2_us_and_three_more_are_ignored() -> None:
    usecs, d = run([(0, 1_000, 64_000)] * 5)
    assert usecs == [2, 2, 2, 2, 10]  # 64 bytes: (40 * 64 + 1696) / 1024 = 4.2: 5 steps
    assert d.countdown == 3


@pytest.mark.parametrize(
    ("packets", "size", "usecs"),
    [
        (1, 60, 4),  # 4096 / 2 / 1024 = 2 steps
        (3, 3 * 380, 18),  # (40 * 380 + 1696) / 2 = 8448: 9 steps
        (3, 8_999, 32),  # 2999 bytes: 32256 / 2 / 1024 = 15.75: 16 steps
        (3, 9_000, 4),  # too many bytes: 2 us more
        (0, 0, 4),  # so does an interval of none
        (4, 240, 4),
        (55, 3_300, 4),
        (56, 3_360, 2),  # just right
        (112, 6_720, 2),
        (113, 6_780, 2),  # half of 2, but not below
        (256, 15_360, 2),
        (257, 15_420, 8),  # 4096 / 1024 = 4 steps
        (257, 257 * 1_084, 56),  # (15 * 1084 + 11452) / 1024 = 27.1: 28 steps
        (257, 257 * 9_000, 64),  # 32256 / 1024 = 31.5: 32 steps
    ],
)
def test_what_an_interval_chooses(packets: int, size: int, usecs: int) -> None:
    assert after((packets, size)) == [usecs]


def test_the_gap_grows_by_2_us_up_to_126() -> None:
    # 5 packets: too few for the gap, four samples a step of which three are ignored
    usecs = after(*[(5, 500)] * 70)
    assert usecs[:3] == [4, 6, 8]
    assert usecs[60:] == [124, *[126] * 9]


def test_a_gap_is_halved_to_an_even_number() -> None:
    assert after((257, 257 * 60), *[(200, 12_000)] * 3) == [8, 4, 2, 2]
    assert after((257, 257 * 381), (200, 12_000)) == [34, 16]  # 17 is odd
    assert after((257, 257 * 381), (113, 6_780)) == [34, 16]
    assert after((257, 257 * 381), (112, 6_720)) == [34, 34]


def test_keeping_the_gap_leaves_latency_mode_and_ignores_three_more() -> None:
    rows = [*FIRST, (100, 56, 3_360)]
    assert run(rows)[1].countdown == 3  # 2 us for latency became 2 us for bulk
    rows += [(100, 9, 9)] * 3 + [(100, 56, 3_360)]
    assert run(rows)[1].countdown == 0


@pytest.mark.parametrize(("start", "late"), [(0, 2 * JIFFY), (JIFFY - 1, JIFFY + 1)])
def test_counts_age_at_the_second_jiffy(start: int, late: int) -> None:
    bulk = [(start, 0, 0), *FIRST[1:], (0, 1_000, 9_000_000), *FIRST[1:]]
    fresh, aged = [(late - 1, 5, 500)], [(late, 5, 500)]
    assert run(bulk + fresh)[0][-1] == 66
    usecs, d = run(bulk + aged)
    assert usecs[-1] == 2  # whatever it was
    assert (d.latency, d.countdown) == (1, 3)


def test_counts_age_even_while_samples_are_ignored() -> None:
    usecs, d = run([*FIRST, (0, 1_000, 9_000_000), (2 * JIFFY, 0, 0)])
    assert usecs[-2:] == [64, 2]
    assert d.countdown == 3
