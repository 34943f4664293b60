"""A row as short texts for a person: the cells of the text table and of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from replay.result import Row

#: What stands where nothing was seen.
NOTHING = "-"

#: Errors told in the table: metric, and its word.
ERRORS = {
    "requests": "req",
    "latency_p50": "p50",
    "latency_p99": "p99",
    "irqs": "irqs",
    "timers": "timers",
    "polls": "polls",
    "cpu_busy": "cpu",
}


class Cell(NamedTuple):
    """One column of the table: its head, its text, and whether it stands to the left."""

    head: str
    text: Callable[[Row], str]
    left: bool = False


def label(row: Row) -> str:
    """Return the policy and what kind of row it is; of one queue, its number."""
    if row.queue is not None:
        return f"  queue {row.queue}"
    return row.policy if row.kind == "alternative" else f"{row.policy} ({row.kind})"


def rate(value: float | None) -> str:
    """Return a number a second: whole from 10 on, with thousands marked."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 9.95 or value == 0 else f"{value:.1f}"


def microseconds(value: float | None) -> str:
    """Return a latency: whole from 100 us on."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}"


def share(value: float | None) -> str:
    """Return a percentage with one decimal."""
    return NOTHING if value is None else f"{value:.1f}"


def errors(row: Row) -> str:
    """Return the signed errors of a row against what was measured."""
    if row.error_pct is None:
        return ""
    told = [
        f"{word} {signed(row.error_pct[metric])}"
        for metric, word in ERRORS.items()
        if metric in row.error_pct
    ]
    return " ".join(told)


def spreads_or_errors(row: Row) -> str:
    """Return the errors of a replayed row, the middle half of the repetitions of a measured one."""
    if row.intervals is None:
        return errors(row)
    told = []
    for metric, word in ERRORS.items():
        if metric in row.intervals:
            low, high = row.intervals[metric]
            told.append(f"{word} {short(low)}..{short(high)}")
    return " ".join(told)


def short(value: float) -> str:
    """Return three digits, thousands and millions by their letter."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def signed(percent: float) -> str:
    """Return a signed percentage: +3%, -12%, and many times as such."""
    return f"{percent:+,.0f}%" if percent < 1000 else f"×{percent / 100 + 1:,.0f}"


def columns(rows: Sequence[Row], verbose: bool = False) -> list[Cell]:
    """Return the table's columns; `verbose` adds rarer percentiles, polls and the CPU split.

    What few hosts have is there only where one of `rows` has some.
    """
    cells = [
        Cell("policy", label, left=True),
        Cell("load", lambda row: f"{row.load:g}"),
        Cell("req/s", _rate("requests")),
    ]
    some = ("mean", "p50", "p95", "p99", "p99.9", "max")
    every = ("mean", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max")
    cells += [_latency(name) for name in (every if verbose else some)]
    if any(row.ranges_us for row in rows):
        told = ("p50", "p95", "p99") if verbose else ("p99",)
        cells += [Cell(f"{name} range", _range(name), left=True) for name in told]
    cells.append(Cell("irqs/s", _rate("irqs")))
    if any(row.irqs_no_work for row in rows):
        cells.append(Cell("no-work/s", _rate("irqs_no_work")))
    cells += [
        Cell("timers/s", _rate("timers")),
        Cell("polls/s", _rate("polls")),
        Cell("pkts/poll", lambda row: share(row.packets_per_poll)),
        Cell("epolls/s", _rate("epoll_returns")),
    ]
    if verbose:
        cells += [
            Cell("empty/s", _rate("polls_empty")),
            Cell("busy/s", _rate("busy_polls")),
            Cell("resumes/s", _rate("resumes")),
        ]
        if any(row.squeezes for row in rows):
            cells.append(Cell("squeezes/s", _rate("squeezes")))
    cells.append(Cell("cpu%", lambda row: share(row.cpu_busy_pct)))
    if verbose:
        cells += [_cpu(name) for name in ("hardirq", "softirq", "kernel", "app")]
        if any(row.cpu_pct["other"] for row in rows):
            cells.append(_cpu("other"))
    return [
        *cells,
        Cell("drops", lambda row: NOTHING if row.dropped is None else f"{row.dropped:,}"),
        Cell("verdict", lambda row: row.verdict or NOTHING, left=True),
        Cell("error", spreads_or_errors if verbose else errors, left=True),
    ]


def _rate(counter: str) -> Callable[[Row], str]:
    return lambda row: rate(row.rate(counter))


def _latency(name: str) -> Cell:
    return Cell(name, lambda row: microseconds(row.latency_us[name]))


def _cpu(name: str) -> Cell:
    return Cell(f"{name}%", lambda row: share(row.cpu_pct[name]))


def _range(name: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        if row.ranges_us is None or name not in row.ranges_us:
            return NOTHING
        low, high = row.ranges_us[name]
        return f"{microseconds(low)}..{microseconds(high)}"

    return text
