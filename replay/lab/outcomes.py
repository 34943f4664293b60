"""Runs summarised: each metric's median and spread over the repetitions of a policy and a load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from replay.trace.schema import OUTCOMES

Run = Mapping[str, Any]

METHOD = (
    "counted: tracepoints by perf_event_open, the client's log, the spinner's account; not recorded"
)

# The package's name of each metric, and where a run has it
_COUNTS = {
    "irqs": "interrupts",
    "timers": "timers",
    "polls": "polls",
    "polls_empty": "empty_polls",
    "busy_polls": "busy_polls",
    "resumes": "resumes",
    "epoll_returns": "epoll_returns",
}
_PACKETS = {
    "packets": "server_rx_packets",
    "tx_packets": "server_tx_packets",
    "dropped": "server_rx_dropped",
}
_LATENCIES = {
    "latency_mean": "mean_us",
    "latency_p50": "p50_us",
    "latency_p90": "p90_us",
    "latency_p95": "p95_us",
    "latency_p99": "p99_us",
    "latency_p99.9": "p99_9_us",
    "latency_p99.99": "p99_99_us",
    "latency_max": "max_us",
}


def outcomes(runs: Iterable[Run]) -> pa.Table:
    """Return the outcomes table of the counted runs; columns OUTCOMES of the package.

    Raises ValueError where a metric is not finite.
    """
    by_scenario: dict[tuple[str, float], list[Run]] = defaultdict(list)
    for run in runs:
        if not run["recorded"]:
            by_scenario[run["policy"]["name"], float(run["load"]["rate"])].append(run)
    rows = []
    for (policy, rate), repetitions in sorted(by_scenario.items(), key=lambda item: item[0][::-1]):
        measured = [metrics(run) for run in repetitions]
        for name in measured[0]:
            values = np.array([one[name] for one in measured], np.float64)
            if not np.isfinite(values).all():
                raise ValueError(f"{policy} at {rate:g}/s: {name} is no number in one of its runs")
            low, q1, median, q3, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
            rows.append(
                {
                    "policy": policy,
                    "offered_per_s": rate,
                    "metric": name,
                    "median": median,
                    "q1": q1,
                    "q3": q3,
                    "min": low,
                    "max": high,
                    "repetitions": len(values),
                    "method": METHOD,
                }
            )
    return pa.Table.from_pylist(rows, OUTCOMES)


def metrics(run: Run) -> dict[str, float]:
    """Return one run's metrics: rates a second of its window, percent of the server's CPU, us."""
    window_ns = run["window_end_ns"] - run["window_start_ns"]
    per_s = 1e9 / window_ns
    found = {"requests": run["latency"]["served_per_s"]}
    found |= {name: run["packets"][key] * per_s for name, key in _PACKETS.items()}
    found |= {name: run["counts"][key] * per_s for name, key in _COUNTS.items()}
    found["cpu_idle"] = 100.0 * run["spinner"]["idle_ns"] / window_ns
    # As the scheduler charges them: a woken NAPI thread from its wake-up on, interrupts to whom
    # they interrupt. With the idle time, which the spinner measures itself, they do not sum to 100.
    found["cpu_softirq"] = 100.0 * run["cpu"]["napi_cpu_ns"] / window_ns
    found["cpu_thread"] = 100.0 * run["cpu"]["worker_cpu_ns"] / window_ns
    return found | {name: run["latency"][key] for name, key in _LATENCIES.items()}
