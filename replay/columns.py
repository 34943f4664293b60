"""A row as one flat line: named columns whose meaning never changes, for TSV and data frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from replay.result import (
    CAUSE_PERCENTILES,
    COUNTERS,
    CPU_WORK,
    LATENCIES,
    PARTS,
    Numbers,
    Result,
    Row,
)


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


def _part(name: str, part: str, parts: Callable[[Row], Numbers | None]) -> Column:
    def value(row: Row) -> float | None:
        found = parts(row)
        return None if found is None else found[part]

    return Column(f"{name}_us", "Float64", value)


def _percentile(cause: str, name: str) -> Column:
    def told(row: Row) -> Numbers | None:
        return None if row.cause_percentiles is None else row.cause_percentiles[cause]

    return _part(f"cause_{cause}_{name}", name, told)


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
    _field("left", "Int64"),
    _field("packets_per_poll", "Float64"),
    _field("cpu_busy_pct", "Float64"),
    *(_cpu(name) for name in CPU_WORK),
    *(_error(metric) for metric in ERRORS),
)

#: There too where causes were asked for.
CAUSE_COLUMNS: tuple[Column, ...] = (
    *(_part(f"cause_{part}_mean", part, lambda row: row.causes) for part in PARTS),
    *(_percentile(cause, name) for cause in PARTS[1:] for name in CAUSE_PERCENTILES),
    _field("tail_begins", "String"),
    _field("tail_cause", "String"),
    *(_part(f"tail_{part}_mean", part, lambda row: row.tail_causes) for part in PARTS),
)


def _range_end(name: str, place: int) -> Column:
    def value(row: Row) -> float | None:
        found = None if row.ranges_us is None else row.ranges_us.get(name)
        return None if found is None else found[place]

    return Column(f"{name}_{('low', 'high')[place]}_us", "Float64", value)


def _likely_end(metric: str, place: int) -> Column:
    def value(row: Row) -> float | None:
        found = None if row.likely is None else row.likely.get(metric)
        return None if found is None else found[place]

    return Column(f"{metric}_likely_{('low', 'high')[place]}", "Float64", value)


#: There too where intervals were drawn; in the units of METRICS.
LIKELY_COLUMNS = tuple(_likely_end(name, place) for name in ERRORS for place in (0, 1))

#: There too where arrivals are known within bounds only.
RANGE_COLUMNS = tuple(_range_end(name, place) for name in ("p50", "p95", "p99") for place in (0, 1))


def columns_of(result: Result) -> tuple[Column, ...]:
    """Return the columns of a result: COLUMNS, and those of ranges and causes where it has them."""
    ranged = RANGE_COLUMNS if any(row.ranges_us for row in result.rows) else ()
    drawn = LIKELY_COLUMNS if any(row.likely for row in result.rows) else ()
    return (*COLUMNS, *drawn, *ranged, *(CAUSE_COLUMNS if result.explained else ()))
