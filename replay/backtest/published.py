"""`replay backtest published`: the IRQ-suspension series' benchmark, predicted and measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from statistics import mean, pstdev

from replay.backtest.cell import Bench, Figures, middle, replay_cell
from replay.backtest.client import Client, SlowHost
from replay.backtest.compare import Cell
from replay.backtest.reference import LOADS, Measured, letter, results
from replay.errors import PolicyError, TraceError, nearest
from replay.host import Host, read_host

#: The cells that the shipped server's constants were fitted to, and the client's.
SERVER_CELLS = (
    *(("200K", "base"), ("600K", "base"), ("MAX", "base")),
    *(("400K", "defer50"), ("600K", "fullbusy"), ("600K", "suspend20")),
)
CLIENT_CELLS = (("200K", "fullbusy"), ("600K", "fullbusy"), ("1000K", "fullbusy"))

#: Network and clients, fitted to the fullbusy cells at these loads.
CLIENT = Client(
    base_us=22.3,
    jitter_us=8.0,
    slow={
        200_000: SlowHost(share=0.5, extra_us=78.0, tail_us=7.0, stall_us=1.2),
        600_000: SlowHost(share=1.0, extra_us=56.0, tail_us=29.0, stall_us=1.5),
        1_000_000: SlowHost(share=1.0, extra_us=63.0, tail_us=35.0, stall_us=6.0),
    },
)

#: A cell is bistable where runs disagree by more than this (standard deviation over mean), or
#: where a server slower by SLOWER changes the average latency by more than CHANGED.
DISAGREE, SLOWER, CHANGED = 0.15, 0.04, 0.2


def shipped_host() -> Host:
    """Return the profile of the benchmark's server that comes with the project."""
    with as_file(files("replay.host").joinpath("profiles", "epyc-7662-cx5.toml")) as path:
        return read_host(path)


def published(
    bench: Bench,
    *,
    results_file: Path | None = None,
    loads: Sequence[str] = (),
    policies: Sequence[str] = (),
    done: Callable[[str], None] = lambda said: None,
) -> list[Cell]:
    """Replay the benchmark's cells on `bench` and return each beside its measurement.

    Measurements are the cover letter's, or those of `results_file`. `loads` and `policies` choose
    among the cells, () is all. `done` is told of each finished cell. Raises TraceError where the
    results cannot be used or lack what was asked for, PolicyError for a name that is unknown.
    """
    wanted = chosen(results(results_file) if results_file else letter(), loads, policies)
    with ThreadPoolExecutor(min(len(wanted), os.cpu_count() or 1)) as pool:
        cells = []
        for number, cell in enumerate(pool.map(lambda it: predict(bench, it), wanted), 1):
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


def predict(bench: Bench, measured: Measured) -> Cell:
    """Replay one cell with every seed, and once more on a slower server."""
    qps, policy = LOADS[measured.load], measured.policy
    runs = [replay_cell(bench, policy, qps, seed) for seed in bench.seeds]
    host = bench.host
    slower = replace(host, request_ns=round(host.request_ns + SLOWER * service_ns(host)))
    slow = replay_cell(replace(bench, host=slower), policy, qps, bench.seeds[0])
    place = (measured.load, policy)
    return Cell(
        measured=measured,
        predicted=middle(runs),
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
