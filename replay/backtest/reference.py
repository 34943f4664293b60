"""What was measured: the cover letter's table, and the further counters of a results file."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from replay.backtest.cell import FIGURES
from replay.errors import TraceError

#: Loads as the letter names them, and the queries/s that were offered; MAX is unthrottled.
LOADS = {f"{thousands}K": thousands * 1000 for thousands in (200, 400, 600, 800, 1000)} | {"MAX": 0}

LONGEST = 1 << 24  # bytes of a results file

#: `napi_poll` events/s of the rest of that machine, each of one packet: 0.36 million a run of 30 s.
BACKGROUND_POLLS = 12_000.0
#: Fewer interrupts/s are the machine's own.
FEWEST_IRQS = 1_000.0
#: Event histograms that saw less than this share of the queries were cut off.
SEEN = 0.97
#: The letter divides cycles of 10 s by the queries of 30 s.
CYCLES = 3.0

#: Figure: (column of a results file, column of its spread).
_COLUMNS = {
    "qps": ("qps", "cov_qps"),
    "avg": ("lat_avg_us", "cov_lat_avg"),
    "p50": ("lat_p50_us", "cov_lat_p50"),
    "p95": ("lat_p95_us", "cov_lat_p95"),
    "p99": ("lat_p99_us", "cov_lat_p99"),
    "cpu": ("cpu", "cov_cpu"),
    "kcycles": ("cyc_pq", "cov_cyc_pq"),
    "irqs": ("irq_per_s", "cov_irq_per_s"),
    "polls": ("polls_pq", "cov_polls_pq"),
    "epolls": ("epolls_pq", "cov_epolls_pq"),
}
_MORE = ("load", "policy", "polls_zero_pq", "mean_ret")


@dataclass(frozen=True)
class Measured:
    """One measured cell. A figure that was not measured is absent."""

    load: str
    policy: str
    figures: dict[str, float]
    spread: dict[str, float] = field(default_factory=dict)  # standard deviation over mean of runs


def letter() -> list[Measured]:
    """Return the cover letter's 72 cells, in its order."""
    text = files("replay.backtest").joinpath("published.csv").read_text(encoding="utf-8")
    found = []
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        number = {name: float(row[name]) for name in ("qps", "avg", "p95", "p99", "cpu", "cpq")}
        figures = {name: number[name] for name in ("qps", "avg", "p95", "p99", "cpu")}
        figures["kcycles"] = CYCLES * number["cpq"] / 1000
        found.append(Measured(row["load"], row["policy"], figures))
    return found


def results(path: Path) -> list[Measured]:
    """Return the cells of a results file (see ../README of the benchmark's reference data).

    Raises TraceError naming the file, the line and the column that cannot be used.
    """
    try:
        if path.stat().st_size > LONGEST:
            raise TraceError(f"{path}: is longer than {LONGEST:,} bytes: no table of cells")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TraceError(f"{path}: is no text") from None
    rows = csv.DictReader(lines)
    needed = [*_MORE, *(name for pair in _COLUMNS.values() for name in pair)]
    missing = [name for name in needed if name not in (rows.fieldnames or ())]
    if missing:
        raise TraceError(f"{path}: lacks the columns {', '.join(missing)}")
    names = {qps: name for name, qps in LOADS.items()}
    found = []
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        load = int(_number(where, row, "load"))
        if load not in names:
            told = ", ".join(str(qps) for qps in names)
            raise TraceError(f"{where}: load = {load} is none of {told}")
        found.append(_measured(where, names[load], row))
    if not found:
        raise TraceError(f"{path}: has no cells")
    return found


def _measured(where: str, load: str, row: dict[str, str]) -> Measured:
    """Return one cell of a results file: background removed, what was cut off left out."""
    number = {name: _number(where, row, column) for name, (column, _) in _COLUMNS.items()}
    spread = {name: _number(where, row, column) for name, (_, column) in _COLUMNS.items()}
    number["kcycles"] /= 1000
    number["polls"] -= _number(where, row, "polls_zero_pq") + BACKGROUND_POLLS / number["qps"]
    if number["epolls"] * _number(where, row, "mean_ret") < SEEN:
        del number["epolls"]
    if number["irqs"] < FEWEST_IRQS:
        del number["irqs"]
    policy = row["policy"]
    return Measured(
        load, policy, {name: number[name] for name in FIGURES if name in number}, spread
    )


def _number(where: str, row: dict[str, str], column: str) -> float:
    """Return a number of a row, 0 or more; nan where it says so. Raises TraceError."""
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        raise TraceError(f"{where}: {column} = {row[column]!r} is no number") from None
    if value < 0 or value == float("inf"):
        raise TraceError(f"{where}: {column} = {value} is outside 0 to any number")
    return value
