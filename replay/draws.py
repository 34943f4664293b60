"""Other recordings that this one could have been: constants, arrivals and minutes drawn anew.

A draw takes each constant from what is known of it, puts inferred arrivals somewhere between their
bounds, and puts the recording together from its own blocks, drawn with replacement. All policies
are replayed in the same draws, so that differences between policies are known better than each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log

import numpy as np
import numpy.typing as npt

from replay.arrivals import Offered
from replay.errors import PolicyError
from replay.host import Host
from replay.host.drawn import drawn_host
from replay.result import PERCENTILES, Row

Int64s = npt.NDArray[np.int64]
Metrics = Mapping[str, "float | None"]
Interval = tuple[float, float]

SEED = 20_260_103
#: Draws where nobody says, and packets of all their replays up to which they are made.
DRAWS = 20
MOST_DRAWS = 1000
MOST_PACKETS = 8_000_000
#: Blocks that the recording is cut into.
BLOCKS = 20
#: The share of what is told that lies within an interval.
SHARE = 0.9

#: The factor that the model misses a figure by (one deviation of its logarithm), and more where its
#: error on the measured policy is larger: it is calibrated on that policy, others it knows less.
MISSED = 0.1

#: Metrics of which none is below the one before.
_LATENCIES = tuple(f"latency_{name}" for name in (*PERCENTILES, "max"))


@dataclass(frozen=True)
class Draw:
    """One world: its host, its packets, and by what the model misses figures in it."""

    host: Host
    offer: Offered
    missed: float  # standard normal


def draws(offer: Offered, host: Host, count: int) -> Iterator[Draw]:
    """Yield `count` draws, always the same ones."""
    random = np.random.default_rng(SEED)
    for _ in range(count):
        world = drawn_host(host, random)
        other = _offer(_on(offer, host, world), random)
        yield Draw(world, other, float(random.standard_normal()))


def _on(offer: Offered, host: Host, world: Host) -> Offered:
    """Return what is offered where recording a service took what it does in the drawn world."""
    if world.recorded_ns == host.recorded_ns or not offer.services_seen:
        return offer
    work, seen = offer.workload, offer.column("service_ns", -1)
    recorded = (seen >= 0) & (work.service_ns == np.maximum(seen - host.recorded_ns, 0))
    service = np.where(recorded, np.maximum(seen - world.recorded_ns, 0), work.service_ns)
    return replace(offer, workload=replace(work, service_ns=service))


def _offer(offer: Offered, random: np.random.Generator) -> Offered:
    """Return other arrivals; those that follow answers stay as they are."""
    between, order = float(random.random()), random.integers(0, BLOCKS, BLOCKS)
    if offer.workload.closed:
        return offer
    work = offer.workload
    at = _arrivals(offer, between)
    length = -(-work.duration_ns // BLOCKS)
    cuts = np.searchsorted(work.arrival_ns, np.arange(BLOCKS + 1) * length)
    rows = np.concatenate([np.arange(cuts[it], cuts[it + 1]) for it in order])
    starts = np.repeat(np.arange(BLOCKS) - order, cuts[order + 1] - cuts[order]) * length
    moved = np.maximum(at[rows] + starts, 0)
    sorted_ = np.argsort(moved, kind="stable")  # at the seams, and where bounds cross
    rows, moved = rows[sorted_], moved[sorted_]
    inside = moved < work.duration_ns
    rows, moved = rows[inside], moved[inside]
    if not len(rows):
        return offer
    picked = rows if offer.picked is None else offer.picked[rows]
    return replace(
        offer,
        workload=replace(
            work,
            arrival_ns=moved,
            service_ns=work.service_ns[rows],
            size=None if work.size is None else work.size[rows],
        ),
        picked=picked,
        copy=None if offer.copy is None else offer.copy[rows],
    )


def _arrivals(offer: Offered, between: float) -> Int64s:
    """Return the arrivals, inferred ones that share of the way from earliest to latest."""
    at = offer.workload.arrival_ns
    early, late = (offer.column(f"{name}_ns", -1) for name in ("earliest", "latest"))
    known = (early >= 0) & (late > early)
    if offer.picked is not None or not known.any():  # copies are of their own time
        return at
    drawn = np.rint((early + between * (late - early)) / offer.load).astype(np.int64)
    return np.where(known, drawn, at)


def draws_to_make(asked: int | None, offer: Offered, scenarios: int) -> int:
    """Return how many draws are made: those asked for, else DRAWS where that is soon done.

    Raises PolicyError for a number that is none.
    """
    if asked is not None:
        if not 0 <= asked <= MOST_DRAWS:
            raise PolicyError(f"draws = {asked} is outside 0 to {MOST_DRAWS}")
        return asked
    return DRAWS if len(offer.workload.arrival_ns) * scenarios * DRAWS <= MOST_PACKETS else 0


def intervals_note(made: int, asked: int | None) -> list[str]:
    """Return what intervals are of, or that there are none."""
    if not made:
        if asked == 0:
            return []
        return ["no intervals: the recording is long; --draws 20 replays it as often"]
    return [
        f"likely: {100 * SHARE:.0f} % of {made} draws of the constants from what is known of them,"
        f" of inferred arrivals between their bounds, and of the recording's blocks; the model"
        f" itself misses a figure by {100 * MISSED:.0f} %, more where it missed what was measured"
    ]


def with_intervals(
    rows: Sequence[Row], drawn: Sequence[tuple[Sequence[Metrics], float]]
) -> list[Row]:
    """Return the rows, those of scenarios with the intervals that draws give them.

    `drawn` has the metrics of every scenario, in the order of their rows, in each draw.
    """
    if not drawn:
        return list(rows)
    replayed = [row for row in rows if row.kind != "measured" and row.queue is None]
    errors = next((row.error_pct for row in replayed if row.kind == "model"), None)
    base = next((row for row in replayed if row.kind == "model"), None)
    of_row = {
        id(row): [(metrics[place], missed) for metrics, missed in drawn]
        for place, row in enumerate(replayed)
    }
    found = []
    for row in rows:
        if id(row) in of_row:
            mine, figures = of_row[id(row)], row.metrics()
            likely = intervals(figures, mine, errors)
            apart = None
            if base is not None and row is not base:
                apart = differences(figures, mine, base.metrics(), of_row[id(base)], errors)
            row = replace(row, likely=likely, likely_difference=apart)
        found.append(row)
    return found


def intervals(
    figures: Metrics,
    drawn: Sequence[tuple[Metrics, float]],
    errors: Mapping[str, float] | None,
) -> dict[str, Interval]:
    """Return the interval of each metric of a prediction.

    `drawn` has the metrics of each draw, and its `missed`; `errors` are the model's on the measured
    policy, %, None where it was not measured. An interval holds the prediction itself.
    """
    found = {}
    for name, value in figures.items():
        values = _missed(name, drawn, errors)
        if value is None or len(values) < len(drawn):
            continue
        low, high = np.quantile(values, [(1 - SHARE) / 2, (1 + SHARE) / 2])
        found[name] = (min(float(low), value), max(float(high), value))
    return found


def differences(
    figures: Metrics,
    drawn: Sequence[tuple[Metrics, float]],
    base: Metrics,
    base_drawn: Sequence[tuple[Metrics, float]],
    errors: Mapping[str, float] | None,
) -> dict[str, Interval]:
    """Return the interval of each metric's difference to the model of the measured policy."""
    found = {}
    for name, value in figures.items():
        of_base = base.get(name)
        mine, other = _missed(name, drawn, errors), _missed(name, base_drawn, errors)
        if value is None or of_base is None or not len(mine) == len(other) == len(drawn):
            continue
        low, high = np.quantile(mine - other, [(1 - SHARE) / 2, (1 + SHARE) / 2])
        found[name] = (min(float(low), value - of_base), max(float(high), value - of_base))
    return found


def _missed(
    name: str, drawn: Sequence[tuple[Metrics, float]], errors: Mapping[str, float] | None
) -> npt.NDArray[np.float64]:
    """Return a metric in each draw that has it, with what the model misses it by.

    A percentile is missed by another factor than a lower one, but stays above it.
    """
    found = _missed_alone(name, drawn, errors)
    rank = _LATENCIES.index(name) if name in _LATENCIES else 0
    for lower in _LATENCIES[:rank]:
        below = _missed_alone(lower, drawn, errors)
        if len(below) == len(found):
            found = np.maximum(found, below)
    return found


def _missed_alone(
    name: str, drawn: Sequence[tuple[Metrics, float]], errors: Mapping[str, float] | None
) -> npt.NDArray[np.float64]:
    """Return what _missed does, whatever the other metrics are."""
    error = 0.0 if errors is None else errors.get(name, 0.0)
    factor = max(MISSED, abs(log(max(1 + error / 100, 1e-3))))
    values = [(metrics.get(name), missed) for metrics, missed in drawn]
    found = [value * exp(factor * missed) for value, missed in values if value is not None]
    most = 100.0 if name.startswith("cpu_") else np.inf
    return np.minimum(np.array(found, np.float64), most)
