"""`replay backtest published`: the IRQ-suspension series' benchmark, predicted and measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import mean, pstdev

import numpy as np

from replay.backtest.cell import Bench, Figures, middle, replay_cell
from replay.backtest.compare import Cell
from replay.backtest.fitted_figures import CLIENT_CELLS, SERVER_CELLS
from replay.backtest.likely import likely
from replay.backtest.profile import Profile
from replay.backtest.reference import LOADS, Measured, letter, results
from replay.errors import PolicyError, TraceError, nearest
from replay.host import Host, host_of
from replay.host.drawn import mirrored_hosts

#: Runs of each cell with other constants and arrivals, where nobody says.
DRAWS = 4
_SEED = 20_260_105

#: A cell is bistable where runs disagree by more than this (standard deviation over mean), or
#: where a server slower by SLOWER changes the average latency by more than CHANGED.
DISAGREE, SLOWER, CHANGED = 0.15, 0.04, 0.2


def shipped_host() -> Host:
    """Return the profile of the benchmark's server that comes with the project."""
    return host_of("epyc-7662-cx5")


def published(
    bench: Bench,
    *,
    results_file: Path | None = None,
    loads: Sequence[str] = (),
    policies: Sequence[str] = (),
    profile: Profile | None = None,
    draws: int = 0,
    done: Callable[[str], None] = lambda said: None,
) -> list[Cell]:
    """Replay the benchmark's cells on `bench` and return each beside its measurement.

    Measurements are the cover letter's, or those of `results_file`. `loads` and `policies` choose
    among the cells, () is all. With `profile` and `draws` each figure has an interval. `done` is
    told of each finished cell. Raises TraceError where the results cannot be used or lack what was
    asked for, PolicyError for a name that is unknown.
    """
    wanted = chosen(results(results_file) if results_file else letter(), loads, policies)
    with ThreadPoolExecutor(min(len(wanted), os.cpu_count() or 1)) as pool:
        cells = []
        told = pool.map(lambda it: predict(bench, it, profile, draws), wanted)
        for number, cell in enumerate(told, 1):
            done(f"{number} of {len(wanted)}: {cell.measured.policy} at {cell.measured.load}")
            cells.append(cell)
    return cells


def chosen(
    cells: Sequence[Measured], loads: Sequence[str], policies: Sequence[str]
) -> list[Measured]:
    """Return the cells asked for. Raises PolicyError, or TraceError where one is not measured."""
    known = list(dict.fromkeys(cell.policy for cell in cells))
    for load in loads:
        if load not in LOADS:
            raise PolicyError(f"load {load!r} is none of {', '.join(LOADS)}")
    for policy in policies:
        if policy not in known:
            raise PolicyError(
                f"policy {policy!r} was not measured{nearest(policy, known)} ({', '.join(known)})"
            )
    found = [
        cell
        for cell in cells
        if (not loads or cell.load in loads) and (not policies or cell.policy in policies)
    ]
    if not found:
        raise TraceError(f"no cell was measured at {', '.join(loads)} under {', '.join(policies)}")
    return found


def predict(
    bench: Bench, measured: Measured, profile: Profile | None = None, draws: int = 0
) -> Cell:
    """Replay one cell with every seed, once more on a slower server, and as often as drawn.

    Draws last half as long.
    """
    qps, policy = LOADS[measured.load], measured.policy
    runs = [replay_cell(bench, policy, qps, seed) for seed in bench.seeds]
    host = bench.host
    slower = replace(host, request_ns=round(host.request_ns + SLOWER * service_ns(host)))
    slow = replay_cell(replace(bench, host=slower), policy, qps, bench.seeds[0])
    place, predicted = (measured.load, policy), middle(runs)
    short = replace(bench, seconds=bench.seconds / 2)
    random = np.random.default_rng(_SEED)  # the same hosts in all cells
    drawn = [
        replay_cell(replace(short, host=other), policy, qps, max(bench.seeds) + number)
        for number, other in enumerate(mirrored_hosts(host, random, draws), 1)
    ]
    return Cell(
        measured=measured,
        predicted=predicted,
        likely=likely(predicted, drawn, profile.missed_of(policy)) if profile and draws else {},
        fitted=place in SERVER_CELLS or place in CLIENT_CELLS,
        bistable=is_bistable(runs, slow),
    )


def service_ns(host: Host) -> int:
    """Return what a request costs a warm server: its own time and two packets."""
    return host.request_ns + 2 * host.packet_ns


def is_bistable(runs: Sequence[Figures], slower: Figures) -> bool:
    """Whether the average latency hangs on the seed, or on how fast the server is."""
    latency = [run["avg"] for run in runs]
    if pstdev(latency) > DISAGREE * mean(latency):
        return True
    return abs(slower["avg"] - latency[0]) > CHANGED * latency[0]
