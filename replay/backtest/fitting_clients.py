"""The benchmark's network and clients, fitted to what three cells of fullbusy add to the server.

The server is replayed once in each; what network and clients add is put upon what it took.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from replay.backtest.cell import Bench, server_latencies
from replay.backtest.client import HOSTS, Client, SlowHost
from replay.backtest.fitted_figures import CLIENT_CELLS, LATENCIES, client_figures, spread_of
from replay.backtest.mutilate import percentiles
from replay.backtest.reference import LOADS, Measured
from replay.calibration.fit import Fit, Floats, Unknown, fit

#: Network and clients: deviation of what is known before, least and most.
_CLIENT = {"base_us": (4.0, 10.0, 30.0), "jitter_us": (3.0, 1.0, 20.0)}
_SLOW = {
    "share": (0.1, 0.0, 1.0),
    "extra_us": (20.0, 20.0, 150.0),
    "tail_us": (20.0, 1.0, 100.0),
    "stall_us": (4.0, 0.0, 30.0),
}
_SEED = 20_260_104
#: Seconds of a run that are counted, at least: these runs are three.
SECONDS = 0.4


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
        _client_unknowns(bench.client, loads),
    )
    return found, _client(found.values, loads)


def _client_unknowns(client: Client, loads: Sequence[int]) -> list[Unknown]:
    """Return what is known before of network and clients, in the order of `_client`."""
    found = [Unknown(name, getattr(client, name), *_CLIENT[name]) for name in _CLIENT]
    for qps in loads:
        slow = client.slow_host(qps)
        found += [
            Unknown(f"{name} at {qps // 1000}K", getattr(slow, name), *_SLOW[name])
            for name in _SLOW
        ]
    return found


def _client(values: Floats, loads: Sequence[int]) -> Client:
    """Return the clients that these constants make."""
    numbers = [float(value) for value in values]
    first, each = len(_CLIENT), len(_SLOW)
    slow = {
        qps: SlowHost(**dict(zip(_SLOW, numbers[first + each * place :], strict=False)))
        for place, qps in enumerate(loads)
    }
    return Client(**dict(zip(_CLIENT, numbers, strict=False)), slow=slow)
