"""Why requests waited: each latency split into causes that sum exactly to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replay.engine.histogram import BUCKETS

#: In the order in which a request meets them.
CAUSES = (
    "coalescing",  # the device had not signalled yet
    "timer",  # the interrupt was masked, napi_watchdog had not expired yet
    "cpu",  # the CPU did something else first; while served, interrupts and other threads
    "ring",  # the queue was polled, packets before it came first
    "wakeup",  # its worker was asleep, or on its way from there
    "queueing",  # its worker served others
    "service",  # its own time, with what cold caches and the way between CPUs add
)


@dataclass(frozen=True)
class Causes:
    """The causes of all served requests' latencies. Both arrays are int64.

    A latency of bucket b (see histogram.py) adds its causes to `by_latency[b]`: the rows above a
    percentile's bucket are what made the tail. Each row sums to the latencies counted there.
    """

    counts: npt.NDArray[np.int64]  # shape (CAUSES, BUCKETS): a histogram of each cause's ns
    by_latency: npt.NDArray[np.int64]  # shape (BUCKETS, CAUSES): ns by cause

    @classmethod
    def none(cls) -> Causes:
        """Return the causes of no request."""
        count = len(CAUSES)
        return cls(np.zeros((count, BUCKETS), np.int64), np.zeros((BUCKETS, count), np.int64))

    @property
    def totals(self) -> dict[str, int]:
        """Sum over all requests of each cause, ns."""
        return dict(zip(CAUSES, self.by_latency.sum(axis=0).tolist(), strict=True))

    def tail(self, bucket: int) -> dict[str, int]:
        """Sum of each cause over the requests whose latency's bucket is `bucket` or above, ns."""
        return dict(zip(CAUSES, self.by_latency[bucket:].sum(axis=0).tolist(), strict=True))

    def __add__(self, other: Causes) -> Causes:
        return Causes(self.counts + other.counts, self.by_latency + other.by_latency)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Causes):
            return NotImplemented
        same = np.array_equal(self.counts, other.counts)
        return bool(same and np.array_equal(self.by_latency, other.by_latency))

    __hash__ = None  # type: ignore[assignment]
