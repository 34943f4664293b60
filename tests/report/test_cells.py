from __future__ import annotations

import pytest

from replay.report.cells import microseconds, rate, share, signed


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0"), (0.26, "0.3"), (9.94, "9.9"), (9.96, "10"), (104_056.4, "104,056")],
)
def test_rates(value: float | None, text: str) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.04, "0.0"), (46.25, "46.2"), (99.96, "100"), (117_317.4, "117,317")],
)
def test_latencies(value: float | None, text: str) -> None:
    assert microseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(2.6, "+3%"), (-0.2, "-0%"), (999.0, "+999%"), (11_100.0, "×112")]
)
def test_errors(value: float, text: str) -> None:
    assert signed(value) == text


def test_shares() -> None:
    assert share(None) == "-"
    assert share(46.32) == "46.3"
