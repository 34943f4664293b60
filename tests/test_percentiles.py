from __future__ import annotations

import numpy as np
import pytest

from replay.engine.histogram import Histogram
from replay.percentiles import latencies, told


@pytest.mark.parametrize(
    ("count", "known"),
    [(0, 0), (19, 0), (20, 1), (100, 2), (200, 3), (999, 3), (1_000, 4), (10_000, 5), (99_999, 5)],
)
def test_a_percentile_is_told_where_ten_values_lie_beyond(count: int, known: int) -> None:
    values = latencies(Histogram.of(np.full(count, 5_000, np.int64)), 0)
    percentiles = [name for name in values if name.startswith("p")]
    assert sum(values[name] is not None for name in percentiles) == known
    assert (values["max"] is None) == (count == 0)


def test_latencies_are_in_us_between_the_ends_asked_for() -> None:
    histogram = Histogram.of(np.full(100, 1_500, np.int64))
    values = latencies(histogram, 20_000)
    assert values["mean"] == values["max"] == pytest.approx(21.5)
    assert values["p50"] == pytest.approx(21.5)
    assert told(histogram, "p50") == 1_500
