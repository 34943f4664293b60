"""Cells: what was measured under one policy at one load; from a CSV, or a bundle's outcomes."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from replay.errors import PolicyError, TraceError
from replay.policy import Policy, parse_policy
from replay.trace.schema import METRICS

#: A CSV's own words for some metrics, as benchmarks print them.
WORDS = {
    "qps": "requests",
    "avg": "latency_mean",
    "mean": "latency_mean",
    **{name: f"latency_{name}" for name in ("p50", "p90", "p95", "p99", "p99.9", "max")},
    "cpu": "cpu_busy",
}
#: The metrics that a cell can have, and their units.
KNOWN = {**METRICS, "cpu_busy": "%"}
_ENDINGS = ("_q1", "_q3")

#: Largest CSV that is read, bytes.
MOST_BYTES = 1 << 24


@dataclass(frozen=True)
class Figure:
    """One metric: its median over the repetitions and their middle half; units of METRICS."""

    median: float
    q1: float
    q3: float


@dataclass(frozen=True)
class Cell:
    """A policy at an offered load, and what was measured of it."""

    policy: Policy
    offered_per_s: float  # requests
    figures: Mapping[str, Figure]  # by metric

    def __str__(self) -> str:
        return f"{self.policy.name} at {self.offered_per_s:,.0f}/s"


def read_cells(path: str | os.PathLike[str]) -> list[Cell]:
    """Return the cells of a CSV: `policy`, `load` (requests/s offered), and a column a metric.

    A metric is named as in METRICS or WORDS; METRIC_q1 and METRIC_q3 are its spread, where known.
    Empty fields were not measured. Raises TraceError in one line for what cannot be read.
    """
    place = Path(path)
    try:
        if place.stat().st_size > MOST_BYTES:
            raise TraceError(f"{place}: is larger than {MOST_BYTES:,} bytes: no table of cells")
        with place.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(
            f"{place}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    lines = [line for line in lines if any(field.strip() for field in line)]
    head = [name.strip().lower() for name in lines[0]] if lines else []
    for needed in ("policy", "load"):
        if head.count(needed) != 1:
            raise TraceError(
                f"{place}: needs one column {needed!r}, it has: {', '.join(head) or 'none'}"
            )
    metrics = [name for name in head if _metric(name) is not None]
    if not metrics:
        raise TraceError(
            f"{place}: holds no metric: a column of {', '.join((*WORDS, *KNOWN))} is needed"
        )
    if len(lines) < 2:
        raise TraceError(f"{place}: holds no cells below its head")
    return [_cell(place, number, head, line) for number, line in enumerate(lines[1:], 2)]


def cells_of(outcomes: list[dict[str, object]]) -> list[Cell]:
    """Return the cells of an outcomes table's rows, in order of load and policy."""
    found: dict[tuple[float, str], dict[str, Figure]] = {}
    for row in outcomes:
        key = float(str(row["offered_per_s"])), str(row["policy"])
        median, q1, q3 = (float(str(row[name])) for name in ("median", "q1", "q3"))
        figures = found.setdefault(key, {})
        figures[str(row["metric"])] = Figure(median, q1, q3)
        if row["metric"] == "cpu_idle":
            figures["cpu_busy"] = Figure(100 - median, 100 - q3, 100 - q1)
    return [
        Cell(parse_policy(policy), rate, figures)
        for (rate, policy), figures in sorted(found.items())
    ]


def _metric(name: str) -> str | None:
    """Return the metric that a column holds, without its ending; None for other columns."""
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    name = WORDS.get(name, name)
    return name if name in KNOWN else None


def _cell(place: Path, number: int, head: list[str], line: list[str]) -> Cell:
    """Return the cell of one line."""
    if len(line) != len(head):
        raise TraceError(f"{place}: line {number} has {len(line)} fields, its head has {len(head)}")
    fields = dict(zip(head, (field.strip() for field in line), strict=True))
    try:
        policy = parse_policy(fields["policy"])
    except PolicyError as error:
        raise TraceError(f"{place}: line {number}: {error}") from None
    load = _number(place, number, "load", fields["load"])
    if not 0 < load <= 1e9:
        raise TraceError(f"{place}: line {number}: load = {load:g} is outside 1 to 1e9 requests/s")
    figures = {}
    for name in head:
        metric = _metric(name)
        if metric is None or name.endswith(_ENDINGS) or not fields[name]:
            continue
        median = _number(place, number, name, fields[name])
        q1, q3 = (
            _number(place, number, name + ending, fields[name + ending])
            if fields.get(name + ending)
            else median
            for ending in _ENDINGS
        )
        figures[metric] = Figure(median, min(q1, median), max(q3, median))
    return Cell(policy, load, figures)


def _number(place: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (isfinite(value) and value >= 0):
        raise TraceError(f"{place}: line {line}: {name} = {text!r} is no number from 0 on")
    return value
