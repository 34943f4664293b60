"""The clients and the network: what they add to the latency that the server makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from replay.backtest.mutilate import Floats, Int64s

HOSTS = 7

#: Share of the requests that meet a stall: they are beyond the 99th percentile.
RARE = 0.002


#: A host that is slow has a queue: what late requests wait there grows with the load.
TAIL_AT = 1_000_000


@dataclass(frozen=True)
class Client:
    """Network and client time of a request: from its sending to its arrival, and back.

    One of the seven hosts is slow: a share of its requests is late, more of them where more are
    sent.
    """

    base_us: float
    jitter_us: float  # mean of what varies, a gamma distribution of shape 2
    extra_us: float  # what a late request takes longer
    tail_us: float  # mean of what is exponentially distributed, on top, at TAIL_AT queries/s
    stall_us: float  # what rare stalls, of any host, add to the mean of all requests
    late: Mapping[int, float]  # share, by offered queries/s; between them, linearly

    def times(self, rng: np.random.Generator, host: Int64s, qps: int) -> Floats:
        """Return a time for each request, ns; `host` is which client host sends it.

        `qps` 0 is unthrottled: as at the highest load.
        """
        found = self.base_us + rng.gamma(2.0, self.jitter_us / 2, host.shape)
        load = qps or max(self.late)
        late = (host == 0) & (rng.random(host.shape) < self.late_at(load))
        extra = self.extra_us + rng.exponential(self.tail_us * load / TAIL_AT, host.shape)
        stalled = rng.random(host.shape) < RARE
        stall = rng.exponential(self.stall_us / RARE, host.shape)
        nanoseconds: Floats = (found + late * extra + stalled * stall) * 1e3
        return nanoseconds

    def late_at(self, qps: int) -> float:
        """Return the share at a load, interpolated, and constant beyond the loads known."""
        loads = sorted(self.late)
        return float(np.interp(qps, loads, [self.late[load] for load in loads]))
