"""What polled, why, and what it found: polls by cause, batches, packets an interrupt."""

from __future__ import annotations

import numpy as np
import polars as pl

from replay.inspection.section import Figures, Section, percent
from replay.trace.bundle import Trace
from replay.trace.facts import number
from replay.trace.schema import Cause, EventKind
from replay.units import MICROSECOND, SECOND

#: Highest numbers of packets a poll that are counted together.
BATCHES = (0, 1, 2, 4, 8, 16, 32, 64, 1 << 30)


def polls(trace: Trace) -> list[Section]:
    """Return polls by device and cause, their batches, and interrupts against packets."""
    columns = ["kind", "device", "napi", "value", "budget", "cause", "duration_ns"]
    events = pl.DataFrame(trace.events.select(columns))
    seen = events.filter(pl.col("kind") == EventKind.POLL).with_columns(
        pl.col("cause").fill_null(int(Cause.UNKNOWN)), pl.col("value").fill_null(0)
    )
    if seen.is_empty():
        return []
    seconds = (number(trace, "duration_ns") or 1) / SECOND
    devices = trace.manifest.get("devices")
    names = devices if isinstance(devices, list) else []
    return [
        Section(
            "polls",
            "polls by NAPI and cause; full: the whole weight used",
            _by_cause(seen, names, seconds),
        ),
        Section("batches", "packets a poll", _batches(seen)),
        Section(
            "interrupts",
            "interrupts (of a NAPI thread: its wake-ups by the device): packets each;"
            " no work: the poll found none",
            _interrupts(seen, names, seconds),
        ),
    ]


def _by_cause(seen: pl.DataFrame, names: list[object], seconds: float) -> list[Figures]:
    work = pl.col("value")
    table = (
        seen.group_by("device", "napi", "cause")
        .agg(
            polls=pl.len(),
            empty=(work == 0).sum(),
            full=(work >= pl.col("budget")).sum(),
            mean=work.mean(),
            p99=work.quantile(0.99, "higher"),
            most=work.max(),
            took=pl.col("duration_ns").median(),
        )
        .sort("device", "napi", "polls", descending=[False, False, True])
    )
    return [
        {
            "device": _device(row["device"], names),
            "napi": row["napi"],
            "cause": Cause(row["cause"]).name.lower(),
            "polls": row["polls"],
            "polls_per_s": row["polls"] / seconds,
            "empty_pct": percent(row["empty"], row["polls"]),
            "full": row["full"],
            "mean_packets": row["mean"],
            "p99_packets": row["p99"],
            "max_packets": row["most"],
            "median_us": None if row["took"] is None else row["took"] / MICROSECOND,
        }
        for row in table.iter_rows(named=True)
    ]


def _batches(seen: pl.DataFrame) -> list[Figures]:
    work = seen["value"].to_numpy()
    place = np.searchsorted(BATCHES, work)
    polls_of = np.bincount(place, minlength=len(BATCHES))
    packets_of = np.bincount(place, weights=work, minlength=len(BATCHES))
    lows = (0, *(below + 1 for below in BATCHES[:-1]))
    return [
        {
            "packets": f"{low}+" if high == BATCHES[-1] else _range(low, high),
            "polls": int(count),
            "polls_pct": percent(count, len(work)),
            "packets_pct": percent(packets, work.sum()),
        }
        for low, high, count, packets in zip(lows, BATCHES, polls_of, packets_of, strict=True)
        if count
    ]


def _interrupts(seen: pl.DataFrame, names: list[object], seconds: float) -> list[Figures]:
    work, cause = pl.col("value"), pl.col("cause")
    table = (
        seen.group_by("device", "napi")
        .agg(
            packets=work.sum(),
            irqs=(cause == Cause.IRQ).sum(),
            no_work=((cause == Cause.IRQ) & (work == 0)).sum(),
            timers=(cause == Cause.TIMER).sum(),
            polls=pl.len(),
        )
        .sort("device", "napi")
    )
    return [
        {
            "device": _device(row["device"], names),
            "napi": row["napi"],
            "irqs_per_s": row["irqs"] / seconds,
            "packets_per_irq": row["packets"] / row["irqs"] if row["irqs"] else None,
            "no_work_irqs": row["no_work"],
            "no_work_pct": percent(row["no_work"], row["irqs"]),
            "timers_per_s": row["timers"] / seconds,
            "packets_per_poll": row["packets"] / row["polls"],
        }
        for row in table.iter_rows(named=True)
    ]


def _device(number_: int | None, names: list[object]) -> str | None:
    """Return a device's name."""
    if number_ is None or not 0 <= number_ < len(names):
        return None
    named = names[number_]
    named = named.get("name") if isinstance(named, dict) else named
    return None if named is None else str(named)


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"
