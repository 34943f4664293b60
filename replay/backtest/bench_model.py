"""What the model says of a cell on the bench: its policy, asked at its rate by the bench's client.

Requests fall due as the client draws them, and take the services that were recorded, in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log
from statistics import median

import numpy as np
import numpy.typing as npt

from replay.arrivals import offered
from replay.backtest.acknowledged import acknowledgements
from replay.backtest.asked import Pauses, seen, sent
from replay.backtest.judge import SERVED
from replay.calibration.cells import Cell
from replay.draws import Interval, intervals
from replay.engine import replay_island
from replay.engine.histogram import Histogram
from replay.engine.workload import Workload
from replay.host import Host
from replay.host.drawn import drawn_host
from replay.islands import beside_its_queue
from replay.lab.client import CONNECTIONS
from replay.percentiles import latencies
from replay.result import Row
from replay.summary import summarise
from replay.trace.bundle import Trace
from replay.trace.facts import numbers
from replay.units import SECOND

Int64s = npt.NDArray[np.int64]
Metrics = Mapping[str, "float | None"]

SEED = 20_260_104
#: Runs that a prediction is the median of, and worlds that its intervals are drawn from.
RUNS = 5
WORLDS = 20
#: Longest mean that is looked for.
MOST_JITTER_NS = 100_000.0
LATENCY_AT = "client send to receive"
#: Replays until the acknowledgements are those that its answers cause: how many, and a share of the
#: requests by which they may still differ.
ROUNDS = 8
SETTLED = 0.003


@dataclass(frozen=True)
class Prediction:
    """A cell's metrics, with the interval of each, and whether the server keeps up."""

    metrics: Metrics
    likely: Mapping[str, Interval]
    saturated: bool


class BenchModel:
    """The recorded services, asked for at any rate by a client that pauses.

    `jitter_ns` is what the way to the server and back varies by (waking another CPU, cold caches,
    exits of a virtual machine): the mean of an exponential distribution, its median taken off.
    """

    def __init__(
        self, trace: Trace, pauses: Pauses, window_s: float, jitter_ns: float = 0.0
    ) -> None:
        self._pauses = pauses
        self._jitter_ns = jitter_ns
        self._duration = round(window_s * SECOND)
        self._trace = trace
        self._services: dict[tuple[int, int], Int64s] = {}
        self._send_ns = round(numbers(trace, "client_send_ns", keys=["median"]).get("median", 0.0))

    def row(self, cell: Cell, host: Host, run: int = 0) -> Row:
        """Return the replay of one run of `cell`: others fall due at other times."""
        random = np.random.default_rng([SEED, run])
        services = self._services_on(host)
        intended = due(cell.offered_per_s, self._duration, random)
        service = np.resize(np.roll(services, -int(random.integers(len(services)))), len(intended))
        figure = cell.figures.get("cpu_busy")
        if figure is None:
            calm = self._replay(cell, host, intended, service, np.zeros((0, 2), np.int64))
            busy = calm.cpu_busy_pct or 0.0
        else:
            busy = figure.median
        pauses = self._pauses.draw(busy, self._duration, random)
        return self._replay(cell, host, intended, service, pauses)

    def with_jitter_of(self, cell: Cell, host: Host) -> BenchModel:
        """Return the model whose p95 of `cell` lies as far above its p50 as was measured.

        It is this one where a run has too few requests to tell.
        """
        wanted = cell.figures["latency_p95"].median - cell.figures["latency_p50"].median
        low, high = 0.0, MOST_JITTER_NS
        while high - low > 100:
            middle = (low + high) / 2
            model = BenchModel(self._trace, self._pauses, self._duration / SECOND, middle)
            told = model.row(cell, host).latency_us
            p95, p50 = told["p95"], told["p50"]
            if p95 is None or p50 is None:
                return self
            low, high = (middle, high) if p95 - p50 < wanted else (low, middle)
        return BenchModel(self._trace, self._pauses, self._duration / SECOND, low)

    def predict(self, cell: Cell, host: Host, errors: Mapping[str, float] | None) -> Prediction:
        """Return the median of RUNS runs; `errors` are the model's where it was measured, %."""
        rows = [self.row(cell, host, run) for run in range(RUNS)]
        metrics = _medians([row.metrics() for row in rows])
        random = np.random.default_rng(SEED)
        worlds = [(drawn_host(host, random), float(random.normal())) for _ in range(WORLDS)]
        drawn = [
            (self.row(cell, world, run).metrics(), missed)
            for run, (world, missed) in enumerate(worlds)
        ]
        # where a burst overflowed the ring, what was lost would be sent again: no queue grows
        growing = sum(row.verdict == "saturated" and not row.dropped for row in rows)
        served = metrics["requests"] or 0.0
        saturated = growing > RUNS // 2 or served < SERVED * cell.offered_per_s
        return Prediction(metrics, intervals(metrics, drawn, errors), saturated)

    def _random_ways(self, count: int) -> npt.NDArray[np.float64]:
        """Return the same exponential draws, of mean 1, for every policy."""
        return np.random.default_rng([SEED, count]).standard_exponential(count)

    def _services_on(self, host: Host) -> Int64s:
        """Return the recorded packets' services, -1 for those that ask nothing."""
        key = host.request_ns, host.recorded_ns
        if key not in self._services:
            offer = offered(self._trace, host, load=1.0, arrivals="open")
            recorded = offer.workload.service_ns
            self._services[key] = recorded[recorded >= 0]
        return self._services[key]

    def _replay(
        self, cell: Cell, host: Host, intended: Int64s, service: Int64s, pauses: Int64s
    ) -> Row:
        arrival = sent(intended, pauses, self._send_ns)
        inside = arrival < self._duration
        intended, arrival, service = intended[inside], arrival[inside], service[inside]
        connection = np.random.default_rng([SEED, len(arrival)]).integers(
            0, CONNECTIONS, len(arrival)
        )
        alone = np.zeros(0, np.int64)  # acknowledgements
        for _ in range(ROUNDS):
            packets = np.append(arrival, alone)
            order = np.argsort(packets, kind="stable")
            asks = np.append(service, np.full(len(alone), -1))[order]
            work = Workload(packets[order], asks, self._duration)
            (island,) = beside_its_queue(work, None).islands([cell.policy], host)
            outcome = replay_island(island.workload, cell.policy, host, island.topology, times=True)
            assert outcome.times is not None
            answers = np.empty(len(arrival), np.int64)
            request = order < len(arrival)
            answers[order[request]] = outcome.times.done[request]
            answered = answers >= 0
            way = self._jitter_ns * (self._random_ways(len(intended)) - log(2))
            back = seen(answers + host.client_ns + np.rint(way).astype(np.int64), pauses)
            before = len(alone)
            alone = acknowledgements(connection, arrival, np.where(answered, back, -1))
            alone = alone[alone < self._duration]
            if abs(len(alone) - before) <= SETTLED * len(arrival):
                break
        received = np.maximum(back, intended)[answered]
        row = summarise(
            outcome,
            kind="model",
            policy=cell.policy.name,
            load=1.0,
            offered=island.requests,
            latency_at=LATENCY_AT,
            client_ns=host.client_ns,
        )
        latency = Histogram.of(received - intended[answered])
        return replace(row, latency_us=latencies(latency, 0))


def due(rate: float, duration_ns: int, random: np.random.Generator) -> Int64s:
    """Return when requests fall due within `duration_ns`, `rate` a second, as Poisson has it."""
    found = np.zeros(1)
    while found[-1] < duration_ns:
        enough = int((duration_ns - found[-1]) * rate / SECOND + 10 * np.sqrt(rate) + 10)
        gaps = random.standard_exponential(enough) * SECOND / rate
        found = np.append(found, found[-1] + np.cumsum(gaps))
    instants: Int64s = found[1:].astype(np.int64)
    return instants[instants < duration_ns]


def _medians(found: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Return each metric's median over runs; None where one of them does not tell it."""
    medians: dict[str, float | None] = {}
    for name in found[0]:
        values = [metrics[name] for metrics in found]
        known = [value for value in values if value is not None]
        medians[name] = median(known) if len(known) == len(values) else None
    return medians
