"""Where a measurement likely lies: the interval around each predicted figure.

Three things widen it: what the fit left open of the constants (drawn with their correlations),
what other arrivals would have done (each draw has its own seed), and what the model misses even
then: the factor by which the fit missed figures that were held out. Logarithms of figures are taken
to be normal around the prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log, sqrt
from statistics import NormalDist

from replay.backtest.cell import Figures

#: The share of what is measured that is to lie within an interval.
SHARE = 0.9
_REACH = NormalDist().inv_cdf((1 + SHARE) / 2)

Interval = tuple[float, float]


def likely(
    predicted: Figures, drawn: Sequence[Figures], missed: Mapping[str, float]
) -> dict[str, Interval]:
    """Return each figure's interval; none for what did not happen. CPU ends at 100 %.

    What does not happen in every draw has no logarithm there: it may be missing, or as large as in
    the draw that has most of it.
    """
    found = {}
    for name, value in predicted.items():
        if value <= 0:
            continue
        runs = [run[name] for run in drawn]
        if min(runs, default=value) > 0:
            apart = [log(run / value) ** 2 for run in runs]
            spread = sqrt(sum(apart) / max(1, len(apart)) + missed[name] ** 2)
            low, high = value * exp(-_REACH * spread), value * exp(_REACH * spread)
        else:
            low, high = 0.0, max(value, *runs) * exp(_REACH * missed[name])
        most = 100.0 if name == "cpu" else high
        found[name] = (min(low, most), min(high, most))
    return found
