"""One part of an inspection: rows of figures under a title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from replay.engine.histogram import Histogram
from replay.units import MICROSECOND

Figures = dict[str, Any]  # text, whole numbers, fractions, None where nothing was seen


@dataclass(frozen=True)
class Section:
    """Rows with the same keys; a key's ending is its unit (_us, _pct, _per_s)."""

    name: str
    title: str
    rows: Sequence[Figures]


def spread_us(times: Histogram) -> Figures:
    """Return the mean, percentiles and maximum of times in ns, as us."""
    figures: Figures = {"mean_us": None if times.mean is None else times.mean / MICROSECOND}
    for name, share in (("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99)):
        value = times.quantile(share)
        figures[name] = None if value is None else value / MICROSECOND
    return {**figures, "max_us": times.high / MICROSECOND if times.count else None}


def percent(part: float, whole: float) -> float | None:
    """Return the share in percent; None of nothing."""
    return 100 * part / whole if whole else None
