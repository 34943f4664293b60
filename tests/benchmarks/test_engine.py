"""Packets a second that one core replays, latency histogram included, beside a loop in C.

Run with `pytest tests/benchmarks/test_engine.py --benchmark-only -n 0`.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from replay.engine import Workload, replay_island
from replay.engine.histogram import BUCKETS
from replay.host import GENERIC
from replay.policy import parse_policy

PACKETS = 1_000_000
ROUNDS = 15

#: A fast server: at 0.5 M packets/s its CPU is three quarters busy under `base`.
HOST = replace(
    GENERIC,
    irq_latency_ns=500,
    irq_ns=500,
    poll_ns=200,
    packet_ns=300,
    timer_start_ns=0,
    exit_ns=100,
    idle_ns=0,
    wake_ns=300,
    sleep_ns=200,
    epoll_ns=200,
    event_ns=20,
    transmit_ns=0,
    notify_ns=0,
    busy_poll_ns=300,
    ring=4096,
)


def poisson(rate_per_s: int) -> Workload:
    random = np.random.default_rng(1)
    arrival = np.cumsum(random.exponential(1e9 / rate_per_s, PACKETS)).astype(np.int64)
    return Workload(arrival, np.full(PACKETS, 500, np.int64), int(arrival[-1]) + 1)


@pytest.fixture(scope="module")
def yardstick(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL | None:
    """The loop of island.c; None where there is no gcc to compile it."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return None
    library = tmp_path_factory.mktemp("c") / "island.so"
    source = Path(__file__).with_name("island.c")
    flags = ["-O3", "-march=native", "-shared", "-fPIC"]
    subprocess.run([gcc, *flags, "-o", str(library), str(source)], check=True)
    return ctypes.CDLL(str(library))


def seconds_in_c(library: ctypes.CDLL, workload: Workload) -> float:
    """Return the shortest of some runs of the loop in C."""
    latencies = np.zeros(BUCKETS, np.int64)
    arrays = [
        ctypes.c_void_p(array.ctypes.data) for array in (workload.arrival_ns, workload.service_ns)
    ]
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        library.replay(*arrays, ctypes.c_int64(PACKETS), ctypes.c_void_p(latencies.ctypes.data))
        best = min(best, time.perf_counter() - start)
    return best


@pytest.mark.parametrize("rate", [10_000, 500_000, 5_000_000])
@pytest.mark.parametrize("name", ["base", "defer20", "suspend20", "fullbusy"])
def test_one_core(
    benchmark: BenchmarkFixture, yardstick: ctypes.CDLL | None, name: str, rate: int
) -> None:
    workload, policy = poisson(rate), parse_policy(name)
    benchmark.extra_info["ratio_to_c"] = "no gcc"
    if yardstick is not None:
        in_c = seconds_in_c(yardstick, workload)
    outcome = benchmark.pedantic(
        replay_island, (workload, policy, HOST), rounds=ROUNDS, warmup_rounds=1
    )
    assert outcome.packets == PACKETS
    assert outcome.latency.count == outcome.served
    if benchmark.stats is not None:
        seconds = benchmark.stats.stats.min
        benchmark.extra_info["packets_per_s"] = round(PACKETS / seconds)
        if yardstick is not None:
            benchmark.extra_info["ratio_to_c"] = round(seconds / in_c, 2)
