"""Times that are missing, out of order or set back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest.records import NO_TIME, Columns
from replay.ingest.times import Timed, settle_times

SECOND = 10**9


def _settle(times: list[int]) -> Timed:
    columns = Columns.empty(len(times))
    columns.time[:] = times
    columns.length[:] = np.arange(len(times))
    return settle_times(columns)


@given(st.lists(st.integers(0, 1 << 61), min_size=1, max_size=20))
@settings(deadline=None)  # the first example compiles
def test_packets_are_in_order_of_time_and_ties_in_order_of_the_file(times: list[int]) -> None:
    timed = _settle(times)
    order = sorted(range(len(times)), key=lambda i: times[i])
    assert timed.origin == min(times)
    assert timed.columns.length.tolist() == order
    assert timed.columns.time.tolist() == [times[i] - min(times) for i in order]
    assert timed.duration == max(times) - min(times) + 1
    assert timed.backwards == sum(b < a for a, b in pairwise(times))


def test_missing_times_are_filled_and_bounded() -> None:
    timed = _settle([NO_TIME, 70, NO_TIME, NO_TIME, 90, NO_TIME])
    assert timed.columns.time.tolist() == [0, 0, 0, 0, 20, 20]
    assert timed.earliest is not None
    assert timed.latest is not None
    assert timed.earliest.tolist() == [-1, -1, 0, 0, -1, 20]
    assert timed.latest.tolist() == [0, -1, 20, 20, -1, -1]
    assert timed.untimed == 4


def test_bounds_are_sorted_with_their_packets() -> None:
    timed = _settle([70, NO_TIME, 50])
    assert timed.columns.length.tolist() == [2, 0, 1]
    assert timed.earliest is not None
    assert timed.earliest.tolist() == [-1, -1, 20]


def test_no_times_at_all() -> None:
    timed = _settle([NO_TIME, NO_TIME])
    assert timed.origin is None
    assert timed.columns.time.tolist() == [0, 0]
    assert _settle([]).duration == 0


def test_steps_back_of_a_second_are_told() -> None:
    timed = _settle([5 * SECOND, 4 * SECOND, 4 * SECOND + 5, 4 * SECOND + 1])
    assert timed.steps == ((SECOND, 0),)
    assert timed.backwards == 2
