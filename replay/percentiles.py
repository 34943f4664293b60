"""Percentiles of a histogram, told only where enough values lie beyond them."""

from __future__ import annotations

from replay.engine.histogram import Histogram
from replay.result import PERCENTILES
from replay.units import MICROSECOND

#: Values that must lie beyond a percentile for it to be told.
BEYOND = 10


def told(histogram: Histogram, name: str) -> float | None:
    """Return a percentile of PERCENTILES in ns; None where ten values do not lie beyond."""
    share = PERCENTILES[name]
    enough = round(histogram.count * (1 - share), 6) >= BEYOND
    return histogram.quantile(share) if enough else None


def latencies(histogram: Histogram, client_ns: int) -> dict[str, float | None]:
    """Return mean, percentiles and maximum in us, `client_ns` added to each."""
    values: dict[str, float | None] = {"mean": histogram.mean}
    values.update({name: told(histogram, name) for name in PERCENTILES})
    values["max"] = float(histogram.high) if histogram.count else None
    return {
        name: None if value is None else (value + client_ns) / MICROSECOND
        for name, value in values.items()
    }
