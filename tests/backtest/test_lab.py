from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from replay.backtest.judge import compared
from replay.backtest.kept import Backtest, predicted
from replay.backtest.lab import lab
from replay.backtest.plan import Plan, plan_of
from replay.calibration.cells import Cell, Figure
from replay.calibration.counted import Fitted
from replay.cli import app
from replay.errors import PolicyError, ReplayError
from replay.lab.services import SERVICES, service_of
from replay.policy import parse_policy
from replay.report.lab import lab_table

bench = pytest.mark.skipif(
    not os.environ.get("REPLAY_BENCH"),
    reason="needs root, memcached, perf and a quiet machine for a minute: REPLAY_BENCH=1",
)


def test_a_plan_from_text() -> None:
    plan = plan_of(rates="1000, 2000", policies="base,defer20", seed=None, window_s=0.5)
    assert (plan.rates, plan.policies, plan.window_s) == ((1_000, 2_000), ("base", "defer20"), 0.5)
    assert plan.seed == Plan().seed
    plan.check()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rates": "1"}, "rates = 1 is outside 100 to 1e+06"),
        ({"policies": "dim"}, "the bench cannot set"),
        ({"busy": "defer20"}, "busy = 'defer20' does not busy-poll"),
        ({"repetitions": 0}, "repetitions = 0 is outside 1 to 100"),
        ({"window_s": 1e9}, "window = 1e+09 is outside 0.1 to 60"),
        ({"seed": -1}, "seed = -1 is outside 0 to"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_runs(
    changes: dict[str, object], says: str
) -> None:
    plan = plan_of(**{"rates": None, "policies": None, **changes})
    with pytest.raises(PolicyError) as error:
        lab(SERVICES["memcached"], plan, print)
    assert says in str(error.value)


def test_nothing_is_measured_that_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    plan = plan_of(rates=None, policies=None)
    with pytest.raises(FileExistsError):
        lab(SERVICES["memcached"], plan, print, tmp_path / "file")


def test_a_plan_with_rates_that_are_no_numbers() -> None:
    with pytest.raises(PolicyError, match="no list of whole numbers"):
        plan_of(rates="x", policies=None)


def test_only_our_own_server_takes_a_time_that_is_chosen() -> None:
    assert service_of("known", 12.5).command.__name__ == "<lambda>"
    for name, time, says in (
        ("redis", 5.0, "service-us is for known"),
        ("known", -1.0, "outside 0 to 10000 us"),
        ("apache", None, "none of memcached"),
    ):
        with pytest.raises(PolicyError, match=says):
            service_of(name, time)


def test_the_table_marks_what_was_seen_and_what_missed() -> None:
    def cell(policy: str, served: float, **figures: float) -> Cell:
        known = {name: Figure(value, value - 1, value + 1) for name, value in figures.items()}
        requests = Figure(served, served, served)
        return Cell(parse_policy(policy), 10_000, {"requests": requests, **known})

    good = {"verdict": "ok", "latency_p50": 50.0, "likely": {"latency_p50": (40.0, 60.0)}}
    bad = {"verdict": "ok", "timers": 9_000.0}
    cells = (
        compared(cell("base", 10_000, latency_p50=50), good, seen=True),
        compared(cell("defer20", 10_000, latency_p50=80), good, seen=False),
        compared(cell("defer50", 5_000, timers=8_000), bad, seen=False),
    )
    fitted = SimpleNamespace()
    text = lab_table(Backtest("memcached 1.6", "6.18, EPYC", _fitted(fitted), cells))
    lines = [line.split() for line in text.splitlines()]
    table = {line[0]: line for line in lines if line}
    assert "50(40-60)/50[49-51]" in table["base*"]
    assert "50(40-60)/80[79-81]!" in table["defer20"]
    assert table["defer50"][1] == "ok/saturated!"
    assert table["p50"][2:4] == ["0", "1"]
    assert table["p50"][-1] == "0/1"
    assert "saturation: right in 1 of 2 cells" in text


def test_what_the_measurements_do_not_tell_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fitted = SimpleNamespace(warnings=("the figures say little of wake_ns",))
    kept = Backtest("memcached 1.6", "6.18, EPYC", _fitted(fitted), ())
    monkeypatch.setattr("replay.backtest.kept.predicted", lambda folder: kept)
    done = CliRunner().invoke(app, ["backtest", "lab", "--measured", str(tmp_path)])
    assert done.exit_code == 0
    assert "note: the figures say little of wake_ns\n" in done.stderr


def test_what_to_measure_has_no_place_where_nothing_is_measured(tmp_path: Path) -> None:
    for option, value in (("--seed", "2"), ("--server", "redis"), ("--keep", str(tmp_path))):
        done = CliRunner().invoke(
            app, ["backtest", "lab", "--measured", str(tmp_path), option, value]
        )
        assert isinstance(done.exception, PolicyError)
        assert f"{option} says what to measure" in str(done.exception)


def _fitted(stand_in: object) -> Fitted:
    return stand_in  # type: ignore[return-value]  # the table does not look at it


@bench
@pytest.mark.root
@pytest.mark.parametrize("server", sorted(SERVICES))
def test_every_server_is_predicted_and_measured(server: str, tmp_path: Path) -> None:
    plan = plan_of(rates="5000", policies="base,suspend20", repetitions=1, window_s=0.3)
    try:
        found = lab(service_of(server), plan, print, tmp_path)
    except ReplayError as problem:
        pytest.fail(str(problem))
    assert [(cell.policy, cell.seen) for cell in found.cells] == [
        ("base", True),
        ("napibusy", True),
        ("suspend20", False),
    ]
    assert {"irqs", "cpu_busy", "latency_p50"} <= set(found.cells[0].judged)
    again = predicted(tmp_path)
    assert again.cells == found.cells
