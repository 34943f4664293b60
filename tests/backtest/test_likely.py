"""Intervals: as wide as the constants, the arrivals and the model's misses make them."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest

from replay.backtest.compare import Cell, covered
from replay.backtest.likely import likely
from replay.backtest.reference import Measured

MISSED = {"avg": 0.1, "cpu": 0.1, "irqs": 0.1}


def test_without_draws_the_interval_is_what_the_model_misses() -> None:
    low, high = likely({"avg": 100.0}, [], MISSED)["avg"]
    assert low == pytest.approx(100 * exp(-0.1645), rel=1e-3)
    assert high == pytest.approx(100 * exp(0.1645), rel=1e-3)


def test_draws_that_differ_widen_it_and_draws_that_agree_do_not() -> None:
    same = likely({"avg": 100.0}, [{"avg": 100.0}] * 3, MISSED)["avg"]
    assert same == likely({"avg": 100.0}, [], MISSED)["avg"]
    low, high = likely({"avg": 100.0}, [{"avg": 80.0}, {"avg": 125.0}], MISSED)["avg"]
    assert low < same[0]
    assert high > same[1]


def test_a_cpu_is_never_more_than_full_and_what_did_not_happen_has_no_interval() -> None:
    found = likely({"cpu": 95.0, "irqs": 0.0}, [], MISSED)
    assert found["cpu"][1] == 100
    assert "irqs" not in found


def test_what_some_draws_do_not_have_may_be_missing_or_as_much_as_in_the_most() -> None:
    low, high = likely({"irqs": 2.0}, [{"irqs": 0.0}, {"irqs": 5.0}], MISSED)["irqs"]
    assert low == 0
    assert high == pytest.approx(5 * exp(0.1645), rel=1e-3)


def test_coverage_counts_scored_cells_only() -> None:
    seen = Measured("200K", "base", {"avg": 100.0, "cpu": 50.0})
    cell = Cell(
        seen, {"avg": 110.0, "cpu": 50.0}, False, False, {"avg": (105, 115), "cpu": (40, 60)}
    )
    assert cell.inside("avg") is False
    assert cell.inside("p99") is None
    assert covered([cell, replace(cell, fitted=True)]) == {"avg": (0, 1), "cpu": (1, 1)}
