"""A host from counters: the constants at which the model comes closest to measured cells.

How it is fitted is in `replay.calibration.fit`. Each constant's prior is the value of a host that
was there before; its deviation is that of its samples, at least a quarter of the value, and half of
the value where it was never measured. A figure's deviation is that of its repetitions, at least
FLOORS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from replay.calibration.cells import Cell
from replay.calibration.constants import QUARTILE, fitted_host, warnings_of, with_constants
from replay.calibration.fit import Fit, Floats, Unknown, fit
from replay.calibration.predict import Arrivals, Model
from replay.errors import PolicyError, nearest
from replay.host import Host

#: Constants that counters can tell something of, and what of the model they move.
FITTABLE = (
    *(
        "irq_latency_ns",
        "irq_ns",
        "timer_latency_ns",
        "timer_ns",
        "timer_start_ns",
        "timer_later_ns",
    ),
    *("poll_ns", "packet_ns", "exit_ns", "idle_ns", "wake_ns", "sleep_ns", "epoll_ns"),
    *("event_ns", "request_ns", "transmit_ns", "notify_ns", "busy_poll_ns", "cold_ns"),
    *("recorded_ns", "client_ns", "interrupted_ns"),
)
#: What is fitted where nobody says: the costs that dominate, each seen in some counter.
USUAL = (
    *("irq_ns", "timer_ns", "poll_ns", "packet_ns", "wake_ns", "request_ns", "busy_poll_ns"),
    "client_ns",
)
#: Metrics that are fitted, and the least deviation of each, as a share of the figure. The rest of
#: it is the model's: what no constant can mend.
FLOORS = {
    "irqs": 0.05,
    "timers": 0.05,
    "polls": 0.05,
    "busy_polls": 0.05,
    "epoll_returns": 0.03,
    "cpu_busy": 0.03,
    "latency_p50": 0.03,
}
#: And as a share of the requests, of counters; of latencies, us; of CPU, points.
_LEAST = {"latency": 0.5, "cpu": 0.5}
_LEAST_RATE = 0.01


@dataclass(frozen=True)
class Fitted:
    """A host whose constants were fitted, and how well that went."""

    host: Host
    fit: Fit
    errors: Mapping[str, Mapping[str, float]]  # cell: metric: signed %, each cell held out in turn
    warnings: tuple[str, ...]


def fit_host(
    cells: Sequence[Cell],
    prior: Host,
    names: Sequence[str] = USUAL,
    *,
    arrivals: Model | None = None,
    hold_out: bool = True,
) -> Fitted:
    """Return `prior` with the constants `names` fitted to `cells`.

    With `hold_out` each cell is also predicted from a fit of all others. Raises PolicyError where
    a constant is unknown, or there are fewer figures than constants.
    """
    for name in names:
        if name not in FITTABLE:
            raise PolicyError(
                f"fit: {name!r} is none of {', '.join(FITTABLE)}{nearest(name, FITTABLE)}"
            )
    if len(set(names)) < len(names):
        raise PolicyError(f"fit: a constant is named twice: {', '.join(names)}")
    figures = sum(len(_fitted_metrics(cell)) for cell in cells)
    if figures < len(names):
        raise PolicyError(
            f"fit: {len(names)} constants need as many figures, {len(cells)} cells hold"
            f" {figures} ({', '.join(FLOORS)}): measure more, or name fewer with --fit"
        )
    arrivals = arrivals or Arrivals()
    unknowns = [_unknown(prior, name) for name in names]
    found = _fit(cells, prior, unknowns, arrivals)
    errors = {}
    if hold_out and len(cells) > 1:
        for place, cell in enumerate(cells):
            others = [*cells[:place], *cells[place + 1 :]]
            without = fitted_host(prior, _fit(others, prior, unknowns, arrivals))
            errors[str(cell)] = _errors(cell, without, arrivals)
    return Fitted(fitted_host(prior, found), found, errors, warnings_of(found))


def _fit(cells: Sequence[Cell], prior: Host, unknowns: list[Unknown], arrivals: Model) -> Fit:
    wanted = [(cell, metric) for cell in cells for metric in _fitted_metrics(cell)]
    measured = np.array([cell.figures[metric].median for cell, metric in wanted])
    spread = np.array([_deviation(cell, metric) for cell, metric in wanted])

    def model(values: Floats) -> Floats:
        host = with_constants(prior, [it.name for it in unknowns], values)
        rows = {id(cell): arrivals.row(cell, host).metrics() for cell in cells}
        told = [rows[id(cell)].get(metric) for cell, metric in wanted]
        # what a row does not tell (too few requests for a percentile) is as measured
        return np.array([m if t is None else t for t, m in zip(told, measured, strict=True)])

    return fit(model, measured, spread, unknowns)


def _fitted_metrics(cell: Cell) -> list[str]:
    """Return the metrics that are fitted: a saturated cell's latency says how long it ran."""
    served = cell.figures.get("requests")
    saturated = served is not None and served.median < 0.98 * cell.offered_per_s
    return [
        metric
        for metric in FLOORS
        if metric in cell.figures and not (saturated and metric.startswith("latency_"))
    ]


def _deviation(cell: Cell, metric: str) -> float:
    """Return one standard deviation of a figure, and of what the model may miss it by."""
    figure = cell.figures[metric]
    least = _LEAST.get(metric.partition("_")[0], _LEAST_RATE * cell.offered_per_s)
    seen = (figure.q3 - figure.q1) / (2 * QUARTILE)
    return max(seen, FLOORS[metric] * figure.median, least)


def _unknown(prior: Host, name: str) -> Unknown:
    value = float(getattr(prior, name))
    cost = prior.costs.get(name)
    seen = (cost.q3 - cost.q1) / (2 * QUARTILE) if cost and cost.samples else value / 2
    return Unknown(name, value, max(seen, value / 4, 100.0), 0.0, max(20 * value, 20_000.0))


def _errors(cell: Cell, host: Host, arrivals: Model) -> dict[str, float]:
    """Return the signed errors in percent of a cell's figures."""
    told = arrivals.row(cell, host).metrics()
    found = {}
    for metric in _fitted_metrics(cell):
        measured, guess = cell.figures[metric].median, told.get(metric)
        if measured and guess is not None:
            found[metric] = 100 * (guess - measured) / measured
    return found
