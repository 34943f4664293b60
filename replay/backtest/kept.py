"""Predictions from what a bench's run kept, compared with what it measured.

The constants are fitted to `base` under every load and to one busy-polling run; every other policy
is predicted from these alone. Needs no bench: a changed model can be judged by kept measurements.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from replay.backtest.asked import pauses_of
from replay.backtest.bench_model import BenchModel, Prediction
from replay.backtest.judge import METRICS, Compared, compared, is_nothing
from replay.backtest.plan import LONGEST_S, MOST_RATE
from replay.calibration.cells import Cell, cells_of
from replay.calibration.counted import Fitted, fit_host
from replay.calibration.recorded import calibrate
from replay.errors import TraceError
from replay.lab.bundles import write_bundles
from replay.lab.outcomes import outcomes
from replay.lab.policies import on_the_bench
from replay.trace.bundle import Trace, open_trace

#: The file that holds every run, beside the raw recordings.
RUNS = "runs.json"
#: What it must tell, and the longest that is read, bytes.
_TOLD = ("plan", "date", "machine", "rig", "timer", "takes", "sweep", "measured")
LONGEST = 1 << 28
#: The fitted host's name.
PROFILE = "bench"
#: What the fit may move, each seen in some counter of base or of the busy-polling run.
CONSTANTS = (
    *("irq_ns", "poll_ns", "packet_ns", "wake_ns", "notify_ns", "recorded_ns"),
    *("busy_poll_ns", "timer_start_ns", "client_ns", "interrupted_ns", "irq_latency_ns"),
)
#: A server that is busier than this, percent, without busy polling, or returns from epoll_wait less
#: often than this share of its requests, never empties its queue: what is measured of it depends on
#: how long the queue grew, not on what a step costs.
FULL = 97.0
OF_A_FULL_ONE = ("irqs", "cpu_busy")
RARELY = 0.05

#: What reading such a folder raises where a stranger has changed it.
_DAMAGED = (
    ArithmeticError,
    AttributeError,
    BadZipFile,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Backtest:
    """What was predicted and what was measured, cell by cell."""

    server: str
    kernel: str
    fitted: Fitted
    cells: tuple[Compared, ...]


def predicted(folder: Path) -> Backtest:
    """Return the backtest of the runs kept in `folder`; its bundle is written there.

    Raises TraceError where it holds none, or none that can be used.
    """
    runs = _read(folder)
    try:
        bench = _bench_of(runs, folder)
    except _DAMAGED as problem:
        told = " ".join(f"{type(problem).__name__}: {problem}".split())
        raise TraceError(
            f"{folder / RUNS}: is not as replay backtest lab --keep wrote it: {told}"
        ) from None
    known, model = bench.known, bench.model
    fitted = fit_cells(bench.trace, known, model)
    model = with_jitter(model, known, fitted)
    cells = compare(model, fitted, known, bench.measured)
    about = f"{fitted.host.about}; {bench.server}; replay backtest lab, {runs['date']}: fitted to "
    about += ", ".join(str(cell) for cell in known if not _is_full(cell))
    fitted = replace(fitted, host=replace(fitted.host, name=PROFILE, about=about))
    return Backtest(bench.server, bench.kernel, fitted, cells)


@dataclass(frozen=True)
class _Bench:
    """What was kept, as far as nothing has been predicted yet."""

    server: str
    kernel: str
    trace: Trace
    known: list[Cell]  # what the calibration may see
    measured: list[Cell]
    model: BenchModel


def _bench_of(runs: Mapping[str, Any], folder: Path) -> _Bench:
    """Return what `runs` tell; the bundle is written to `folder`. Raises what _DAMAGED lists."""
    window_s, machine = float(runs["plan"]["window_s"]), runs["machine"]
    known, measured = (cells_on_the_bench(runs[name]) for name in ("sweep", "measured"))
    if not 0 < window_s <= LONGEST_S:
        raise ValueError(f"window_s = {window_s:g} is outside 0 to {LONGEST_S:g}")
    for cell in (*known, *measured):
        if not 0 < cell.offered_per_s <= MOST_RATE:
            raise ValueError(f"rate = {cell.offered_per_s:g} is outside 1 to {MOST_RATE}")
    pauses = pauses_of(_not_full(runs["sweep"]))
    (bundle,) = write_bundles(runs, folder, folder)
    trace = open_trace(bundle)
    return _Bench(
        server=str(runs["rig"]["server"]),
        kernel=f"{machine['kernel']}, {machine['cpu_model']}",
        trace=trace,
        known=known,
        measured=measured,
        model=BenchModel(trace, pauses, window_s),
    )


def fit_cells(trace: Trace, known: list[Cell], model: BenchModel) -> Fitted:
    """Return the recording's host, fitted to the known cells that are not full."""
    told = [_told_of(cell) for cell in known]
    return fit_host(
        told, calibrate(trace, interrupted=True), CONSTANTS, arrivals=model, hold_out=False
    )


def _told_of(cell: Cell) -> Cell:
    """Return the cell with what does not depend on how long its queue grew."""
    if not _is_full(cell):
        return cell
    figures = {name: cell.figures[name] for name in OF_A_FULL_ONE if name in cell.figures}
    return replace(cell, figures=figures)


def with_jitter(model: BenchModel, known: list[Cell], fitted: Fitted) -> BenchModel:
    """Return the model with the jitter of base at its lowest load, where no queue hides it."""
    base = [cell for cell in known if not cell.policy.busy_polls and not _is_full(cell)]
    if not base:
        return model
    return model.with_jitter_of(min(base, key=lambda it: it.offered_per_s), fitted.host)


def compare(
    model: BenchModel, fitted: Fitted, known: list[Cell], measured: list[Cell]
) -> tuple[Compared, ...]:
    """Predict each measured cell and judge it."""
    seen = {_key(cell): cell for cell in known}
    found = []
    for cell in measured:
        asked = replace(cell, figures={})
        prediction = model.predict(asked, fitted.host, errors_near(cell, known, model, fitted))
        found.append(compared(cell, _told(prediction), seen=_key(cell) in seen))
    return tuple(found)


def cells_on_the_bench(runs: list[dict[str, Any]]) -> list[Cell]:
    """Return the cells of counted runs, their policies as they run on the bench."""
    cells = cells_of(outcomes(runs).to_pylist())
    return [replace(cell, policy=on_the_bench(cell.policy.name)) for cell in cells]


def errors_near(
    cell: Cell, known: list[Cell], model: BenchModel, fitted: Fitted
) -> dict[str, float]:
    """Return the model's errors, %, on the known cell of the nearest load, none where all are full.

    Counts of nothing, or of next to nothing on both sides, have none.
    """
    told = [it for it in known if not _is_full(it)]
    if not told:
        return {}
    near = min(told, key=lambda it: abs(it.offered_per_s - cell.offered_per_s))
    metrics = model.row(near, fitted.host).metrics()
    found = {}
    for name in METRICS:
        figure, value = near.figures.get(name), metrics.get(name)
        if figure is None or value is None or not figure.median:
            continue
        if is_nothing(near, name, value):
            continue
        found[name] = 100 * (value - figure.median) / figure.median
    return found


def _told(prediction: Prediction) -> dict[str, Any]:
    return {
        **{metric: prediction.metrics.get(metric) for metric in METRICS},
        "likely": prediction.likely,
        "verdict": "saturated" if prediction.saturated else "ok",
    }


def _key(cell: Cell) -> tuple[str, int]:
    return cell.policy.name, round(cell.offered_per_s)


def _is_full(cell: Cell) -> bool:
    busy, returns = cell.figures["cpu_busy"].median, cell.figures["epoll_returns"].median
    full = busy > FULL and not cell.policy.busy_polls
    return full or returns < RARELY * cell.offered_per_s


def _not_full(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    full = {_key(cell) for cell in cells_on_the_bench(runs) if _is_full(cell)}
    return [run for run in runs if (run["policy"]["name"], run["load"]["rate"]) not in full]


def _read(folder: Path) -> Mapping[str, Any]:
    place = folder / RUNS
    try:
        if place.stat().st_size > LONGEST:
            raise TraceError(f"{place}: is longer than {LONGEST:,} bytes: no run of the bench")
        found: Any = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as problem:
        raise TraceError(
            f"{place}: {getattr(problem, 'strerror', None) or 'is no JSON'}: it is written by"
            " replay backtest lab --keep"
        ) from None
    names: dict[str, Any] = found if isinstance(found, dict) else {}
    missing = [name for name in _TOLD if name not in names]
    if missing:
        raise TraceError(f"{place}: has no {', '.join(missing)}: no run of replay backtest lab")
    return names
