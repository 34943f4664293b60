"""Whether a prediction is as good as it should be: each metric, saturation, order of policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from replay.calibration.cells import Cell, Figure

#: Metrics that are judged, and by how much a prediction may miss the measured median.
METRICS = {
    "irqs": 0.10,
    "timers": 0.10,
    "polls_empty": 0.10,
    "busy_polls": 0.10,
    "epoll_returns": 0.10,
    "cpu_busy": 0.10,
    "latency_p50": 0.10,
    "latency_p95": 0.15,
    "latency_p99": 0.20,
}
#: Counts of less than this share of the requests, on both sides, are nothing on both sides.
_NOTHING = 0.01
#: A host that answers less than this share of what is offered is saturated.
SERVED = 0.98
#: Metrics by which policies are put in order.
ORDERED = ("latency_p50", "latency_p99", "cpu_busy")


@dataclass(frozen=True)
class Judged:
    """One metric of one cell."""

    predicted: float
    measured: Figure
    good: bool  # within the goal, or within the repetitions' middle half
    likely: tuple[float, float] | None = None  # the prediction's interval
    nothing: bool = False  # a count of next to nothing, predicted and measured

    @property
    def covered(self) -> bool | None:
        """Whether the measured median lies within the interval; None where there is none."""
        if self.likely is None or self.nothing:
            return None
        low, high = self.likely
        return low <= self.measured.median <= high

    @property
    def error(self) -> float | None:
        """The signed error as a share of the measured median; None where that is 0."""
        median = self.measured.median
        return (self.predicted - median) / median if median else None


@dataclass(frozen=True)
class Compared:
    """One cell: predicted and measured."""

    policy: str
    rate: float
    seen: bool  # the calibration saw it: no prediction
    judged: Mapping[str, Judged]
    saturated: bool  # as measured
    predicted_saturated: bool
    served: float  # requests/s measured


def is_nothing(cell: Cell, metric: str, predicted: float) -> bool:
    """Whether a metric is a count of next to nothing, as predicted and as measured."""
    if metric.startswith(("latency_", "cpu_")):
        return cell.figures[metric].median == 0
    return max(predicted, cell.figures[metric].median) < _NOTHING * cell.offered_per_s


def compared(cell: Cell, predicted: Mapping[str, Any], *, seen: bool) -> Compared:
    """Judge a measured cell; of a saturated one no latency, which says how long it ran."""
    served = cell.figures["requests"].median
    saturated = served < SERVED * cell.offered_per_s
    judged = {}
    for metric, goal in METRICS.items():
        figure, value = cell.figures.get(metric), predicted.get(metric)
        if figure is None or value is None or (saturated and metric.startswith("latency_")):
            continue
        near = abs(value - figure.median) <= goal * figure.median
        nothing = is_nothing(cell, metric, value)
        inside = figure.q1 <= value <= figure.q3
        likely = predicted.get("likely", {}).get(metric)
        judged[metric] = Judged(value, figure, near or nothing or inside, likely, nothing)
    return Compared(
        cell.policy.name,
        cell.offered_per_s,
        seen,
        judged,
        saturated,
        predicted["verdict"] == "saturated",
        served,
    )


def orders(cells: Sequence[Compared], metric: str) -> tuple[int, int]:
    """Return how many pairs of policies are in the right order by `metric`, and how many there are.

    Pairs under one load whose middle halves do not overlap; at least one of them a prediction.
    """
    right = pairs = 0
    for one, other in combinations(cells, 2):
        if one.rate != other.rate or (one.seen and other.seen):
            continue
        if metric not in one.judged or metric not in other.judged:
            continue
        a, b = one.judged[metric], other.judged[metric]
        if a.measured.q3 < b.measured.q1 or b.measured.q3 < a.measured.q1:
            pairs += 1
            measured = a.measured.median < b.measured.median
            right += measured == (a.predicted < b.predicted)
    return right, pairs
