"""What the model says of a cell: its policy at its load, on recorded or Poisson arrivals."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, reduce
from typing import Protocol

import numpy as np

from replay.arrivals import offered
from replay.calibration.cells import Cell
from replay.engine import replay_island
from replay.engine.outcome import Outcome
from replay.engine.workload import Workload
from replay.errors import TraceError
from replay.host import GENERIC, Host
from replay.islands import Placement, beside_its_queue
from replay.measured import measured_ends
from replay.placement import place
from replay.result import Row
from replay.summary import summarise
from replay.trace.bundle import Trace
from replay.trace.facts import number
from replay.units import SECOND

#: Poisson arrivals: so many requests, drawn from this seed for every cell.
REQUESTS = 20_000
SEED = 20_260_102


class Model(Protocol):
    """Anything that replays a cell on a host."""

    def row(self, cell: Cell, host: Host) -> Row:
        """Return the replay of `cell` on `host`."""


class Arrivals:
    """Where requests come from: a recording, its times divided, or Poisson arrivals."""

    def __init__(self, trace: Trace | None = None) -> None:
        self._trace = trace
        if trace is None:
            random = np.random.default_rng(SEED)
            self._gaps = np.cumsum(random.standard_exponential(REQUESTS))
            return
        self._rate = number(trace, "offered_per_s")
        if not self._rate:
            raise TraceError(
                f"{trace.name}: manifest.json: offered_per_s is missing: the load of its arrivals"
                " is not known"
            )

    @lru_cache(maxsize=16)  # noqa: B019 (few, and as short-lived as their cells)
    def _placed(self, load: float, request_ns: int, recorded_ns: int) -> Placement:
        """Return the recording's packets on its queues, with the services that such a host has."""
        assert self._trace is not None
        host = replace(GENERIC, request_ns=request_ns, recorded_ns=recorded_ns)
        offer = offered(self._trace, host, load=load, arrivals="open")
        return place(self._trace, offer, None, None)

    def row(self, cell: Cell, host: Host) -> Row:
        """Return the replay of `cell` on `host`, its latencies at the client's ends."""
        if self._trace is None:
            ends = "client send to receive"
            at = np.rint(self._gaps * SECOND / cell.offered_per_s).astype(np.int64)
            service = np.full(len(at), host.request_ns)
            placement = beside_its_queue(Workload(at, service, int(at[-1]) + 1), None)
        else:
            ends = measured_ends(self._trace)
            load = cell.offered_per_s / self._rate
            placement = self._placed(load, host.request_ns, host.recorded_ns)
        islands = placement.islands([cell.policy], host)
        parts = [replay_island(it.workload, cell.policy, host, it.topology) for it in islands]
        outcome: Outcome = reduce(Outcome.merge, parts)
        return summarise(
            outcome,
            kind="model",
            policy=cell.policy.name,
            load=1.0,
            offered=sum(it.requests for it in islands),
            latency_at=ends,
            client_ns=host.client_ns,
        )
