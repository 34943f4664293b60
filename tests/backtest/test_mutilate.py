"""The load generator: its gaps, and its percentiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.backtest.mutilate import BIN, GAPS, generalized_pareto, percentiles, send_times


def test_gaps_have_the_mean_and_the_variance_of_their_distribution() -> None:
    scale, shape = GAPS
    gaps = generalized_pareto(np.random.default_rng(1), (400_000,), GAPS)
    mean = scale / (1 - shape)
    assert gaps.min() >= 0
    assert gaps.mean() == pytest.approx(mean, rel=0.01)
    assert gaps.var() / mean**2 == pytest.approx(1 / (1 - 2 * shape), rel=0.1)


def test_requests_come_at_the_offered_rate_from_the_beginning_on() -> None:
    times = send_times(np.random.default_rng(2), 4480, 200_000, 0.2)
    assert (np.diff(times, axis=1) >= 0).all()
    assert times[:, -1].min() > 0.2e9
    for begin in (0, 0.1e9):
        inside = np.count_nonzero((times >= begin) & (times < begin + 0.1e9))
        assert inside == pytest.approx(20_000, rel=0.03)


def test_percentiles_are_linear_within_bins_that_grow_by_a_tenth() -> None:
    low = BIN**50
    values = np.full(100, low * 1.05)
    assert percentiles(values, (0.0, 0.5, 0.99)) == pytest.approx(
        [low, low * 1.05, low * (1 + 0.1 * 0.99)]
    )


@given(st.lists(st.floats(2, 1e6), min_size=1, max_size=200), st.floats(0, 0.999))
def test_percentiles_are_within_a_bin_of_the_exact_ones(values: list[float], share: float) -> None:
    exact = sorted(values)[int(share * len(values))]
    (found,) = percentiles(np.array(values), (share,))
    assert exact / BIN * 0.999 <= found <= exact * BIN * 1.001
