"""One run: a policy under a load, either counted or recorded."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from replay.lab import machine, network, usage
from replay.lab.client import CONNECTIONS
from replay.lab.counters import Counters, counts
from replay.lab.latency import lateness, summarise
from replay.lab.network import CLIENT_DEVICE, SERVER_DEVICE
from replay.lab.recording import Recording
from replay.lab.requests import SECOND, Requests, poisson
from replay.lab.rig import Rig
from replay.policy import Policy

WARM_UP_S = 0.5
# The load goes on a little after the window, so that its end does not relieve the server.
TAIL_S = 0.05
# Reading all accounts holds the client up; what it then catches up with is not the server's doing.
SETTLE_NS = 20_000_000
# How long answers are waited for after the load.
PATIENCE_S = 1.0


@dataclass(frozen=True)
class Load:
    """Requests a second, for how long, from which seed."""

    rate: int
    window_s: float
    seed: int


class StandstillError(OSError):
    """The client did not get to run for a good part of the window: the run says nothing."""


def count(rig: Rig, policy: Policy, load: Load) -> dict[str, object]:
    """Measure one policy under one load without recording."""
    rig.apply(policy)
    with Counters(counts(rig.napi_thread, rig.server.worker)) as counters:
        result, _, _ = _drive(rig, load, counters.read)
    return {"policy": asdict(policy), "recorded": False} | result


def record(rig: Rig, policy: Policy, load: Load, path: Path) -> dict[str, object]:
    """Record one policy under one load: PATH.perf.data, and the client's log in PATH.npz."""
    rig.apply(policy)
    with Recording(path.with_suffix(".perf.data"), rig.server.worker) as recording:
        result, requests, ports = _drive(rig, load, dict, recording.start, recording.pause)
    np.savez_compressed(
        path.with_suffix(".npz"),
        intended_ns=requests.intended_ns,
        sent_ns=requests.sent_ns,
        received_ns=requests.received_ns,
        connection=requests.connection,
        local_port=ports,
    )
    return {"policy": asdict(policy), "recorded": True} | result


def _nothing() -> None:
    pass


def _drive(
    rig: Rig,
    load: Load,
    read_counts: Callable[[], dict[str, int]],
    before: Callable[[], None] = _nothing,
    after: Callable[[], None] = _nothing,
) -> tuple[dict[str, object], Requests, npt.NDArray[np.int32]]:
    """Warm up, look at every account, run the window, look again, wait for what is missing."""
    requests = poisson(load.rate, WARM_UP_S + load.window_s + TAIL_S, CONNECTIONS, load.seed)
    with rig.client() as client, _at_high_priority():
        client.run(requests, 0)  # returns at once: the first time, this compiles the loop
        start = time.monotonic_ns() + 1_000_000
        window = start + int(WARM_UP_S * SECOND)
        requests.intended_ns[:] += start
        client.run(requests, window)
        before()
        gaps_before = rig.spinner.gaps()
        first, first_ns = _look(rig, read_counts), time.monotonic_ns()
        if first_ns - window > load.window_s * SECOND / 4:
            raise StandstillError("the machine stands still again and again: nothing to measure")
        client.forget_pauses()
        client.run(requests, window + int(load.window_s * SECOND))
        last_ns, last = time.monotonic_ns(), _look(rig, read_counts)
        interruptions = rig.spinner.gaps() - gaps_before
        after()
        pauses = client.pauses
        client.run(requests, last_ns + int(TAIL_S * SECOND))
        patience = time.monotonic_ns() + int(PATIENCE_S * SECOND)
        client.run(requests, patience, until_answered=True)
        ports = client.local_ports
        settings = rig.settings()
    accounts = {
        group: {name: last[group][name] - first[group][name] for name in first[group]}
        for group in first
    }
    # How much of the server's CPU went to anything that does not belong to the bench.
    used = sum(accounts["cpu"][f"{thread}_cpu_ns"] for thread in ("napi", "worker", "spinner"))
    accounts["cpu"]["others_cpu_ns"] = last_ns - first_ns - used
    return (
        {
            "load": asdict(load),
            "interruptions": {"spinner": rig.spinner.pid, "by_length": interruptions.tolist()},
            "window_start_ns": first_ns,
            "window_end_ns": last_ns,
            "settings": settings,
            **accounts,
            "latency": summarise(requests, first_ns + SETTLE_NS, last_ns),
            "client": {
                "pauses": (pauses - [first_ns, 0]).tolist(),  # since the window's start, length
                **lateness(requests, first_ns + SETTLE_NS, last_ns),
            },
        },
        requests,
        ports,
    )


def _look(rig: Rig, read_counts: Callable[[], dict[str, int]]) -> dict[str, dict[str, int]]:
    """Every account that only grows; a run's share is the difference of two looks."""
    server = network.statistics(rig.network.server, SERVER_DEVICE)
    client = network.statistics(rig.network.client, CLIENT_DEVICE)
    return {
        "counts": read_counts(),
        "cpu": usage.read(rig.threads),
        "spinner": rig.spinner.read(),
        "packets": {f"server_{name}": value for name, value in server.items()}
        | {f"client_{name}": value for name, value in client.items()},
    }


@contextmanager
def _at_high_priority() -> Iterator[None]:
    """The client comes before all ordinary work of its CPU, but not before the kernel's.

    A real-time client that spins would be stopped for 50 ms of every second.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    gc.disable()
    os.setpriority(os.PRIO_PROCESS, 0, machine.FIRST)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)
        gc.enable()
