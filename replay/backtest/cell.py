"""One cell of the benchmark, a policy at a load: replayed with several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from replay.backtest.bench import CONNECTIONS, QUEUES, Offered, offer, topology
from replay.backtest.client import Client
from replay.backtest.mutilate import Flags, Floats, percentiles
from replay.engine import Outcome, replay_island
from replay.host import Host
from replay.policy import Policy, parse_policy
from replay.units import MICROSECOND, SECOND

#: What is compared, in this order.
FIGURES = (
    *("qps", "avg", "p50", "p95", "p99"),
    *("cpu", "kcycles", "irqs", "polls", "epolls"),
)

#: Cycles/s of a CPU that does not idle, GHz: 43.9 kcycles x 600K queries/s over 8 CPUs (fullbusy).
GHZ = 3.3


@dataclass(frozen=True)
class Bench:
    """What all cells share: the server, the clients, and how long and how often they run."""

    host: Host
    client: Client
    pinned: bool = False
    seconds: float = 0.4  # that are measured
    warm: float = 0.15  # seconds before
    seeds: tuple[int, ...] = (1, 2, 3)


Figures = dict[str, float]


def policy_of(name: str) -> Policy:
    """Return a policy as the benchmark ran it; `fullbusy` there blocks in epoll_wait."""
    policy = parse_policy(name)
    return replace(policy, epoll_timeout_ns=-1) if name == "fullbusy" else policy


def replay_cell(bench: Bench, policy: str, qps: int, seed: int) -> Figures:
    """Replay one run and return its figures: latencies us, cpu %, kcycles, polls, epoll returns
    a query, interrupts a second. `polls` are those that found packets.
    """
    return _figures(*_replayed(bench, policy, qps, seed))


def server_latencies(bench: Bench, policy: str, qps: int, seed: int) -> Floats:
    """Replay one run and return what the server took for each request, us; shape (requests,)."""
    outcome, before, _ = _replayed(bench, policy, qps, seed)
    latency, _ = _latencies(outcome, before)
    return latency


def _replayed(bench: Bench, policy: str, qps: int, seed: int) -> tuple[Outcome, Outcome, Offered]:
    """Return a run's outcome, and that of its warming up."""
    warm = bench.warm if 0 < qps < 900_000 else 2 * bench.warm  # until every queue is full
    whole = warm + bench.seconds
    run = offer(
        *(bench.client, bench.host.request_ns, qps, whole, seed),
        pinned=bench.pinned,
    )
    chosen, place = policy_of(policy), topology(pinned=bench.pinned)
    outcome = replay_island(run.workload, chosen, bench.host, place, times=True)
    until = replace(run.workload, duration_ns=round(warm * SECOND))
    before = replay_island(until, chosen, bench.host, place)
    return outcome, before, run


def _latencies(outcome: Outcome, before: Outcome) -> tuple[Floats, Flags]:
    """Return the server's latencies, us, and which packets were answered after `before`."""
    times = outcome.times
    assert times is not None
    answered = (times.done >= before.duration_ns) & (times.arrival >= 0)
    return (times.done - times.arrival)[answered] / MICROSECOND, answered


def _figures(outcome: Outcome, before: Outcome, run: Offered) -> Figures:
    """Return the figures of what came after `before`, which `outcome` begins with."""
    latency, answered = _latencies(outcome, before)
    latency = latency + run.client_ns[answered] / MICROSECOND
    queries = max(1, outcome.served - before.served)
    duration = outcome.duration_ns - before.duration_ns
    idle = outcome.cpu.idle - before.cpu.idle
    busy = QUEUES * duration - idle
    awake = busy + outcome.leaving_idle_ns - before.leaving_idle_ns
    if not len(latency):
        latency = np.full(1, float(CONNECTIONS * duration))
    p50, p95, p99 = percentiles(latency, (0.5, 0.95, 0.99))
    polls = outcome.polls - outcome.polls_empty - before.polls + before.polls_empty
    return {
        "qps": queries / duration * SECOND,
        "avg": float(latency.mean()),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "cpu": 100 * busy / (QUEUES * duration),
        "kcycles": GHZ * awake / queries / 1000,
        "irqs": (outcome.irqs - before.irqs) / duration * SECOND,
        "polls": polls / queries,
        "epolls": (outcome.epoll_returns - before.epoll_returns) / queries,
    }


def middle(runs: Sequence[Figures]) -> Figures:
    """Return latencies' medians and all others' means, as the cover letter does."""
    found = {}
    for name in FIGURES:
        values = [run[name] for run in runs]
        latency = name in ("avg", "p50", "p95", "p99")
        found[name] = float(np.median(values) if latency else np.mean(values))
    return found
