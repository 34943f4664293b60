"""The benchmark's fit, on a server and clients that are made up: the truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from replay.backtest import fitting, fitting_clients
from replay.backtest.cell import FIGURES, Bench, Figures
from replay.backtest.fitted_figures import CLIENT_CELLS, SERVER_CELLS
from replay.backtest.fitting import CONSTANTS, fit_bench
from replay.backtest.mutilate import Floats
from replay.backtest.profile import MODERATED, TIMED, shipped_profile
from replay.backtest.published import shipped_host
from replay.backtest.reference import Measured
from replay.calibration.constants import constant_of, with_constants
from replay.errors import TraceError
from replay.host import Host
from replay.report.fitted import fitted_table

BENCH = Bench(shipped_host(), shipped_profile().client, seeds=(1,))
NAMES = list(CONSTANTS)
#: What each figure of a cell weighs of each constant; the last one weighs nothing.
WEIGHTS = np.random.default_rng(3).random((len(SERVER_CELLS), len(FIGURES), len(NAMES)))
WEIGHTS[:, :, -1] = 0.0
QPS = {200_000: "200K", 400_000: "400K", 600_000: "600K", 0: "MAX"}


def made_up(bench: Bench, policy: str, qps: int, seed: int) -> Figures:
    constants = np.array([constant_of(bench.host, name) for name in NAMES])
    told = WEIGHTS[SERVER_CELLS.index((QPS[qps], policy))] @ constants / 1_000
    return dict(zip(FIGURES, told.tolist(), strict=True))


def latencies(bench: Bench, policy: str, qps: int, seed: int) -> Floats:
    return np.full(20_000, 10.0)


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> list[Measured]:
    """Measurements of a server with constants a fifth larger than they are known to be before."""
    monkeypatch.setattr(fitting, "replay_cell", made_up)
    monkeypatch.setattr(fitting_clients, "server_latencies", latencies)
    true = replace(BENCH, host=truth())
    found = {
        (QPS[qps], policy): made_up(true, policy, qps, 1)
        for qps in QPS
        for load, policy in SERVER_CELLS
        if load == QPS[qps]
    }
    for place in CLIENT_CELLS:
        found.setdefault(place, {"avg": 46.0, "p50": 38.0, "p95": 120.0, "p99": 150.0})
    return [Measured(load, policy, figures) for (load, policy), figures in found.items()]


def truth() -> Host:
    larger = [1.2 * CONSTANTS[name].value for name in NAMES[:-1]]
    return with_constants(BENCH.host, NAMES[:-1], np.array(larger))


def test_the_constants_that_made_the_figures_are_found(cells: list[Measured]) -> None:
    found = fit_bench(BENCH, cells, "made up")
    assert found.server.figures == pytest.approx(found.server.measured, rel=0.02)
    assert NAMES[-1] in found.server.unidentified
    assert constant_of(found.host, NAMES[-1]) == CONSTANTS[NAMES[-1]].value
    for name in NAMES:
        cost = found.host.costs[name]
        assert CONSTANTS[name].meaning in cost.source
        assert cost.q1 <= constant_of(found.host, name) <= cost.q3
    assert found.host.about.endswith(found.profile.about)
    assert list(found.errors) == [f"{policy} at {load}" for load, policy in SERVER_CELLS]
    assert set(found.profile.missed) == {MODERATED, TIMED}
    assert found.profile.missed[TIMED]["kcycles"] == pytest.approx(0.03)  # a straight model: least
    told = fitted_table(found)
    assert "not identified" in told
    assert "held out" in told
    again = fit_bench(replace(BENCH, host=found.host), cells, "made up")
    assert again.host.about.count("fitted to") == 1


def test_where_the_fit_starts_has_no_say(cells: list[Measured]) -> None:
    one, other = (
        fit_bench(replace(BENCH, host=host), cells, "made up") for host in (BENCH.host, truth())
    )
    ones, others = (np.array([constant_of(it.host, name) for name in NAMES]) for it in (one, other))
    assert ones == pytest.approx(others, rel=0.02)


def test_what_no_held_out_cell_has_is_missed_as_all_else_is(cells: list[Measured]) -> None:
    found = fit_bench(BENCH, cells, "made up").profile.missed[TIMED]
    without = [
        replace(cell, figures={name: it for name, it in cell.figures.items() if name != "irqs"})
        for cell in cells
    ]
    again = fit_bench(BENCH, without, "made up").profile.missed[TIMED]
    assert min(found.values()) <= again["irqs"] <= max(again.values())


def test_a_cell_that_is_missing_is_named(cells: list[Measured]) -> None:
    without = [cell for cell in cells if cell.policy != "defer10"]
    with pytest.raises(TraceError, match="defer10 at MAX was not measured"):
        fit_bench(BENCH, without, "made up")


def test_fewer_figures_than_constants_are_too_few(cells: list[Measured]) -> None:
    few = [replace(cell, figures={"avg": 46.0}) for cell in cells]
    with pytest.raises(TraceError, match="10 constants need as many figures, it has 4"):
        fit_bench(BENCH, few, "made up")


def test_a_latency_that_is_not_known_is_not_fitted(cells: list[Measured]) -> None:
    """A results file may say nan."""
    place = [(cell.load, cell.policy) for cell in cells].index(CLIENT_CELLS[0])
    unknown = replace(cells[place], figures={**cells[place].figures, "p99": float("nan")})
    found = fit_bench(BENCH, [*cells[:place], unknown, *cells[place + 1 :]], "made up")
    assert np.isfinite(found.clients.values).all()
    assert len(found.clients.measured) == 4 * len(CLIENT_CELLS) - 1
