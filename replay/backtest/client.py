"""The clients and the network: what they add to the latency that the server makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from replay.backtest.mutilate import Floats, Int64s

HOSTS = 7

#: Share of the requests that meet a stall: they are beyond the 99th percentile.
RARE = 0.002


@dataclass(frozen=True)
class SlowHost:
    """One of the seven hosts is slow: some of its requests take longer. Times in us, at a load."""

    share: float  # of its requests
    extra_us: float
    tail_us: float  # mean of what is exponentially distributed, on top
    stall_us: float = 0.0  # what rare stalls, of any host, add to the mean of all requests


@dataclass(frozen=True)
class Client:
    """Network and client time of a request: from its sending to its arrival, and back."""

    base_us: float
    jitter_us: float  # mean of what varies, a gamma distribution of shape 2
    slow: Mapping[int, SlowHost]  # by offered queries/s; between them, linearly

    def times(self, rng: np.random.Generator, host: Int64s, qps: int) -> Floats:
        """Return a time for each request, ns; `host` is which client host sends it.

        `qps` 0 is unthrottled: as at the highest load.
        """
        slow = self.slow_host(qps or max(self.slow))
        found = self.base_us + rng.gamma(2.0, self.jitter_us / 2, host.shape)
        late = (host == 0) & (rng.random(host.shape) < slow.share)
        extra = slow.extra_us + rng.exponential(slow.tail_us, host.shape)
        stalled = rng.random(host.shape) < RARE
        stall = rng.exponential(slow.stall_us / RARE, host.shape)
        nanoseconds: Floats = (found + late * extra + stalled * stall) * 1e3
        return nanoseconds

    def slow_host(self, qps: int) -> SlowHost:
        """Return the slow host at a load, interpolated, and constant beyond the loads known."""
        loads = sorted(self.slow)
        known = [self.slow[load] for load in loads]

        def at(name: str) -> float:
            return float(np.interp(qps, loads, [getattr(it, name) for it in known]))

        return SlowHost(at("share"), at("extra_us"), at("tail_us"), at("stall_us"))
