from __future__ import annotations

from typing import Any

from replay.backtest.judge import METRICS, Compared, compared, orders
from replay.calibration.cells import Cell, Figure
from replay.policy import parse_policy


def cell(
    policy: str = "base", rate: float = 10_000, served: float = 10_000, **figures: Any
) -> Cell:
    measured = {name: Figure(*values) for name, values in figures.items()}
    return Cell(
        parse_policy(policy), rate, {"requests": Figure(served, served, served), **measured}
    )


def judge(one: Cell, **predicted: Any) -> Compared:
    return compared(one, {"verdict": "ok", **predicted}, seen=False)


def test_within_the_goal_or_within_the_repetitions() -> None:
    found = judge(
        cell(
            irqs=(1_000, 990, 1_010),
            timers=(1_000, 990, 1_300),
            cpu_busy=(50, 50, 50),
            latency_p99=(100, 100, 100),
        ),
        irqs=1_100,
        timers=1_290,
        cpu_busy=55.1,
        latency_p99=121,
    )
    assert {name: it.good for name, it in found.judged.items()} == {
        "irqs": True,
        "timers": True,  # one of the middle repetitions
        "cpu_busy": False,
        "latency_p99": False,
    }
    assert found.judged["cpu_busy"].error is not None
    assert set(METRICS) >= set(found.judged)


def test_next_to_nothing_is_nothing_on_both_sides() -> None:
    found = judge(cell(irqs=(0, 0, 0), busy_polls=(99, 99, 99)), irqs=30, busy_polls=1_000)
    assert found.judged["irqs"].good
    assert found.judged["irqs"].error is None
    assert not found.judged["busy_polls"].good


def test_a_saturated_cell_has_no_latency_and_must_be_found() -> None:
    slow = cell(served=9_000, irqs=(10, 10, 10), latency_p50=(9, 9, 9))
    found = judge(slow, irqs=10, latency_p50=9)
    assert set(found.judged) == {"irqs"}
    assert (found.saturated, found.predicted_saturated) == (True, False)
    right = compared(slow, {"verdict": "saturated"}, seen=True)
    assert right.predicted_saturated
    assert right.seen


def test_order_counts_pairs_that_are_apart_under_one_load() -> None:
    cells = [
        judge(cell("base", latency_p50=(10, 9, 11)), latency_p50=10),
        judge(cell("defer20", latency_p50=(20, 19, 21)), latency_p50=9),
        judge(cell("defer50", latency_p50=(20.5, 20, 22)), latency_p50=30),
        judge(cell("defer50", rate=5_000, latency_p50=(1, 1, 1)), latency_p50=1),
    ]
    assert orders(cells, "latency_p50") == (1, 2)  # base-defer20 wrong, base-defer50 right
    assert orders(cells, "cpu_busy") == (0, 0)
