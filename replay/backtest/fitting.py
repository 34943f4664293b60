"""The benchmark's constants, fitted to the few cells that are not scored.

The server's ten to six cells, by the bounded fit of `replay.calibration.fit`, to the model made
straight (`replay.calibration.design`): every cell is replayed, with the same arrivals for all
constants. The clients' to three cells of fullbusy, whose server is replayed once: what network and
clients add is put upon it. What the server's fit says of each cell without having seen it
(linearised) tells by how much the model misses a figure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from math import log, sqrt

import numpy as np

from replay.backtest.cell import FIGURES, Bench, Figures, middle, replay_cell, server_latencies
from replay.backtest.client import HOSTS, Client, SlowHost
from replay.backtest.mutilate import percentiles
from replay.backtest.profile import MODERATED, TIMED, Profile, kind_of
from replay.backtest.reference import LOADS, Measured
from replay.calibration.constants import constant_of, fitted_host, warnings_of, with_constants
from replay.calibration.design import straightened
from replay.calibration.fit import Fit, Floats, Unknown, fit
from replay.errors import TraceError
from replay.host import Host

#: The cells that the server's constants are fitted to, and the clients'.
SERVER_CELLS = (
    *(("200K", "base"), ("600K", "base"), ("MAX", "base")),
    *(("400K", "defer50"), ("600K", "fullbusy"), ("600K", "suspend20")),
)
CLIENT_CELLS = (("200K", "fullbusy"), ("600K", "fullbusy"), ("1000K", "fullbusy"))

#: The server's constants: what each is, and the least and the most that is plausible, ns.
CONSTANTS: dict[str, tuple[str, int, int]] = {
    "request_ns": ("memcached with its system calls, a request", 1_500, 8_000),
    "packet_ns": ("driver, GRO and TCP, a packet", 300, 2_500),
    "poll_ns": ("a softirq with its timer interrupt", 200, 4_000),
    "irq_ns": ("a device interrupt, more than a timer", 200, 6_000),
    "wake_ns": ("waking, scheduling, epoll_wait, cold caches", 500, 6_000),
    "cstates": ("leaving C1: latency, and cycles that sar counts as idle", 200, 6_000),
    "busy_poll_ns": ("a busy poll with its share of epoll_wait", 300, 4_000),
    "far_ns": ("a request polled in the other core complex", 0, 6_000),
    "stale_ns": ("caches that were lost in 1 ms of waiting", 0, 2_000),
    "program_ns": ("kworkers of one moderation change", 5_000, 200_000),
}

#: The least deviation of a figure, as a share of it: what no constant can mend. No percentile of a
#: histogram of bins 10 % wide, nor CPU that a tick samples, is known better than this.
FLOORS = {
    **{"qps": 0.02, "avg": 0.03, "p50": 0.03, "p95": 0.05, "p99": 0.1},
    **{"cpu": 0.03, "kcycles": 0.03, "irqs": 0.05, "polls": 0.05, "epolls": 0.05},
}
#: And what there is less of a query is not worth a look.
_LEAST = {"polls": 0.01, "epolls": 0.01}
#: The model misses every figure by this factor at least: what two weeks apart the same bench does.
LEAST_MISSED = 0.03

#: Network and clients: deviation of what is known before, least and most.
_CLIENT = {"base_us": (4.0, 10.0, 30.0), "jitter_us": (3.0, 1.0, 20.0)}
_SLOW = {
    "share": (0.1, 0.0, 1.0),
    "extra_us": (20.0, 20.0, 150.0),
    "tail_us": (20.0, 1.0, 100.0),
    "stall_us": (4.0, 0.0, 30.0),
}
_LATENCIES = ("avg", "p50", "p95", "p99")
_SEED = 20_260_104
#: Seconds of a run that are counted, and those before, where nobody says: a fit makes hundreds.
SECONDS, WARM = 0.1, 0.1
#: And for the clients at least: these runs are three.
CLIENT_SECONDS = 0.4
#: The model is made straight within one deviation of what is known before, twice.
ROUNDS = 2

Place = tuple[str, str]


@dataclass(frozen=True)
class FittedBench:
    """What was fitted, and each cell's errors where it was held out, signed percent."""

    host: Host
    profile: Profile
    server: Fit
    clients: Fit
    errors: Mapping[str, Mapping[str, float]]
    warnings: tuple[str, ...]


def fit_bench(
    bench: Bench,
    measured: Sequence[Measured],
    source: str,
    done: Callable[[str], None] = lambda said: None,
) -> FittedBench:
    """Fit clients, server, and clients again, starting from those of `bench`.

    `measured` are all cells, `source` is where they are from. Raises TraceError where one that is
    needed is missing, or the figures are fewer than the constants.
    """
    cells = _cells(measured, SERVER_CELLS)
    known = [(cell, name) for cell in cells for name in _fitted_figures(cell)]
    if len(known) < len(CONSTANTS):
        raise TraceError(
            f"{source}: {len(CONSTANTS)} constants need as many figures, it has {len(known)}"
        )
    bench = replace(bench, client=fit_clients(bench, measured)[1])
    done("clients")
    found = _fit_server(bench, known, done)
    said = f"fitted to {len(cells)} cells of {source} on {date.today().isoformat()}"
    host = _described(fitted_host(bench.host, found), said)
    clients, client = fit_clients(replace(bench, host=host), measured)
    held_out = _held_out(found, known)
    errors = {
        f"{policy} at {load}": {
            name: 100 * (guess / seen - 1) for name, (guess, seen) in it.items()
        }
        for (load, policy), it in held_out.items()
    }
    profile = Profile(client, _missed(held_out), said)
    warnings = (*warnings_of(found), *warnings_of(clients))
    return FittedBench(host, profile, found, clients, errors, warnings)


def _cells(measured: Sequence[Measured], places: Sequence[Place]) -> list[Measured]:
    """Return these cells. Raises TraceError where one was not measured."""
    by_place = {(cell.load, cell.policy): cell for cell in measured}
    for load, policy in places:
        if (load, policy) not in by_place:
            raise TraceError(f"{policy} at {load} was not measured: the fit needs it")
    return [by_place[place] for place in places]


def _fitted_figures(cell: Measured) -> list[str]:
    """Return the figures that are fitted; those that the load or a full CPU settle are none."""
    settled = {"qps"} if LOADS[cell.load] else {"avg", "p50", "p95", "p99"}
    return [
        name
        for name in FIGURES
        if name not in settled
        and cell.figures.get(name, 0.0) > _LEAST.get(name, 0.0)
        and not (name == "cpu" and cell.figures[name] > 99)
    ]


def _spread(cell: Measured, name: str) -> float:
    """Return one deviation of a figure: its floor, or the runs' spread where that is wider."""
    seen = cell.spread.get(name, 0.0)
    return max(FLOORS[name], seen if np.isfinite(seen) else 0.0) * cell.figures[name]


def _fit_server(
    bench: Bench, known: Sequence[tuple[Measured, str]], done: Callable[[str], None]
) -> Fit:
    """Return the fit of the server's constants, to the model made straight around the last one.

    A figure that scatters between replays (moderation wanders) is known less by that.
    """
    cells = list(dict.fromkeys((cell.load, cell.policy) for cell, _ in known))
    runs = [(place, seed) for place in cells for seed in bench.seeds]
    measured = np.array([cell.figures[name] for cell, name in known])
    spread = np.array([_spread(cell, name) for cell, name in known])
    unknowns = [_unknown(bench.host, name) for name in CONSTANTS]
    low = np.array([unknown.low for unknown in unknowns])
    high = np.array([unknown.high for unknown in unknowns])
    centre = np.array([unknown.value for unknown in unknowns])
    asked = 0

    with ThreadPoolExecutor(min(len(runs), os.cpu_count() or 1)) as pool:

        def model(values: Floats) -> Floats:
            nonlocal asked
            moved = replace(bench, host=with_constants(bench.host, tuple(CONSTANTS), values))
            told = pool.map(lambda it: replay_cell(moved, it[0][1], LOADS[it[0][0]], it[1]), runs)
            by_place: dict[Place, list[Figures]] = {place: [] for place in cells}
            for (place, _), figures in zip(runs, told, strict=True):
                by_place[place].append(figures)
            found = {place: middle(figures) for place, figures in by_place.items()}
            asked += 1
            done(f"server: {asked} times")
            return np.array([found[cell.load, cell.policy][name] for cell, name in known])

        for _ in range(ROUNDS):
            step = np.array([unknown.deviation for unknown in unknowns])
            centre = np.clip(centre, low + step, high - step)
            straight = straightened(model, centre, step)
            found = fit(straight, measured, np.hypot(spread, straight.scatter), unknowns)
            centre = found.values
    return found


def _unknown(host: Host, name: str) -> Unknown:
    """Return what is known before: a host's value, a quarter either way, within the plausible."""
    _, low, high = CONSTANTS[name]
    value = min(max(float(constant_of(host, name)), low), high)
    return Unknown(name, value, max(value / 4, high / 40), low, high)


def _described(host: Host, said: str) -> Host:
    """Return the host with what each constant is, and where it is from."""
    costs = dict(host.costs)
    for name, (meaning, low, high) in CONSTANTS.items():
        told = f"{costs[name].source}, within {low:,} to {high:,}: {meaning}"
        costs[name] = replace(costs[name], source=told)
    before = host.about.partition("; fitted to")[0]
    return replace(host, costs=costs, about=f"{before}; {said}" if before else said)


def _client_figures(measured: Sequence[Measured]) -> list[tuple[Measured, str]]:
    return [
        (cell, name)
        for cell in _cells(measured, CLIENT_CELLS)
        for name in _LATENCIES
        if name in cell.figures
    ]


def fit_clients(bench: Bench, measured: Sequence[Measured]) -> tuple[Fit, Client]:
    """Fit network and clients to three cells of fullbusy, on what the server takes there."""
    known = _client_figures(measured)
    loads = [LOADS[load] for load, _ in CLIENT_CELLS]
    longer = replace(bench, seconds=max(bench.seconds, CLIENT_SECONDS))
    server = [server_latencies(longer, "fullbusy", qps, bench.seeds[0]) for qps in loads]

    def model(values: Floats) -> Floats:
        client, told = _client(values, loads), dict[int, dict[str, float]]()
        for qps, latency in zip(loads, server, strict=True):
            random = np.random.default_rng(_SEED)  # the same draws for all constants
            host = random.integers(0, HOSTS, len(latency))
            whole = latency + client.times(random, host, qps) / 1e3
            figures = (float(whole.mean()), *percentiles(whole, (0.5, 0.95, 0.99)))
            told[qps] = dict(zip(_LATENCIES, figures, strict=True))
        return np.array([told[LOADS[cell.load]][name] for cell, name in known])

    found = fit(
        model,
        np.array([cell.figures[name] for cell, name in known]),
        np.array([_spread(cell, name) / 3 for cell, name in known]),
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


def _held_out(
    found: Fit, known: Sequence[tuple[Measured, str]]
) -> dict[Place, dict[str, tuple[float, float]]]:
    """Return (predicted, measured) of each cell's figures, from a fit of all other cells."""
    places = [(cell.load, cell.policy) for cell, _ in known]
    told: dict[Place, dict[str, tuple[float, float]]] = {}
    for place in dict.fromkeys(places):
        out = np.array([it == place for it in places])
        mine = [pair for pair, is_out in zip(known, out, strict=True) if is_out]
        guesses = found.held_out(out)
        told[place] = {
            name: (float(guess), cell.figures[name])
            for (cell, name), guess in zip(mine, guesses, strict=True)
        }
    return told


def _missed(
    held_out: Mapping[Place, Mapping[str, tuple[float, float]]],
) -> dict[str, dict[str, float]]:
    """Return by what factor held-out figures were missed, root mean square, by kind of policy."""
    found: dict[str, dict[str, float]] = {}
    for kind in (MODERATED, TIMED):
        mine = [of_cell for (_, policy), of_cell in held_out.items() if kind_of(policy) == kind]
        found[kind] = {}
        for name in FIGURES:
            errors = [
                log(max(guess, 1e-9) / seen)
                for guess, seen in (of_cell[name] for of_cell in mine if name in of_cell)
            ]
            mean_square = sum(error**2 for error in errors) / max(1, len(errors))
            found[kind][name] = max(LEAST_MISSED, sqrt(mean_square))
    return found
