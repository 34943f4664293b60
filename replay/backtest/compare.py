"""Predictions beside measurements: errors, what is no test, the goals, the order of policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import isfinite
from statistics import mean, median

from replay.backtest.cell import Figures
from replay.backtest.reference import Measured


@dataclass(frozen=True)
class Cell:
    """One cell, predicted and measured."""

    measured: Measured
    predicted: Figures
    fitted: bool  # constants come from it: it is shown and not scored
    bistable: bool  # small causes have large effects: it is shown and not scored
    likely: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # 90 % interval

    @property
    def scored(self) -> bool:
        """Whether it is a test of the model."""
        return not (self.fitted or self.bistable)

    def error(self, name: str) -> float | None:
        """Return the error of a figure in percent, CPU's in points; None: not measured."""
        seen = self.measured.figures.get(name)
        if seen is None or not isfinite(seen) or (seen <= 0 and name != "cpu"):
            return None
        off = self.predicted[name] - seen
        return off if name == "cpu" else 100 * off / seen

    def inside(self, name: str) -> bool | None:
        """Return whether a figure's measured value is in its interval; None: one is not known."""
        if name not in self.likely or self.error(name) is None:
            return None
        low, high = self.likely[name]
        return low <= self.measured.figures[name] <= high


@dataclass(frozen=True)
class Goal:
    """How large an error may be, in percent or points: the median of the scored cells' or more."""

    about: str
    name: str
    loads: tuple[str, ...]
    policies: tuple[str, ...]  # () is all
    median: float
    mean: float | None = None

    def errors(self, cells: Iterable[Cell]) -> list[float]:
        """Return the sizes of the errors of the scored cells that the goal is about."""
        found = []
        for cell in cells:
            mine = cell.measured.load in self.loads and (
                not self.policies or cell.measured.policy in self.policies
            )
            error = cell.error(self.name) if mine and cell.scored else None
            if error is not None:
                found.append(abs(error))
        return found


_BELOW, _ABOVE = ("200K", "400K", "600K", "800K"), ("1000K", "MAX")
_BASE, _SUSPEND0 = ("base",), ("suspend0",)

#: What the model is to reach.
GOALS = (
    Goal("up to 800K", "avg", _BELOW, (), 2, 5),
    Goal("up to 800K", "p95", _BELOW, (), 3, 8),
    Goal("up to 800K", "p99", _BELOW, (), 4, 10),
    Goal("up to 800K", "cpu", _BELOW, (), 3),
    Goal("up to 800K", "kcycles", _BELOW, (), 3),
    Goal("up to 800K", "polls", _BELOW, (), 8),
    Goal("up to 800K", "epolls", _BELOW, (), 8),
    Goal("base, up to 800K", "avg", _BELOW, _BASE, 8),
    Goal("base, up to 800K", "p99", _BELOW, _BASE, 10),
    Goal("base, up to 800K", "irqs", _BELOW, _BASE, 8),
    Goal("suspend0, up to 800K", "avg", _BELOW, _SUSPEND0, 10),
    Goal("suspend0, up to 800K", "p95", _BELOW, _SUSPEND0, 20),
    Goal("1000K and MAX", "qps", _ABOVE, (), 3),
    Goal("1000K and MAX", "p95", _ABOVE, (), 8),
    Goal("1000K and MAX", "p99", _ABOVE, (), 8),
)


@dataclass(frozen=True)
class Score:
    """What the scored cells say of a goal; None where there are none."""

    goal: Goal
    cells: int
    median: float | None
    mean: float | None

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        if self.median is None or self.mean is None:
            return False
        enough = self.goal.mean is None or self.mean <= self.goal.mean
        return self.median <= self.goal.median and enough


def scores(cells: Sequence[Cell]) -> list[Score]:
    """Return how the cells do, goal by goal."""
    found = []
    for goal in GOALS:
        errors = goal.errors(cells)
        middle, average = (median(errors), mean(errors)) if errors else (None, None)
        found.append(Score(goal, len(errors), middle, average))
    return found


def covered(cells: Iterable[Cell]) -> dict[str, tuple[int, int]]:
    """Return, by figure, how many of the scored cells' intervals hold what was measured, of all."""
    found: dict[str, tuple[int, int]] = {}
    for cell in cells:
        for name in cell.likely:
            inside = cell.inside(name)
            if cell.scored and inside is not None:
                held, number = found.get(name, (0, 0))
                found[name] = held + inside, number + 1
    return found


@dataclass(frozen=True)
class Order:
    """How many pairs of policies at a load the prediction puts in the measured order."""

    name: str
    pairs: int
    wrong: tuple[str, ...]  # load: one, other


def orders(cells: Sequence[Cell]) -> list[Order]:
    """Return, for p99, CPU and throughput, the pairs whose measured spreads do not overlap.

    A spread is the mean less and plus the runs' standard deviation. Without spreads none counts.
    """
    found = []
    for name in ("p99", "cpu", "qps"):
        pairs, wrong = 0, []
        for one, other in combinations(cells, 2):
            if one.measured.load != other.measured.load or not _apart(one, other, name):
                continue
            pairs += 1
            seen = one.measured.figures[name] - other.measured.figures[name]
            if (one.predicted[name] - other.predicted[name]) * seen <= 0:
                wrong.append(f"{one.measured.load}: {one.measured.policy}, {other.measured.policy}")
        found.append(Order(name, pairs, tuple(wrong)))
    return found


def _apart(one: Cell, other: Cell, name: str) -> bool:
    """Whether the spreads of two cells are known and do not overlap."""
    reach = 0.0
    for cell in (one, other):
        cov = cell.measured.spread.get(name)
        if cov is None or not isfinite(cov):
            return False
        reach += cov * cell.measured.figures[name]
    return abs(one.measured.figures[name] - other.measured.figures[name]) > reach
