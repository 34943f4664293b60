"""Intervals: as wide as the constants, the arrivals and the model's misses make them."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import numpy as np
import pytest

from replay.backtest.compare import Cell, covered
from replay.backtest.likely import drawn_hosts, likely
from replay.backtest.published import shipped_host
from replay.backtest.reference import Measured
from replay.host import Cost

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


def test_constants_are_drawn_with_their_correlations_and_mirrored() -> None:
    host = replace(
        shipped_host(),
        irq_ns=1_000,
        poll_ns=1_000,
        cstates=((0, 2_000),),
        costs={
            "irq_ns": Cost(932.55, 1_067.45, 9, "fitted"),  # deviation 100
            "poll_ns": Cost(865.1, 1_134.9, 9, "fitted", {"irq_ns": -0.9}),
            "cstates": Cost(1_932.55, 2_067.45, 9, "fitted"),
        },
    )
    found = list(drawn_hosts(host, 600))
    values = np.array([(it.irq_ns, it.poll_ns, it.cstates[0][1]) for it in found])
    assert values.mean(axis=0) == pytest.approx([1_000, 1_000, 2_000], abs=1)
    assert values.std(axis=0) == pytest.approx([100, 200, 100], rel=0.15)
    assert np.corrcoef(values.T)[0, 1] == pytest.approx(-0.9, abs=0.05)
    assert np.abs(values[::2] + values[1::2] - [2_000, 2_000, 4_000]).max() <= 1
    assert {it.packet_ns for it in found} == {host.packet_ns}
    assert found[:4] == list(drawn_hosts(host, 4))


def test_coverage_counts_scored_cells_only() -> None:
    seen = Measured("200K", "base", {"avg": 100.0, "cpu": 50.0})
    cell = Cell(
        seen, {"avg": 110.0, "cpu": 50.0}, False, False, {"avg": (105, 115), "cpu": (40, 60)}
    )
    assert cell.inside("avg") is False
    assert cell.inside("p99") is None
    assert covered([cell, replace(cell, fitted=True)]) == {"avg": (0, 1), "cpu": (1, 1)}
