"""What the fit may see of the benchmark: which cells, which figures, and how well each is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from replay.backtest.cell import FIGURES
from replay.backtest.profile import MODERATED, TIMED, kind_of
from replay.backtest.reference import LOADS, Measured
from replay.errors import TraceError

#: The cells that the server's constants are fitted to, and the clients'.
SERVER_CELLS = (
    *(("200K", "base"), ("600K", "base"), ("MAX", "base")),
    *(("400K", "defer50"), ("600K", "fullbusy"), ("MAX", "defer10")),
)
CLIENT_CELLS = (("200K", "fullbusy"), ("600K", "fullbusy"), ("1000K", "fullbusy"))

LATENCIES = ("avg", "p50", "p95", "p99")

#: The least deviation of a figure, as a share of it: what no constant can mend. No percentile of a
#: histogram of bins 10 % wide, nor CPU that a tick samples, is known better than this; and where
#: the NIC moderates, how its choices wander decides how many interrupts there are, and what waits.
FLOORS = {
    TIMED: {
        **{"qps": 0.02, "avg": 0.03, "p50": 0.03, "p95": 0.05, "p99": 0.1},
        **{"cpu": 0.03, "kcycles": 0.03, "irqs": 0.1, "polls": 0.1, "epolls": 0.1},
    },
    MODERATED: {
        **{"qps": 0.02, "avg": 0.1, "p50": 0.1, "p95": 0.1, "p99": 0.2},
        **{"cpu": 0.03, "kcycles": 0.03, "irqs": 0.2, "polls": 0.2, "epolls": 0.2},
    },
}
#: And what there is less of a query is not worth a look.
_LEAST = {"polls": 0.01, "epolls": 0.01}

Place = tuple[str, str]
#: A figure that is fitted: its cell and its name.
Figure = tuple[Measured, str]


def server_figures(measured: Sequence[Measured]) -> list[Figure]:
    """Return the server's cells, each with the names of the figures that are fitted.

    Those that the load or a full CPU settle are not. Raises TraceError where a cell is missing.
    """
    return [
        (cell, name)
        for cell in _cells(measured, SERVER_CELLS)
        for name in FIGURES
        if name not in ({"qps"} if LOADS[cell.load] else LATENCIES)
        and cell.figures.get(name, 0.0) > _LEAST.get(name, 0.0)
        and not (name == "cpu" and cell.figures[name] > 99)
    ]


def client_figures(measured: Sequence[Measured]) -> list[Figure]:
    """Return the clients' cells, each with the names of the figures that are fitted."""
    return [
        (cell, name)
        for cell in _cells(measured, CLIENT_CELLS)
        for name in LATENCIES
        if cell.figures.get(name, 0.0) > 0  # a results file may say nan
    ]


def spread_of(cell: Measured, name: str) -> float:
    """Return one deviation of a figure: its floor, or the runs' spread where that is wider."""
    seen = cell.spread.get(name, 0.0)
    least = FLOORS[kind_of(cell.policy)][name]
    return max(least, seen if np.isfinite(seen) else 0.0) * cell.figures[name]


def _cells(measured: Sequence[Measured], places: Sequence[Place]) -> list[Measured]:
    """Return these cells. Raises TraceError where one was not measured."""
    by_place = {(cell.load, cell.policy): cell for cell in measured}
    for load, policy in places:
        if (load, policy) not in by_place:
            raise TraceError(f"{policy} at {load} was not measured: the fit needs it")
    return [by_place[place] for place in places]
