"""The causes of an outcome's latencies as a row's parts: means, percentiles, those of the tail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from replay.engine.causes import CAUSES, Causes
from replay.engine.histogram import Histogram, bucket_bounds, bucket_of
from replay.engine.outcome import Outcome
from replay.percentiles import told
from replay.result import CAUSE_PERCENTILES, CLIENT, Numbers
from replay.units import MICROSECOND

#: The tail begins at the first of these that is told.
TAILS = ("p99", "p95", "p90", "p50")


def parts(outcome: Outcome, client_ns: int) -> dict[str, Any]:
    """Return the fields of a Row that say why requests waited; none where nobody asked."""
    causes = outcome.causes
    if causes is None:
        return {}
    return {
        "causes": _means(causes.totals, outcome.latency.count, client_ns),
        "cause_percentiles": _percentiles(causes),
        **_tail(outcome.latency, causes, client_ns),
    }


def _tail(latency: Histogram, causes: Causes, client_ns: int) -> dict[str, Any]:
    """Return the parts of the tail: all requests of the percentile's bucket and of those above.

    Its cause is the largest part but the client's, which is the same for every request.
    """
    for begins in TAILS:
        value = told(latency, begins)
        if value is not None:
            break
    else:
        return {}
    bucket = bucket_of(int(value))
    sums = causes.tail(bucket)
    return {
        "tail_begins": begins,
        "tail_causes": _means(sums, int(latency.counts[bucket:].sum()), client_ns),
        "tail_cause": max(CAUSES, key=sums.__getitem__) if any(sums.values()) else None,
    }


def _means(sums: Mapping[str, int], count: int, client_ns: int) -> dict[str, float | None]:
    """Return each part's mean over `count` requests, us; they sum to the mean latency."""
    if not count:
        return dict.fromkeys((CLIENT, *sums))
    means = {cause: total / count / MICROSECOND for cause, total in sums.items()}
    return {CLIENT: client_ns / MICROSECOND, **means}


def _percentiles(causes: Causes) -> dict[str, Numbers]:
    """Return each cause's percentiles over all requests, us; they do not sum to the latency's."""
    found: dict[str, Numbers] = {}
    for cause, counts in zip(CAUSES, causes.counts, strict=True):
        used = np.flatnonzero(counts)
        ends = bucket_bounds(used[[0, -1]] if len(used) else np.zeros(2, np.int64))
        histogram = Histogram(counts, 0, int(ends[0][0]), int(ends[1][1]))
        values = {name: told(histogram, name) for name in CAUSE_PERCENTILES}
        found[cause] = {
            name: None if value is None else value / MICROSECOND for name, value in values.items()
        }
    return found
