"""Constants from measurements: the most likely ones, given what was known of each before.

Minimises the sum of squares of (model - measured) / spread over all figures, plus (constant -
prior) / prior's deviation squared for each constant, within bounds, by damped Gauss-Newton steps
(Levenberg-Marquardt); derivatives are differences. Around the minimum the same squares give the
constants' covariance, and what they would be without some of the figures. What the figures say
nothing of keeps its prior, and is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: A constant is identified where the figures halve its prior's deviation at least: where they take
#: this share of the variance away.
IDENTIFIED = 0.75

#: Differences span this share of a constant's prior deviation: replays are steps, not curves.
_STEP = 0.2
_ROUNDS = 12
_ENOUGH = 1e-3  # of the sum of squares, that a round must gain


@dataclass(frozen=True)
class Unknown:
    """A constant to be fitted: what is known of it before."""

    name: str
    value: float
    deviation: float  # one standard deviation of the prior, above 0
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """The constants found, in the order of the unknowns."""

    unknowns: tuple[Unknown, ...]
    values: Floats  # shape (unknowns,)
    covariance: Floats  # (unknowns, unknowns)
    figures: Floats  # the model's, at these values
    slopes: Floats  # (figures, unknowns): by how much each figure moves with each constant
    measured: Floats
    spread: Floats  # one standard deviation of each figure
    cost: float  # sum of squares, priors included
    replays: int  # times the model was asked

    @property
    def deviations(self) -> Floats:
        """One standard deviation of each constant, afterwards."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def learnt(self) -> Floats:
        """The share of each prior's variance that the figures took away."""
        before = np.array([unknown.deviation for unknown in self.unknowns])
        shares: Floats = 1.0 - np.diag(self.covariance) / before**2
        return shares

    @property
    def unidentified(self) -> list[str]:
        """Constants of which the figures say little."""
        pairs = zip(self.unknowns, self.learnt, strict=True)
        return [unknown.name for unknown, share in pairs if share < IDENTIFIED]

    def held_out(self, out: Flags) -> Floats:
        """Return what the figures marked in `out` are predicted to be from all others.

        The model is taken to be straight around the minimum: nothing is replayed.
        """
        found: Floats = self.figures[out] + self.slopes[out] @ (self.without(out) - self.values)
        return found

    def without(self, out: Flags) -> Floats:
        """Return the constants that all figures but those marked in `out` lead to.

        The model is taken to be straight around the minimum: nothing is replayed.
        """
        deviation = np.array([unknown.deviation for unknown in self.unknowns])
        prior = np.array([unknown.value for unknown in self.unknowns])
        rows = np.vstack([self.slopes[~out] / self.spread[~out, None], np.diag(1 / deviation)])
        left = np.append(
            (self.measured - self.figures)[~out] / self.spread[~out],
            (prior - self.values) / deviation,
        )
        change = np.linalg.lstsq(rows, left, rcond=None)[0]
        low = np.array([unknown.low for unknown in self.unknowns])
        high = np.array([unknown.high for unknown in self.unknowns])
        found: Floats = np.clip(self.values + change, low, high)
        return found


def fit(
    model: Callable[[Floats], Floats],
    measured: Floats,
    spread: Floats,
    unknowns: Sequence[Unknown],
) -> Fit:
    """Return the constants at which `model` comes closest to `measured`.

    `model` takes values in the order of `unknowns` and returns figures of the shape of `measured`
    and `spread`, the latter above 0.
    """
    low = np.array([unknown.low for unknown in unknowns], np.float64)
    high = np.array([unknown.high for unknown in unknowns], np.float64)
    prior = np.array([unknown.value for unknown in unknowns], np.float64)
    deviation = np.array([unknown.deviation for unknown in unknowns], np.float64)
    asked = 0

    def residuals(values: Floats) -> tuple[Floats, Floats]:
        nonlocal asked
        asked += 1
        figures = model(values)
        return np.append((figures - measured) / spread, (values - prior) / deviation), figures

    def slopes(values: Floats, here: Floats) -> Floats:
        columns = []
        for place in range(len(values)):
            by = _STEP * deviation[place]
            moved = values.copy()
            moved[place] += by if values[place] + by <= high[place] else -by
            moved = np.clip(moved, low, high)
            columns.append((residuals(moved)[0] - here) / (moved[place] - values[place]))
        return np.stack(columns, axis=1)

    values = np.clip(prior, low, high)
    here, figures = residuals(values)
    damping = 1e-2
    matrix = slopes(values, here)
    for _ in range(_ROUNDS):
        square, gradient = matrix.T @ matrix, matrix.T @ here
        before = float(here @ here)
        for _ in range(6):
            change = np.linalg.solve(square + damping * np.diag(np.diag(square)), -gradient)
            moved = np.clip(values + change, low, high)
            there, other = residuals(moved)
            if there @ there < before:
                break
            damping *= 6
        else:
            break
        values, here, figures, damping = moved, there, other, max(damping / 4, 1e-6)
        matrix = slopes(values, here)
        if before - float(here @ here) < _ENOUGH * before:
            break
    covariance = np.asarray(np.linalg.inv(matrix.T @ matrix), np.float64)
    return Fit(
        tuple(unknowns),
        values,
        covariance,
        figures,
        matrix[: len(measured)] * spread[:, None],
        measured,
        spread,
        float(here @ here),
        asked,
    )
