"""The benchmark's constants, fitted to the few cells that are not scored.

The server's ten to six cells, by the bounded fit of `replay.calibration.fit`, to the model made
straight (`replay.calibration.design`): every cell is replayed, with the same arrivals for all
constants. Before and after, the clients are fitted (`replay.backtest.fitting_clients`). What the
server's fit says of each cell without having seen it (linearised) tells by how much the model
misses a figure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from math import log, sqrt

import numpy as np

from replay.backtest.cell import FIGURES, Bench, Figures, middle, replay_cell
from replay.backtest.fitted_figures import SERVER_CELLS, Known, Place, server_figures, spread_of
from replay.backtest.fitting_clients import fit_clients
from replay.backtest.profile import MODERATED, TIMED, Profile, kind_of
from replay.backtest.reference import LOADS, Measured
from replay.calibration.constants import constant_of, fitted_host, warnings_of, with_constants
from replay.calibration.design import straightened
from replay.calibration.fit import Fit, Floats, Unknown, fit
from replay.errors import TraceError
from replay.host import Host

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

#: The model misses every figure by this factor at least: what two weeks apart the same bench does.
LEAST_MISSED = 0.03

#: Seconds of a run that are counted, and those before, where nobody says: a fit makes hundreds.
SECONDS, WARM = 0.1, 0.1
#: The model is made straight within one deviation of what is known before, twice.
ROUNDS = 2


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
    known = server_figures(measured)
    if len(known) < len(CONSTANTS):
        raise TraceError(
            f"{source}: {len(CONSTANTS)} constants need as many figures, it has {len(known)}"
        )
    bench = replace(bench, client=fit_clients(bench, measured)[1])
    done("clients")
    found = _fit_server(bench, known, done)
    said = f"fitted to {len(SERVER_CELLS)} cells of {source} on {date.today().isoformat()}"
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


def _fit_server(bench: Bench, known: Known, done: Callable[[str], None]) -> Fit:
    """Return the fit of the server's constants, to the model made straight around the last one.

    A figure that scatters between replays (moderation wanders) is known less by that.
    """
    cells = list(dict.fromkeys((cell.load, cell.policy) for cell, _ in known))
    runs = [(place, seed) for place in cells for seed in bench.seeds]
    measured = np.array([cell.figures[name] for cell, name in known])
    spread = np.array([spread_of(cell, name) for cell, name in known])
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


def _held_out(found: Fit, known: Known) -> dict[Place, dict[str, tuple[float, float]]]:
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
