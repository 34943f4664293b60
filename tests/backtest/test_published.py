"""The published benchmark end to end, small: from cells to errors, and the command line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from replay.backtest.cell import FIGURES, Bench, middle, policy_of, replay_cell
from replay.backtest.fitted_figures import CLIENT_CELLS, SERVER_CELLS
from replay.backtest.fitting import CONSTANTS
from replay.backtest.profile import shipped_profile
from replay.backtest.published import published, shipped_host
from replay.calibration.constants import constant_of
from replay.cli import app, run
from replay.host.model import Host

PROFILE = shipped_profile()
BENCH = Bench(shipped_host(), PROFILE.client, seconds=0.01, warm=0.01, seeds=(1, 2))


def test_constants_are_few_and_from_few_cells() -> None:
    """At most ten fitted constants and six cells; the client's from three of fullbusy."""
    host = shipped_host()
    assert sorted(host.costs) == sorted(CONSTANTS)
    assert len(CONSTANTS) <= 10
    for name, it in CONSTANTS.items():
        assert it.low <= constant_of(host, name) <= it.high
    assert len(SERVER_CELLS) <= 6
    assert [policy for _, policy in CLIENT_CELLS] == ["fullbusy"] * 3


def test_the_benchmarks_fullbusy_blocks() -> None:
    assert policy_of("fullbusy").epoll_timeout_ns == -1
    assert policy_of("suspend20").irq_suspend_timeout_ns == 20_000_000


def test_a_cell_is_reproducible_and_answers_what_is_offered() -> None:
    one, same = (replay_cell(BENCH, "suspend20", 200_000, 1) for _ in range(2))
    assert one == same
    assert list(one) == list(FIGURES)
    assert one["qps"] == pytest.approx(200_000, rel=0.1)
    assert one["avg"] > PROFILE.client.base_us


def test_busy_polling_takes_all_of_the_cpu() -> None:
    assert replay_cell(BENCH, "fullbusy", 200_000, 1)["cpu"] == pytest.approx(100, abs=1)


def test_latencies_are_medians_and_all_else_means() -> None:
    runs = [dict.fromkeys(FIGURES, value) for value in (1.0, 2.0, 6.0)]
    assert middle(runs)["p99"] == 2
    assert middle(runs)["cpu"] == 3


def test_cells_say_whether_they_were_fitted() -> None:
    told: list[str] = []
    cells = published(BENCH, loads=("200K",), policies=("base", "defer50"), done=told.append)
    assert [(cell.measured.policy, cell.fitted) for cell in cells] == [
        ("base", True),
        ("defer50", False),
    ]
    assert told == ["1 of 2: base at 200K", "2 of 2: defer50 at 200K"]


def test_intervals_hold_the_prediction_and_widen_with_what_the_model_misses() -> None:
    chosen = {"loads": ("200K",), "policies": ("defer50",), "draws": 2}
    (cell,) = published(BENCH, profile=PROFILE, **chosen)
    missed = {kind: dict.fromkeys(of, 0.5) for kind, of in PROFILE.missed.items()}
    (wide,) = published(BENCH, profile=replace(PROFILE, missed=missed), **chosen)
    for name, (low, high) in cell.likely.items():
        assert low < cell.predicted[name] < high
        assert wide.likely[name][0] < low
    assert cell.predicted == wide.predicted
    (none,) = published(BENCH, profile=PROFILE, **{**chosen, "draws": 0})
    assert not none.likely


def test_pinned_workers_never_pay_the_way_between_caches() -> None:
    free: Host = replace(BENCH.host, far_ns=0, handoff_ns=0)
    pinned = replace(BENCH, pinned=True)
    same = replay_cell(replace(pinned, host=free), "defer50", 200_000, 1)
    assert replay_cell(pinned, "defer50", 200_000, 1) == same
    assert replay_cell(BENCH, "defer50", 200_000, 1) != same


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--loads", "200K", "--policies", "defer50", "--seconds", "0.01", "--seeds", "1"]
    few += ["--host", "epyc-7662-cx5"]
    result = CliRunner().invoke(app, ["backtest", "published", *few])
    assert result.exit_code == 0
    assert "defer50" in result.stdout
    assert "1 of 1" in result.stderr
    assert "intervals hold" in result.stdout
    assert run(["backtest", "published", "--policies", "deffer50"]) == 2
    assert "did you mean defer50?" in capsys.readouterr().err
    assert run(["backtest", "published", "--fit", "x.toml", "--loads", "200K"]) == 2
    assert "--loads" in capsys.readouterr().err
    assert run(["backtest", "published", "--fit", "/nowhere/x.toml"]) == 2
    assert "there is no folder /nowhere" in capsys.readouterr().err
    assert run(["backtest", "published", "--fit", "/"]) == 2
    assert "/: is a folder" in capsys.readouterr().err
    assert run(["backtest", "published", "--results", "/nowhere.csv"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
