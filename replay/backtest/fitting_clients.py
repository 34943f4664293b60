"""The benchmark's network and clients, fitted to what three cells of fullbusy add to the server.

The server is replayed once in each; what network and clients add is put upon what it took. Eight
constants for twelve figures: only the share of late requests may differ between loads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from replay.backtest.cell import Bench, server_latencies
from replay.backtest.client import HOSTS, Client
from replay.backtest.fitted_figures import CLIENT_CELLS, LATENCIES, client_figures, spread_of
from replay.backtest.mutilate import percentiles
from replay.backtest.reference import LOADS, Measured
from replay.calibration.fit import Fit, Floats, Unknown, fit

#: What is known before of network and clients, whatever the server does: value, deviation, least
#: and most. No published latency is below 27 us; one client host is said to be 85 us slower.
KNOWN = {
    "base_us": (25.0, 4.0, 10.0, 30.0),
    "jitter_us": (4.0, 3.0, 1.0, 20.0),
    "extra_us": (85.0, 15.0, 20.0, 150.0),
    "tail_us": (20.0, 20.0, 0.0, 100.0),
    "stall_us": (2.0, 2.0, 0.0, 30.0),
}
#: And of the share of the slow host's requests that are late: anything.
LATE = (0.5, 0.5, 0.0, 1.0)
_SEED = 20_260_104
#: Seconds of a run that are counted, at least: these runs are three.
SECONDS = 0.4


def known_client() -> Client:
    """Return network and clients as they are known before."""
    loads = [LOADS[load] for load, _ in CLIENT_CELLS]
    return _client(np.array([unknown.value for unknown in _unknowns(loads)]), loads)


def fit_clients(bench: Bench, measured: Sequence[Measured]) -> tuple[Fit, Client]:
    """Fit network and clients to three cells of fullbusy, on what the server takes there."""
    known = client_figures(measured)
    loads = [LOADS[load] for load, _ in CLIENT_CELLS]
    longer = replace(bench, seconds=max(bench.seconds, SECONDS))
    server = [server_latencies(longer, "fullbusy", qps, bench.seeds[0]) for qps in loads]

    def model(values: Floats) -> Floats:
        client, told = _client(values, loads), dict[int, dict[str, float]]()
        for qps, latency in zip(loads, server, strict=True):
            random = np.random.default_rng(_SEED)  # the same draws for all constants
            host = random.integers(0, HOSTS, len(latency))
            whole = latency + client.times(random, host, qps) / 1e3
            figures = (float(whole.mean()), *percentiles(whole, (0.5, 0.95, 0.99)))
            told[qps] = dict(zip(LATENCIES, figures, strict=True))
        return np.array([told[LOADS[cell.load]][name] for cell, name in known])

    found = fit(
        model,
        np.array([cell.figures[name] for cell, name in known]),
        np.array([spread_of(cell, name) / 3 for cell, name in known]),
        _unknowns(loads),
    )
    return found, _client(found.values, loads)


def _unknowns(loads: Sequence[int]) -> list[Unknown]:
    """Return what is known before of network and clients, in the order of `_client`."""
    late = {f"late at {qps // 1000}K": LATE for qps in loads}
    return [Unknown(name, *known) for name, known in {**KNOWN, **late}.items()]


def _client(values: Floats, loads: Sequence[int]) -> Client:
    """Return the clients that these constants make."""
    numbers = [float(value) for value in values]
    late = dict(zip(loads, numbers[len(KNOWN) :], strict=True))
    return Client(**dict(zip(KNOWN, numbers, strict=False)), late=late)
