from __future__ import annotations

import numpy as np
import pytest

from replay.calibration.design import MOST, design, straightened
from replay.calibration.fit import Floats


@pytest.mark.parametrize("constants", [1, 2, 7, MOST])
def test_every_constant_moves_independently_of_all_others(constants: int) -> None:
    runs = design(constants)
    assert np.array_equal(runs.T @ runs, len(runs) * np.eye(constants))
    assert not runs.sum(axis=0).any()
    pairs = (runs[:, :, None] * runs[:, None, :]).reshape(len(runs), -1)
    assert not (runs.T @ pairs).any()  # two constants together do not look like a third


def test_a_straight_model_is_found_and_does_not_scatter() -> None:
    slopes, centre = np.array([[1.0, -2, 3], [0.0, 5, 7]]), np.array([10.0, 20, 30])
    found = straightened(lambda x: slopes @ x + 4, centre, np.array([1.0, 2, 3]))
    assert found.slopes == pytest.approx(slopes)
    assert found.figures == pytest.approx(slopes @ centre + 4)
    assert found(np.zeros(3)) == pytest.approx([4, 4])
    assert found.scatter == pytest.approx([0, 0], abs=1e-9)


def test_scatter_is_told_and_slopes_are_known_better_than_by_differences() -> None:
    random = np.random.default_rng(1)

    def model(x: Floats) -> Floats:
        return np.array([x.sum()] * 400) + random.normal(0, 3.0, 400)

    found = straightened(model, np.full(10, 5.0), np.ones(10))
    assert found.scatter.mean() == pytest.approx(3, rel=0.1)
    assert found.slopes.mean(axis=0) == pytest.approx(np.ones(10), abs=0.2)
    # of one difference it would be 3 x the root of 2
    assert found.slopes.std() == pytest.approx(3 / np.sqrt(24), rel=0.1)
