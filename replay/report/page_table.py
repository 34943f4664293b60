"""The table of the page: each value with its error, or with the spread of its repetitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby
from typing import NamedTuple

from replay.report.cells import NOTHING, microseconds, rate, share, short, signed
from replay.result import Result, Row

#: Errors beyond this many percent stand out.
FAR = 25.0


class Column(NamedTuple):
    """One column: its group and head, its metric (of `Row.metrics`), and how that is written."""

    group: str
    head: str
    metric: str
    text: Callable[[float | None], str]


COLUMNS = (
    Column("", "req/s", "requests", rate),
    *(
        Column("latency, µs", name, f"latency_{name}", microseconds)
        for name in ("mean", "p50", "p95", "p99", "p99.9", "max")
    ),
    *(
        Column("per second", head, metric, rate)
        for head, metric in (
            ("irqs", "irqs"),
            ("timers", "timers"),
            ("polls", "polls"),
            ("empty<br>polls", "polls_empty"),
            ("epoll<br>returns", "epoll_returns"),
            ("drops", "dropped"),
        )
    ),
    Column(" ", "packets<br>a poll", "packets_per_poll", share),
    Column(" ", "cpu %", "cpu_busy", share),
)

#: There, after the interrupts, where any row has some.
NO_WORK = Column("per second", "irqs,<br>no work", "irqs_no_work", rate)


def page_table(result: Result) -> str:
    """Return the table element."""
    columns = list(COLUMNS)
    if any(row.irqs_no_work for row in result.rows):
        columns.insert(1 + [column.metric for column in columns].index("irqs"), NO_WORK)
    groups = "".join(
        f'<th colspan="{len(list(some))}">{name}</th>'
        for name, some in groupby(columns, key=lambda column: column.group)
    )
    heads = "".join(f"<th>{column.head}</th>" for column in columns)
    lines = "".join(_line(row, columns) for row in result.rows)
    return (
        f'<table><thead><tr class="group"><th></th><th></th><th></th>{groups}</tr>'
        f'<tr><th class="left">policy</th><th class="left">verdict</th><th>load</th>{heads}</tr>'
        f"</thead><tbody>{lines}</tbody></table>"
    )


def _line(row: Row, columns: Sequence[Column]) -> str:
    """Return one row's element."""
    values = {**row.metrics(), "packets_per_poll": row.packets_per_poll}
    cells = "".join(
        f"<td>{column.text(values[column.metric])}{_under(row, column)}</td>" for column in columns
    )
    kind = "queue" if row.queue is not None else row.kind
    name = f"queue {row.queue}" if row.queue is not None else escape(row.policy)
    badge = "" if kind in ("queue", "alternative") else f'<span class="kind">{kind}</span>'
    verdict = f'<td class="left {row.verdict or ""}">{row.verdict or NOTHING}</td>'
    return (
        f'<tr class="{kind}"><td class="left">{name}{badge}</td>{verdict}'
        f"<td>{row.load:g}</td>{cells}</tr>"
    )


def _under(row: Row, column: Column) -> str:
    """Return what stands under a value: its error, or the middle half of its repetitions."""
    if row.error_pct is not None and column.metric in row.error_pct:
        error = row.error_pct[column.metric]
        far = ' class="far"' if abs(error) > FAR else ""
        return f"<small{far}>{signed(error)}</small>"
    if row.intervals is not None and column.metric in row.intervals:
        low, high = (short(value) for value in row.intervals[column.metric])
        if low == high:
            return f"<small>{low}</small>"
        return f"<small>{low[:-1] if _same_letter(low, high) else low}–{high}</small>"
    return ""


def _same_letter(low: str, high: str) -> bool:
    """Whether both are in thousands, or both in millions: the letter need not stand twice."""
    return low[-1] in "kM" and low[-1] == high[-1]
