"""Packets a second that one core replays, latency histogram included, beside a loop in C.

Run with `pytest tests/benchmarks/test_engine.py --benchmark-only -n 0`.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from replay.engine import Workload, replay_island
from replay.engine.histogram import BUCKETS
from replay.engine.topology import Topology
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


def replayed(
    benchmark: BenchmarkFixture,
    yardstick: ctypes.CDLL | None,
    workload: Workload,
    *question: Any,
    **asked: bool,
) -> None:
    """Measure a replay: packets and simulated steps a second, and the ratio to the loop in C."""
    in_c = None if yardstick is None else seconds_in_c(yardstick, workload)
    outcome = benchmark.pedantic(
        replay_island, (workload, *question), asked, rounds=ROUNDS, warmup_rounds=1
    )
    assert outcome.packets > 0.9 * PACKETS
    assert outcome.latency.count == outcome.served
    if benchmark.stats is None:
        return
    seconds = benchmark.stats.stats.min
    steps = outcome.irqs + outcome.timers + outcome.polls + outcome.epoll_returns + outcome.served
    benchmark.extra_info["packets_per_s"] = round(outcome.packets / seconds)
    benchmark.extra_info["steps_per_s"] = round(steps / seconds)
    benchmark.extra_info["ratio_to_c"] = "no gcc" if in_c is None else round(seconds / in_c, 2)


@pytest.mark.parametrize("rate", [10_000, 500_000, 5_000_000])
@pytest.mark.parametrize("name", ["base", "defer20", "suspend20", "fullbusy"])
def test_one_core(
    benchmark: BenchmarkFixture, yardstick: ctypes.CDLL | None, name: str, rate: int
) -> None:
    replayed(benchmark, yardstick, poisson(rate), parse_policy(name), HOST)


@pytest.mark.parametrize("name", ["base", "defer20", "suspend20"])
def test_with_causes(benchmark: BenchmarkFixture, yardstick: ctypes.CDLL | None, name: str) -> None:
    replayed(benchmark, yardstick, poisson(500_000), parse_policy(name), HOST, causes=True)


@pytest.mark.parametrize("name", ["base", "defer20", "suspend20"])
def test_closed_arrivals(
    benchmark: BenchmarkFixture, yardstick: ctypes.CDLL | None, name: str
) -> None:
    """A thousand connections, each thinking for 2 ms on average."""
    random, connections = np.random.default_rng(2), 1_000
    parent = np.arange(PACKETS) - connections
    think = random.exponential(2e6, PACKETS).astype(np.int64)
    open_ = poisson(500_000)
    first = np.where(parent < 0, np.sort(think), open_.arrival_ns)
    workload = replace(open_, arrival_ns=first, parent=np.maximum(parent, -1), think_ns=think)
    replayed(benchmark, yardstick, workload, parse_policy(name), HOST)


@pytest.mark.parametrize("name", ["base", "defer20", "suspend20"])
def test_four_queues_on_two_cpus(
    benchmark: BenchmarkFixture, yardstick: ctypes.CDLL | None, name: str
) -> None:
    """Two workers serve flows of all four queues: nothing can be replayed apart."""
    random, open_ = np.random.default_rng(3), poisson(500_000)
    queue, worker = random.integers(0, 4, PACKETS), random.integers(0, 2, PACKETS)
    workload = replace(open_, queue=queue, worker=worker)
    topology = Topology((0, 1, 0, 1), (0, 0, 0, 0), (0, 1), (0, 0), (-1, -1))
    replayed(benchmark, yardstick, workload, parse_policy(name), HOST, topology)


def test_two_threads(benchmark: BenchmarkFixture) -> None:
    """Two islands on two threads, as a ratio to both on one."""
    workload, policy = poisson(500_000), parse_policy("defer20")

    def islands(threads: int) -> float:
        start = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda _: replay_island(workload, policy, HOST), range(24)))
        return time.perf_counter() - start

    islands(2)
    alone = min(islands(1) for _ in range(5))
    benchmark.pedantic(islands, (2,), rounds=5)
    if benchmark.stats is not None:
        benchmark.extra_info["speed_up"] = round(alone / benchmark.stats.stats.min, 2)
