from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from replay.backtest.asked import NEVER_PAUSES, Pauses
from replay.backtest.bench_model import BenchModel, due
from replay.backtest.kept import RUNS, errors_near, predicted
from replay.calibration.cells import Cell, Figure
from replay.calibration.counted import Fitted
from replay.calibration.recorded import calibrate
from replay.errors import TraceError
from replay.lab.policies import on_the_bench
from replay.trace.bundle import open_trace
from replay.units import SECOND

RECORDED = Path(__file__).parents[2] / "traces" / "memcached-base-10k.trace"
TOLD = ("plan", "date", "machine", "rig", "timer", "takes", "sweep", "measured")
EMPTY: dict[str, Any] = {name: {} for name in TOLD} | {
    **{"plan": {"window_s": 2.0}, "machine": {"kernel": "6.18", "cpu_model": "EPYC"}},
    **{"takes": [], "sweep": [], "measured": []},
}
OFTEN = Pauses((0.0,), (20.0,), np.array([3_000_000]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        (
            json.dumps({"plan": {}, "sweep": []}),
            "has no date, machine, rig, timer, takes, measured",
        ),
        ("[]", "has no plan, date, machine, rig, timer, takes, sweep, measured"),
        (json.dumps(dict.fromkeys(TOLD, 5)), "is not as replay backtest lab --keep wrote it: Type"),
        (json.dumps(EMPTY | {"plan": {}}), "wrote it: KeyError: 'window_s'"),
        (json.dumps(EMPTY | {"plan": {"window_s": 1e9}}), r"window_s = 1e\+09 is outside 0 to 60"),
        (json.dumps(EMPTY), "wrote it: ValueError"),
    ],
)
def test_a_folder_that_keeps_no_runs(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / RUNS).write_text(text)
    with pytest.raises(TraceError, match=says):
        predicted(tmp_path)


def test_pauses_of_the_client_move_the_tail_and_not_the_counts() -> None:
    trace = open_trace(RECORDED)
    host = calibrate(trace)
    cell = Cell(on_the_bench("defer200"), 10_000, {})
    calm, paused = (
        BenchModel(trace, pauses, 1.0).row(cell, host).metrics() for pauses in (NEVER_PAUSES, OFTEN)
    )
    assert _of(paused, "latency_p99") > 1_500 > 500 > _of(calm, "latency_p99")
    assert _of(paused, "latency_p50") == pytest.approx(_of(calm, "latency_p50"), rel=0.1)
    assert _of(paused, "timers") == pytest.approx(_of(calm, "timers"), rel=0.1)


def test_a_prediction_lies_within_its_interval_and_repeats() -> None:
    trace = open_trace(RECORDED)
    host = calibrate(trace)
    model = BenchModel(trace, NEVER_PAUSES, 0.2)
    cell = Cell(on_the_bench("suspend50"), 10_000, {})
    found = model.predict(cell, host, None)
    assert found == model.predict(replace(cell), host, None)
    low, high = found.likely["cpu_busy"]
    assert low < _of(found.metrics, "cpu_busy") < high
    assert not found.saturated


def test_jitter_is_what_lifts_the_p95_of_a_known_cell_to_what_was_measured() -> None:
    trace = open_trace(RECORDED)
    host = calibrate(trace)
    plain = BenchModel(trace, NEVER_PAUSES, 1.0)
    cell = Cell(on_the_bench("base"), 10_000, {})
    before = plain.row(cell, host).metrics()
    p50 = _of(before, "latency_p50")
    wanted = {"latency_p50": Figure(p50, p50, p50), "latency_p95": Figure(p50 + 60, 0, 0)}
    after = plain.with_jitter_of(replace(cell, figures=wanted), host).row(cell, host).metrics()
    assert _of(after, "latency_p95") - _of(after, "latency_p50") == pytest.approx(60, abs=1)
    assert _of(after, "latency_p50") == pytest.approx(p50, rel=0.1)
    for name in ("irqs", "polls", "cpu_busy"):  # but for what is acknowledged of late answers
        assert _of(after, name) == pytest.approx(_of(before, name), rel=0.005)


def test_a_run_of_few_requests_tells_no_jitter() -> None:
    trace = open_trace(RECORDED)
    model = BenchModel(trace, NEVER_PAUSES, 0.01)
    wanted = {"latency_p50": Figure(50, 50, 50), "latency_p95": Figure(90, 90, 90)}
    cell = Cell(on_the_bench("base"), 10_000, wanted)
    assert model.with_jitter_of(cell, calibrate(trace)) is model


def test_requests_fall_due_up_to_the_end_of_a_long_run() -> None:
    runs = [due(100.0, 60 * SECOND, np.random.default_rng(seed)) for seed in range(200)]
    assert min(run[-1] for run in runs) > 59.8 * SECOND
    assert max(run[-1] for run in runs) < 60 * SECOND
    assert np.mean([len(run) for run in runs]) == pytest.approx(6_000, rel=0.01)


def test_what_was_not_seen_at_all_has_no_error() -> None:
    """The model may well predict some."""
    nothing, some = Figure(0, 0, 0), Figure(50, 50, 50)
    figures = {
        "timers": nothing,
        "irqs": some,
        "cpu_busy": some,
        "epoll_returns": Figure(1e4, 0, 0),
    }
    cell = Cell(on_the_bench("base"), 10_000, figures)
    metrics = {"timers": 5_000.0, "irqs": 5_000.0}
    row = SimpleNamespace(metrics=lambda: metrics)
    model = cast(BenchModel, SimpleNamespace(row=lambda near, host: row))
    fitted = cast(Fitted, SimpleNamespace(host=None))
    assert list(errors_near(cell, [cell], model, fitted)) == ["irqs"]


def _of(metrics: Any, name: str) -> float:
    value = metrics[name]
    assert value is not None
    return float(value)
