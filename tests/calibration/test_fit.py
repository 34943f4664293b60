from __future__ import annotations

import numpy as np
import pytest

from replay.calibration.fit import Floats, Unknown, fit


def line(x: Floats) -> np.ndarray:
    return np.array([x[0] + x[1] * t for t in (0.0, 1.0, 2.0, 3.0)])


def unknown(name: str, value: float, deviation: float, low: float = 0.0) -> Unknown:
    return Unknown(name, value, deviation, low, 1e6)


def test_a_linear_model_has_the_textbook_posterior() -> None:
    truth, spread, prior = np.array([5.0, 2.0]), np.full(4, 0.1), np.array([3.0, 1.0])
    deviation = np.array([4.0, 3.0])
    measured = line(truth) + np.array([0.05, -0.02, 0.01, 0.03])
    unknowns = [unknown("a", 3, 4), unknown("b", 1, 3)]
    found = fit(line, measured, spread, unknowns)
    design = np.array([[1.0, t] for t in range(4)]) / 0.1
    precision = design.T @ design + np.diag(1 / deviation**2)
    expected = np.linalg.solve(precision, design.T @ (measured / 0.1) + prior / deviation**2)
    assert found.values == pytest.approx(expected, rel=1e-4)
    assert found.covariance == pytest.approx(np.linalg.inv(precision), rel=1e-6)
    assert found.figures == pytest.approx(line(found.values))
    assert found.unidentified == []


def test_a_curve_is_found_from_far_away() -> None:
    times = np.linspace(0.1, 3, 20)

    def model(x: Floats) -> Floats:
        return np.asarray(x[0] * np.exp(-times / x[1]))

    truth = np.array([120.0, 0.7])
    unknowns = [unknown("height", 40, 100, 1.0), unknown("length", 2, 2, 0.05)]
    found = fit(model, model(truth), np.full(20, 0.5), unknowns)
    assert found.values == pytest.approx(truth, rel=0.01)


def test_what_the_figures_do_not_tell_keeps_its_prior_and_is_named() -> None:
    def model(x: Floats) -> Floats:
        return np.array([x[0] + x[1], x[0] + x[1]])

    unknowns = [unknown("one", 10, 5), unknown("other", 10, 5), unknown("silent", 7, 2)]
    found = fit(model, np.array([30.0, 30.0]), np.full(2, 0.1), unknowns)
    assert found.values[0] == pytest.approx(15, rel=0.01)
    assert found.values[1] == pytest.approx(15, rel=0.01)
    assert found.values[2] == pytest.approx(7)
    assert found.unidentified == ["one", "other", "silent"]  # the sum is half of each
    assert found.learnt == pytest.approx([0.5, 0.5, 0], abs=0.01)
    assert found.deviations[2] == pytest.approx(2)
    assert found.covariance[0, 1] < 0


def test_figures_held_out_are_predicted_from_the_others() -> None:
    measured, spread = np.array([5.0, 7.2, 8.9, 20.0]), np.full(4, 0.1)
    unknowns = [unknown("a", 3, 4), unknown("b", 1, 3)]
    found = fit(line, measured, spread, unknowns)
    out = np.array([False, False, False, True])
    without = fit(lambda x: line(x)[:3], measured[:3], spread[:3], unknowns)
    assert found.held_out(out) == pytest.approx(line(without.values)[out], rel=1e-3)
    assert found.figures[3] > found.held_out(out)[0] + 1  # it had pulled
    assert found.slopes == pytest.approx(np.array([[1.0, t] for t in range(4)]))


def test_bounds_hold() -> None:
    unknowns = [Unknown("a", 3, 4, 0, 4), Unknown("b", 1, 3, 0, 9)]
    found = fit(line, line(np.array([5.0, 2.0])), np.full(4, 0.1), unknowns)
    assert found.values[0] == 4
    assert 0 <= found.values[1] <= 9
