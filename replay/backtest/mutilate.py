"""The load generator of the benchmark: when mutilate sends, and how it counts latencies.

github.com/leverich/mutilate, as its authors' Facebook profile sets it (Atikoglu et al., SIGMETRICS
2012): each connection has one request on its way. Requests have times to be sent at; one whose
predecessor is not answered by then is sent as soon as it is, and its latency counts from there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: (scale, shape) of generalized Pareto distributions: gaps of `fb_ia`, bytes of `fb_value`.
GAPS = (16.0292, 0.154971)
VALUES = (214.476, 0.348238)

BIN = 1.1  # each bin of its histogram is this much wider than the one before


def generalized_pareto(
    rng: np.random.Generator, shape: tuple[int, ...], of: tuple[float, float]
) -> Floats:
    """Return that many draws of the distribution `of` (scale, shape), from 0 on."""
    scale, exponent = of
    return scale * (rng.random(shape) ** -exponent - 1) / exponent


def send_times(rng: np.random.Generator, connections: int, qps: float, seconds: float) -> Floats:
    """Return when each connection is to send, ns, shape (connections, requests).

    Each row is a renewal process that has gone on for ever, and lasts beyond `seconds`.
    """
    mean_ns = connections / qps * 1e9
    expected = seconds * 1e9 / mean_ns
    count = int(expected + 6 * np.sqrt(1.5 * expected) + 8)
    scale, exponent = GAPS
    unit = mean_ns * (1 - exponent) / scale
    gaps = generalized_pareto(rng, (connections, count), GAPS) * unit
    # The gap that is going on at time 0 is met in proportion to its length, anywhere within it.
    candidates = generalized_pareto(rng, (connections, 64), GAPS) * unit
    reached = np.cumsum(candidates, axis=1)
    met = np.argmax(reached >= rng.random((connections, 1)) * reached[:, -1:], axis=1)
    gaps[:, 0] = candidates[np.arange(connections), met] * rng.random(connections)
    return np.cumsum(gaps, axis=1)


def percentiles(latency_us: Floats, shares: tuple[float, ...]) -> list[float]:
    """Return percentiles as mutilate tells them: from bins 10 % wide, linear within each.

    `latency_us` are positive, shape (requests,), at least one.
    """
    bins = np.floor(np.log(np.maximum(latency_us, 1.0)) / np.log(BIN)).astype(np.int64)
    counts = np.bincount(bins)
    ends = np.cumsum(counts)
    found = []
    for share in shares:
        target = share * len(latency_us)
        number = int(np.searchsorted(ends, target, side="right"))
        number = min(number, len(counts) - 1)
        within = (target - (ends[number] - counts[number])) / counts[number]
        low = BIN**number
        found.append(float(low + within * (BIN * low - low)))
    return found
