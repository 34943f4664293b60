"""A model that scatters, made straight: its slopes from a design in which all constants move.

A replay wanders with the smallest change of a constant, so that differences of two replays are
mostly chance. In a design of Plackett and Burman (Biometrika 1946), folded over, every constant is
at its upper value in half of the replays and at its lower one in the others, independently of all
others: each slope is told by all replays, and free of what two constants do together. What the
straight model leaves over is the model's scatter, and its curvature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from replay.calibration.fit import Floats

#: The generator of the design of twelve runs, for up to eleven constants.
_FIRST = (1, 1, -1, 1, 1, 1, -1, -1, -1, 1, -1)
MOST = len(_FIRST)


@dataclass(frozen=True)
class Straight:
    """A model near `centre`: figures at it, and by how much they move with each constant."""

    centre: Floats  # (constants,)
    figures: Floats  # (figures,)
    slopes: Floats  # (figures, constants)
    scatter: Floats  # (figures,): one deviation of what a replay differs by

    def __call__(self, values: Floats) -> Floats:
        """Return the figures at `values`."""
        found: Floats = self.figures + self.slopes @ (values - self.centre)
        return found


def design(constants: int) -> Floats:
    """Return the runs, 1 or -1 by constant; shape (24, constants), constants 1 to MOST."""
    rows = [np.roll(_FIRST, shift) for shift in range(MOST)]
    half = np.array([*rows, np.full(MOST, -1)], np.float64)
    return np.vstack([half, -half])[:, :constants]


def straightened(model: Callable[[Floats], Floats], centre: Floats, step: Floats) -> Straight:
    """Return `model` made straight between `centre` - `step` and `centre` + `step`.

    Both are of shape (constants,), at most MOST; the model is asked 24 times.
    """
    runs = design(len(centre))
    told = np.array([model(centre + run * step) for run in runs])
    figures = told.mean(axis=0)
    effects = runs.T @ told / len(runs)  # the columns are orthogonal
    left = told - figures - runs @ effects
    freedom = len(runs) - 1 - len(centre)
    scatter = np.sqrt((left**2).sum(axis=0) / freedom)
    return Straight(centre, figures, (effects / step[:, None]).T, scatter)
