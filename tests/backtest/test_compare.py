"""Errors, goals and the order of policies, from cells whose figures are made up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay.backtest.cell import FIGURES
from replay.backtest.compare import Cell, orders, scores
from replay.backtest.published import chosen, is_bistable
from replay.backtest.reference import Measured, letter
from replay.errors import PolicyError, TraceError
from replay.report.backtest import backtest_table


def cell(
    policy: str,
    load: str = "200K",
    *,
    off: float = 1.0,
    fitted: bool = False,
    bistable: bool = False,
    spread: dict[str, float] | None = None,
    **figures: float,
) -> Cell:
    seen = {"qps": 200_000.0, "avg": 100.0, "p95": 200.0, "p99": 300.0, "cpu": 50.0, **figures}
    predicted = {name: off * seen.get(name, 1.0) for name in FIGURES}
    return Cell(Measured(load, policy, seen, spread or {}), predicted, fitted, bistable)


def test_errors_are_in_percent_and_cpus_in_points() -> None:
    found = cell("base", off=1.1)
    assert found.error("avg") == pytest.approx(10)
    assert found.error("cpu") == pytest.approx(5)
    assert found.error("irqs") is None


def test_only_cells_that_test_the_model_are_scored() -> None:
    cells = [
        cell("base", off=1.01),
        cell("defer10", off=1.03),
        cell("defer20", off=2.0, fitted=True),
        cell("defer50", off=2.0, bistable=True),
        cell("defer200", "MAX", off=2.0),
    ]
    average = next(
        it for it in scores(cells) if (it.goal.about, it.goal.name) == ("up to 800K", "avg")
    )
    assert (average.cells, average.median, average.mean) == (2, pytest.approx(2), pytest.approx(2))
    assert not average.reached or average.median <= 2
    above = next(it for it in scores(cells) if it.goal.about.startswith("1000K"))
    assert (above.cells, above.reached) == (1, False)


def test_order_counts_pairs_whose_spreads_do_not_overlap() -> None:
    known = {"p99": 0.05, "cpu": 0.01, "qps": 0.0}
    cells = [
        cell("a", p99=300.0, spread=known),
        cell("b", p99=310.0, spread=known),  # overlaps with a
        cell("c", p99=400.0, off=0.5, spread=known),  # predicted below both
        cell("d", "400K", p99=900.0, spread=known),  # another load
        cell("e", p99=900.0),  # spread unknown
    ]
    found = {order.name: order for order in orders(cells)}
    assert found["p99"].pairs == 2
    assert found["p99"].wrong == ("200K: a, c", "200K: b, c")
    assert found["cpu"].pairs == 0


def test_a_cell_that_hangs_on_its_seed_or_on_the_servers_speed_is_bistable() -> None:
    def run(avg: float) -> dict[str, float]:
        return {"avg": avg}

    assert not is_bistable([run(100), run(104)], run(120))
    assert is_bistable([run(100), run(150)], run(100))
    assert is_bistable([run(100), run(104)], run(300))


def test_what_is_asked_for_has_to_be_measured() -> None:
    assert len(chosen(letter(), ("200K", "MAX"), ("base",))) == 2
    with pytest.raises(PolicyError, match=r"policy 'sspend20' was not measured; did you mean"):
        chosen(letter(), (), ("sspend20",))
    with pytest.raises(PolicyError, match="load '300K' is none of 200K, 400K"):
        chosen(letter(), ("300K",), ())
    with pytest.raises(TraceError, match="no cell was measured at MAX under base"):
        chosen([Measured("200K", "base", {})], ("MAX",), ("base",))


def test_the_table_shows_what_is_not_scored_and_what_was_not_measured() -> None:
    text = backtest_table(
        [
            cell("base", off=1.1, fitted=True, irqs=100_000.0, spread={"avg": 0.02}),
            cell("defer10", off=1.01, bistable=True),
        ]
    )
    assert "base*" in text
    assert "defer10~" in text
    assert "110 / 100 +10% (2%)" in text
    assert "110.0 / 100.0 +10%" in text
    assert "no cell is scored" in text


def test_intervals_that_miss_are_marked_and_counted() -> None:
    scored = replace(cell("base", off=1.1), likely={"avg": (105.0, 115.0), "cpu": (40.0, 60.0)})
    text = backtest_table([scored, replace(scored, fitted=True)])
    assert "105..115!" in text
    assert "40..60\n" in text
    assert "intervals hold 1 of 2 measured figures of scored cells (50 %)" in text
    assert "avg 0/1, CPU 1/1" in text
