"""A row as one flat line: named columns whose meaning never changes, for TSV and data frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from replay.result import COUNTERS, CPU_WORK, LATENCIES, Row


class Column(NamedTuple):
    """One column: its name with the unit in it, its polars type, and where its value is."""

    name: str
    dtype: str
    value: Callable[[Row], Any]


#: Metrics whose error has a column of its own.
ERRORS = (
    "requests",
    "irqs",
    "timers",
    "polls",
    "polls_empty",
    "epoll_returns",
    "cpu_busy",
    "latency_mean",
    "latency_p50",
    "latency_p90",
    "latency_p95",
    "latency_p99",
    "latency_p99.9",
)


def _field(name: str, dtype: str) -> Column:
    return Column(name, dtype, lambda row: getattr(row, name))


def _rate(counter: str) -> Column:
    return Column(f"{counter}_per_s", "Float64", lambda row: row.rate(counter))


def _latency(name: str) -> Column:
    return Column(f"{name}_us", "Float64", lambda row: row.latency_us[name])


def _cpu(name: str) -> Column:
    return Column(f"{name}_pct", "Float64", lambda row: row.cpu_pct[name])


def _error(metric: str) -> Column:
    return Column(
        f"error_{metric.removeprefix('latency_')}_pct",
        "Float64",
        lambda row: None if row.error_pct is None else row.error_pct.get(metric),
    )


COLUMNS: tuple[Column, ...] = (
    _field("kind", "String"),
    _field("policy", "String"),
    _field("queue", "Int64"),
    _field("load", "Float64"),
    _field("duration_s", "Float64"),
    _field("verdict", "String"),
    _field("latency_at", "String"),
    *(_latency(name) for name in LATENCIES),
    *(_rate(counter) for counter in COUNTERS),
    _field("packets_per_poll", "Float64"),
    _field("cpu_busy_pct", "Float64"),
    *(_cpu(name) for name in CPU_WORK),
    *(_error(metric) for metric in ERRORS),
)
