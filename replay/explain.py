"""Why a policy differs from the measured one: what moved, and on which constants that hangs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from replay.calibration.counted import FITTABLE
from replay.errors import PolicyError
from replay.host import Host
from replay.host.model import LONGEST_NS
from replay.result import CPU_WORK, PARTS, Result, Row
from replay.scenario import choose_host
from replay.trace.bundle import Trace

#: A part is told where it moved by this share of the mean latency, or of the CPU's time.
TOLD = 0.03
#: Constants are moved by this share, one at a time, and so many of them are told.
MOVED = 0.1
MOST_TOLD = 3

#: A question asked on another host, with or without causes.
Ask = Callable[[Host, bool], Result]


def explained(
    ask: Callable[..., Result], trace: Trace, host: str | os.PathLike[str] | None, policy: str
) -> list[str]:
    """Return what `explain` does; `ask` is what_if of the trace with all but host and causes."""
    costs, _ = choose_host(trace, host)
    return explain(lambda it, causes: ask(host=it, causes=causes, draws=0), costs, policy)


def explain(ask: Ask, host: Host, policy: str) -> list[str]:
    """Return sentences on how `policy` differs from the model of the measured policy.

    `ask` asks the same question on a host. Raises PolicyError where `policy` is not in its answer,
    or no measured policy is.
    """
    result = ask(host, True)
    base = next((row for row in result.rows if row.kind == "model"), None)
    if base is None:
        raise PolicyError(
            "explain: the recording does not name its policy: there is nothing to differ from"
        )
    mine = _row(result, policy)
    return [
        _latency(base, mine),
        _tail(base, mine),
        _work(base, mine),
        *_sensitivity(ask, host, policy, mine),
    ]


def _row(result: Result, policy: str) -> Row:
    """Return the replayed row of `policy`."""
    found = [row for row in result.rows if row.kind != "measured" and row.queue is None]
    for row in found:
        if row.policy == policy and row.kind != "model":
            return row
    names = ", ".join(row.policy for row in found if row.kind != "model")
    raise PolicyError(f"explain: {policy!r} was not asked for: name one of {names}")


def _latency(base: Row, mine: Row) -> str:
    mean, before = mine.latency_us["mean"] or 0.0, base.latency_us["mean"] or 0.0
    parts = {part: (mine.causes or {}).get(part, 0.0) or 0.0 for part in PARTS}
    moved = {part: value - ((base.causes or {}).get(part) or 0.0) for part, value in parts.items()}
    told = [
        f"{part} {_signed(by)}"
        for part, by in sorted(moved.items(), key=lambda item: -abs(item[1]))
        if abs(by) >= TOLD * max(mean, before)
    ]
    why = ", ".join(told) if told else "no part of it by much"
    return (
        f"mean latency {_us(mean)} instead of {_us(before)} under {base.policy}"
        f" ({_signed(mean - before)}): {why}"
    )


def _tail(base: Row, mine: Row) -> str:
    name = mine.tail_begins or "p99"
    mean = sum(value or 0.0 for value in (mine.tail_causes or {}).values())
    part = mine.tail_cause
    waits = (mine.tail_causes or {}).get(part or "") or 0.0
    other = f", under {base.policy} {base.tail_cause}" if base.tail_cause != part else ", as there"
    return (
        f"its tail, from {name} on, takes {_us(mean)} on average, {_us(waits)} of it for"
        f" {part or 'nothing'}{other}"
    )


def _work(base: Row, mine: Row) -> str:
    counts = []
    for counter, word in (("irqs", "interrupts"), ("timers", "timers"), ("polls", "polls")):
        now, before = mine.rate(counter), base.rate(counter)
        if now is not None and before is not None and abs(now - before) > TOLD * max(now, before):
            counts.append(f"{word} {now:,.0f}/s instead of {before:,.0f}")
    busy, was = mine.cpu_busy_pct or 0.0, base.cpu_busy_pct or 0.0
    moved = {
        work: (mine.cpu_pct[work] or 0.0) - (base.cpu_pct[work] or 0.0)
        for work in CPU_WORK
        if work != "idle"
    }
    shares = [f"{work} {by:+.1f}" for work, by in moved.items() if abs(by) >= 100 * TOLD]
    why = f" ({', '.join(shares)} points)" if shares else ""
    return "; ".join([*counts, f"CPU {busy:.1f} % instead of {was:.1f} %{why}"])


def _sensitivity(ask: Ask, host: Host, policy: str, mine: Row) -> list[str]:
    """Return which constants move the tail and the CPU most."""
    moved: dict[str, tuple[float, float]] = {}
    tail = next(
        it for it in ("p99", "p95", "p90", "p50", "mean") if mine.latency_us[it] is not None
    )
    for name in FITTABLE:
        value = getattr(host, name)
        more = min(round(value * (1 + MOVED)), LONGEST_NS)
        if more == value:
            continue
        row = _row(ask(replace(host, **{name: more}), False), policy)
        latency = (row.latency_us[tail] or 0.0) - (mine.latency_us[tail] or 0.0)
        moved[name] = (latency, (row.cpu_busy_pct or 0.0) - (mine.cpu_busy_pct or 0.0))
    sentences = []
    for place, what, unit in ((0, tail, "µs"), (1, "CPU", "points")):
        most = sorted(moved.items(), key=lambda item: -abs(item[1][place]))[:MOST_TOLD]
        told = [f"{name} {by[place]:+.1f}" for name, by in most if abs(by[place]) >= 0.05]
        if told:
            each = f"{unit} for {100 * MOVED:.0f} % more of it"
            sentences.append(f"{what} hangs most on {', '.join(told)} ({each})")
    return sentences


def _us(value: float) -> str:
    return f"{value:,.1f} µs"


def _signed(value: float) -> str:
    return f"{value:+,.1f}"
