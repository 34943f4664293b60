"""The intervals of a result: what each figure, and its difference to the model, likely is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from replay.report.cells import NOTHING, Cell, label, short
from replay.result import Result, Row

#: Metrics that are told, and their heads.
_FIGURES = {
    "requests": "req/s",
    "latency_mean": "mean",
    "latency_p50": "p50",
    "latency_p95": "p95",
    "latency_p99": "p99",
    "irqs": "irqs/s",
    "timers": "timers/s",
    "polls": "polls/s",
    "cpu_busy": "cpu%",
}
_DIFFERENCES = {
    "latency_p50": "Δp50",
    "latency_p99": "Δp99",
    "irqs": "Δirqs/s",
    "cpu_busy": "Δcpu%",
}


def likely_tables(result: Result) -> list[tuple[str, list[Cell], Sequence[Row]]]:
    """Return the table's title, columns and rows; none where nothing was drawn."""
    rows = [row for row in result.rows if row.likely is not None]
    if not rows:
        return []
    cells = [Cell("policy", label, left=True)]
    cells += [Cell(head, _interval(metric)) for metric, head in _FIGURES.items()]
    title = "Likely: nine in ten draws of constants, arrivals and blocks"
    if any(row.likely_difference for row in rows):
        title += "; Δ: the difference to the model of the measured policy, in the same draws"
        cells += [Cell(head, _difference(metric)) for metric, head in _DIFFERENCES.items()]
    return [(title, cells, rows)]


def _interval(metric: str) -> Callable[[Row], str]:
    return lambda row: _text(row.likely, metric, "")


def _difference(metric: str) -> Callable[[Row], str]:
    return lambda row: _text(row.likely_difference, metric, "+")


def _text(pairs: Mapping[str, tuple[float, float]] | None, metric: str, sign: str) -> str:
    if pairs is None or metric not in pairs:
        return NOTHING
    low, high = (short(end) for end in pairs[metric])
    if sign:
        low, high = (end if end.startswith("-") else sign + end for end in (low, high))
    return f"{low}..{high}"
