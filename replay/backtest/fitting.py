"""The benchmark's constants, fitted to the few cells that are not scored.

The server's ten to six cells, by the bounded fit of `replay.calibration.fit`, to the model made
straight (`replay.calibration.design`): every cell is replayed, with the same arrivals for all
constants. Before and after, the clients are fitted (`replay.backtest.fitting_clients`). What was
known before stands here, so that no fit begins with another one's result. Each cell is replayed
once more with the constants that the other five lead to: by how much the model misses a figure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from math import log, sqrt
from typing import NamedTuple

import numpy as np

from replay.backtest.cell import FIGURES, Bench, Figures, middle, replay_cell
from replay.backtest.fitted_figures import SERVER_CELLS, Figure, Place, server_figures, spread_of
from replay.backtest.fitting_clients import fit_clients, known_client
from replay.backtest.profile import MODERATED, TIMED, Profile, kind_of
from replay.backtest.reference import LOADS, Measured
from replay.calibration.constants import constant_of, fitted_host, warnings_of, with_constants
from replay.calibration.design import straightened
from replay.calibration.fit import Fit, Floats, Unknown, fit
from replay.errors import TraceError
from replay.host import Host


class Known(NamedTuple):
    """What is known of a constant before, ns: its value, one deviation, the least and the most."""

    meaning: str
    value: int
    deviation: int
    low: int
    high: int


#: The server's constants. What is known before is of servers with CPUs of about 3 GHz, mitigations
#: off (see `replay.host.GENERIC`), in round numbers; but for a request's 3.5 us, which others found
#: in the same benchmark (and which the figures tell anyway), none of it comes from there.
CONSTANTS: dict[str, Known] = {
    "request_ns": Known("memcached with its system calls, a request", 3_500, 1_000, 1_500, 8_000),
    "packet_ns": Known("driver, GRO and TCP, a packet", 1_000, 400, 300, 2_500),
    "poll_ns": Known("a softirq with its timer interrupt", 1_500, 700, 200, 4_000),
    "irq_ns": Known("a device interrupt, more than a timer", 1_000, 1_000, 0, 6_000),
    "wake_ns": Known("waking, scheduling, epoll_wait, cold caches", 2_500, 1_000, 500, 6_000),
    "cstates": Known(
        "leaving C1: latency, and cycles that sar counts as idle", 1_500, 1_000, 200, 6_000
    ),
    "busy_poll_ns": Known("a busy poll with its share of epoll_wait", 1_000, 500, 300, 4_000),
    "far_ns": Known("a request polled in the other core complex", 1_500, 1_000, 0, 6_000),
    "interrupted_ns": Known(
        "what a thread lost of its caches to an interrupt and softirq", 1_000, 1_000, 0, 6_000
    ),
    "program_ns": Known("kworkers of one moderation change", 50_000, 30_000, 5_000, 200_000),
}

#: The model misses every figure by this factor at least: what two weeks apart the same bench does.
LEAST_MISSED = 0.03

#: Seconds of a run that are counted, and those before, where nobody says: a fit makes hundreds.
SECONDS, WARM = 0.1, 0.1
#: The model is made straight within this share of the deviations of what is known before, in turn.
REACHES = (0.4, 0.25)


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
    """Fit clients, server, and clients again, given what is known before of each.

    Of `bench` come the server's settings, the costs that are not fitted, and the constants around
    which the model is first made straight; these have no other say. `measured` are all cells,
    `source` is where they are from. Raises TraceError where one that is needed is missing, or the
    figures are fewer than the constants.
    """
    known = server_figures(measured)
    if len(known) < len(CONSTANTS):
        raise TraceError(
            f"{source}: {len(CONSTANTS)} constants need as many figures, it has {len(known)}"
        )
    bench = replace(bench, host=replace(bench.host, costs={}), client=known_client())
    bench = replace(bench, client=fit_clients(bench, measured)[1])
    done("clients")
    runs = _Runs(bench, known, done)
    found = _fit_server(runs, known, bench.host)
    said = f"fitted to {len(SERVER_CELLS)} cells of {source} on {date.today().isoformat()}"
    host = _described(fitted_host(bench.host, found), said)
    clients, client = fit_clients(replace(bench, host=host), measured)
    held_out = _held_out(runs, found, known)
    errors = {
        f"{policy} at {load}": {
            name: 100 * (guess / seen - 1) for name, (guess, seen) in it.items()
        }
        for (load, policy), it in held_out.items()
    }
    profile = Profile(client, _missed(held_out), said)
    warnings = (*warnings_of(found), *warnings_of(clients))
    return FittedBench(host, profile, found, clients, errors, warnings)


class _Runs:
    """The cells' replays: every one with every seed, the same arrivals for all constants."""

    def __init__(self, bench: Bench, known: Sequence[Figure], done: Callable[[str], None]) -> None:
        self._bench, self._known, self._done = bench, known, done
        self._asked = 0

    def __call__(self, values: Floats) -> Floats:
        """Return all figures with these constants."""
        return self.of(values, [True] * len(self._known))

    def of(self, values: Floats, wanted: Sequence[bool]) -> Floats:
        """Return the figures that are `wanted`."""
        known = [figure for figure, is_wanted in zip(self._known, wanted, strict=True) if is_wanted]
        places = dict.fromkeys((cell.load, cell.policy) for cell, _ in known)
        moved = replace(
            self._bench, host=with_constants(self._bench.host, tuple(CONSTANTS), values)
        )
        runs = [(place, seed) for place in places for seed in moved.seeds]
        with ThreadPoolExecutor(min(len(runs), os.cpu_count() or 1)) as pool:
            told = pool.map(lambda it: replay_cell(moved, it[0][1], LOADS[it[0][0]], it[1]), runs)
            by_place: dict[Place, list[Figures]] = {place: [] for place in places}
            for (place, _), figures in zip(runs, told, strict=True):
                by_place[place].append(figures)
        found = {place: middle(figures) for place, figures in by_place.items()}
        self._asked += 1
        self._done(f"server: {self._asked} times")
        return np.array([found[cell.load, cell.policy][name] for cell, name in known])


def _fit_server(runs: _Runs, known: Sequence[Figure], host: Host) -> Fit:
    """Return the fit of the server's constants, to the model made straight around the last one.

    The first one is around the constants of `host`. A figure that scatters between
    replays (moderation wanders) is known less by that.
    """
    measured = np.array([cell.figures[name] for cell, name in known])
    spread = np.array([spread_of(cell, name) for cell, name in known])
    unknowns = [
        Unknown(name, it.value, it.deviation, it.low, it.high) for name, it in CONSTANTS.items()
    ]
    low = np.array([unknown.low for unknown in unknowns])
    high = np.array([unknown.high for unknown in unknowns])
    centre = np.array([constant_of(host, name) for name in CONSTANTS], np.float64)
    for reach in REACHES:
        step = reach * np.array([unknown.deviation for unknown in unknowns])
        centre = np.clip(centre, low + step, high - step)
        straight = straightened(runs, centre, step)
        found = fit(straight, measured, np.hypot(spread, straight.scatter), unknowns)
        centre = found.values
    return found


def _described(host: Host, said: str) -> Host:
    """Return the host with what each constant is, and where it is from."""
    costs = dict(host.costs)
    for name, it in CONSTANTS.items():
        told = f"{costs[name].source}, within {it.low:,} to {it.high:,}: {it.meaning}"
        costs[name] = replace(costs[name], source=told)
    before = host.about.partition("; fitted to")[0]
    return replace(host, costs=costs, about=f"{before}; {said}" if before else said)


def _held_out(
    runs: _Runs, found: Fit, known: Sequence[Figure]
) -> dict[Place, dict[str, tuple[float, float]]]:
    """Return (predicted, measured) of each cell's figures, replayed as all other cells say."""
    places = [(cell.load, cell.policy) for cell, _ in known]
    told: dict[Place, dict[str, tuple[float, float]]] = {}
    for place in dict.fromkeys(places):
        out = np.array([it == place for it in places])
        mine = [pair for pair, is_out in zip(known, out, strict=True) if is_out]
        guesses = runs.of(found.without(out), out.tolist())
        told[place] = {
            name: (float(guess), cell.figures[name])
            for (cell, name), guess in zip(mine, guesses, strict=True)
        }
    return told


def _missed(
    held_out: Mapping[Place, Mapping[str, tuple[float, float]]],
) -> dict[str, dict[str, float]]:
    """Return by what factor held-out figures were missed, root mean square, by kind of policy.

    A figure that none of a kind's cells has is missed as all of that kind's figures together.
    """
    found: dict[str, dict[str, float]] = {}
    for kind in (MODERATED, TIMED):
        errors = [
            (name, log(max(guess, 1e-9) / seen))
            for (_, policy), of_cell in held_out.items()
            if kind_of(policy) == kind
            for name, (guess, seen) in of_cell.items()
        ]
        found[kind] = {}
        for name in FIGURES:
            mine = [error for of, error in errors if of == name] or [error for _, error in errors]
            mean_square = sum(error**2 for error in mine) / max(1, len(mine))
            found[kind][name] = max(LEAST_MISSED, sqrt(mean_square))
    return found
