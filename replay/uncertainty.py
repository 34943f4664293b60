"""What it does to a prediction that arrivals are known within bounds only, or follow answers.

Arrivals that were rebuilt from a host's events have an earliest and a latest instant each. The same
scenarios are replayed with all packets at their earliest, and with all at their latest: with the
replay of the estimated arrivals these give a range for each percentile. Mixtures of the two may
fall outside, but as a queue's packets keep their order, rarely far.

A client that waits for answers sends its next request later where these come later, but by how much
depends on what it does meanwhile: requests that follow the answers by the recorded think times, and
requests at their recorded times whatever the answers, are the two ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from replay.arrivals import LONGEST_NS, Offered
from replay.mapped import zeros
from replay.units import MICROSECOND

Int64s = npt.NDArray[np.int64]

#: Percentiles that a range is told of.
TOLD = ("p50", "p95", "p99")


@dataclass(frozen=True)
class Bounds:
    """What else may have been offered, and why, in words."""

    others: tuple[Offered, ...]
    why: str


def bounds_of(offer: Offered) -> Bounds | None:
    """Return the bounds of what was offered; None where arrivals are exact."""
    if offer.workload.closed:
        opened = replace(offer, workload=replace(offer.workload, parent=None, think_ns=None))
        return Bounds(
            (opened,),
            "clients wait for answers: ranges are of replays where requests follow the answers by"
            " the recorded think times, and where they come as recorded whatever the answers",
        )
    if offer.picked is not None:
        return None
    known = 0
    widths: list[Int64s] = []
    for early, late in zip(
        offer.chunks("earliest_ns", -1), offer.chunks("latest_ns", -1), strict=True
    ):
        wide = (late - early)[(early >= 0) & (late > early)]
        known += len(wide)
        widths.append(wide[:: max(1, len(wide) >> 12)])
    if not known:
        return None
    width = np.median(np.concatenate(widths)) / MICROSECOND
    return Bounds(
        tuple(_moved(offer, _times(offer, f"{end}_ns")) for end in ("earliest", "latest")),
        f"{known:,} arrivals were inferred, half of them within {width:.3g} µs: ranges are of"
        " replays at the earliest, the estimated and the latest instants",
    )


def _times(offer: Offered, name: str) -> Int64s:
    """Return one bound of each arrival, at the load; the arrival itself where it has none."""
    estimated = offer.workload.arrival_ns
    found, end = zeros(len(estimated)), 0
    for part in offer.chunks(name, -1):
        start, end = end, end + len(part)
        times = np.rint(np.minimum(part, LONGEST_NS) / offer.load).astype(np.int64)
        found[start:end] = np.where(part < 0, estimated[start:end], times)
    return found


def _moved(offer: Offered, arrival: Int64s) -> Offered:
    """Return what is offered where packets arrive at other times."""
    work = offer.workload
    if np.all(arrival[1:] >= arrival[:-1]):
        return replace(offer, workload=replace(work, arrival_ns=arrival))
    order = np.argsort(arrival, kind="stable")
    size = None if work.size is None else work.size[order]
    return replace(
        offer,
        workload=replace(
            work, arrival_ns=arrival[order], service_ns=work.service_ns[order], size=size
        ),
        picked=order,
    )


def ranges(
    estimated: Mapping[str, float | None], *others: Mapping[str, float | None]
) -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest value of each percentile that all of them have."""
    told = {}
    for name in TOLD:
        values = [latencies[name] for latencies in (estimated, *others)]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            told[name] = (min(known), max(known))
    return told
