"""A chart of what the CPUs did, instant by instant: interrupts, polls and the application.

An outcome holds no events, only what had happened by its end. So a timeline is made of outcomes of
one scenario that end one after the other: what grew from one to the next is what was done between.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import altair as alt

from replay.engine.outcome import Outcome
from replay.report.charts import WIDTH, inline, tips
from replay.units import MICROSECOND

#: Kinds of spans, from the device to the application, and their colours.
KINDS = {
    "irq": "#d55e00",
    "timer": "#b0508c",
    "softirq poll": "#e69f00",
    "busy poll": "#56b4e9",
    "epoll_wait": "#bdbdbd",
    "app": "#0072b2",
}


#: What a span may turn out to be. A busy poll is counted as it ends: epoll_wait until then.
GOES_ON = {kind: (kind,) for kind in KINDS} | {"epoll_wait": ("epoll_wait", "busy poll")}


class Span(NamedTuple):
    """One kind of work without a pause; ns since the start, as exact as the outcomes are close."""

    kind: str
    begin_ns: int
    end_ns: int


def timeline(outcomes: Sequence[Outcome]) -> list[Span]:
    """Return the spans of a scenario, by begin, from its outcomes at rising `duration_ns`.

    What takes no time has no span; what several CPUs do at once is told as one.
    """
    running: dict[str, Span] = {}
    spans: list[Span] = []
    for before, after in pairwise(outcomes):
        for work in ("hardirq", "softirq", "kernel", "app"):
            last = running.pop(work, None)
            kind = None
            if getattr(after.cpu, work) > getattr(before.cpu, work):
                kind = _kind(work, before, after, last)
            goes_on = last is not None and kind is not None and kind in GOES_ON[last.kind]
            if last is not None and not goes_on:
                spans.append(last)
            if kind is not None:
                begin = last.begin_ns if last is not None and goes_on else before.duration_ns
                running[work] = Span(kind, begin, after.duration_ns)
    return sorted([*spans, *running.values()], key=lambda span: span[1:])


def _kind(work: str, before: Outcome, after: Outcome, last: Span | None) -> str | None:
    """Return which kind of work of the CPU was done; None on the way to the idle task."""
    if work == "hardirq":  # counted as its handler begins
        if after.irqs > before.irqs:
            return "irq"
        if after.timers > before.timers:
            return "timer"
        return None if last is None else last.kind
    if work == "kernel":
        polls = after.busy_polls > before.busy_polls or (last and last.kind == "busy poll")
        return "busy poll" if polls else "epoll_wait"
    return "softirq poll" if work == "softirq" else "app"


def timeline_chart(outcomes: Sequence[Outcome], title: str) -> Any:
    """Return a bar a span, a line a kind, over time in us."""
    records = [
        {"kind": kind, "begin": begin / MICROSECOND, "end": end / MICROSECOND}
        for kind, begin, end in timeline(outcomes)
    ]
    colour = alt.Scale(domain=list(KINDS), range=list(KINDS.values()))
    return (
        alt.Chart(inline(records))
        .mark_bar()
        .encode(
            x=alt.X("begin:Q", title="µs"),
            x2="end:Q",
            y=alt.Y("kind:N", title=None, scale=alt.Scale(domain=list(KINDS))),
            color=alt.Color("kind:N", scale=colour, legend=None),
            tooltip=tips(kind="kind", begin="from, µs", end="to, µs"),
        )
        .properties(title=title, width=WIDTH)
    )
