"""Normals that are correlated as a fit says, and stay normals whatever a file says."""

from __future__ import annotations

import numpy as np
import pytest

from replay.host import Cost
from replay.host.together import correlated


def drawn(costs: dict[str, Cost], count: int = 4_000) -> np.ndarray:
    random = np.random.default_rng(1)
    rows = []
    for _ in range(count):
        normals = {name: float(random.standard_normal()) for name in ("a", "b", "c")}
        rows.append(list(correlated(costs, normals).values()))
    return np.array(rows)


def cost(**together: float) -> Cost:
    return Cost(0, 1, 9, "fitted", together)


def test_without_correlations_normals_are_as_they_were() -> None:
    normals = {"a": 0.5, "b": -1.0}
    assert correlated({"a": cost(), "b": cost(z=0.9)}, normals) == normals


def test_correlations_are_as_told() -> None:
    values = drawn({"a": cost(), "b": cost(a=0.8)})
    assert np.corrcoef(values.T) == pytest.approx(
        np.array([[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]]), abs=0.05
    )
    assert values.std(axis=0) == pytest.approx([1, 1, 1], rel=0.05)


def test_correlations_that_cannot_be_still_give_normals() -> None:
    values = drawn({"a": cost(), "b": cost(a=1.0), "c": cost(a=1.0, b=-1.0)})
    assert values.std(axis=0) == pytest.approx([1, 1, 1], rel=0.05)
