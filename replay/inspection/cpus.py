"""What each CPU spent on interrupts, softirqs and threads: the busy irq time first."""

from __future__ import annotations

import polars as pl

from replay.inspection.section import Figures, Section, percent
from replay.trace.bundle import Trace
from replay.trace.facts import number, table
from replay.trace.schema import EventKind

#: Threads that are named, the busiest of each CPU first.
NAMED = 4


def cpus(trace: Trace) -> list[Section]:
    """Return the shares of each CPU's time that were seen."""
    duration = number(trace, "duration_ns")
    if not duration or not trace.events.num_rows:
        return []
    columns = ["kind", "cpu", "tid", "cause", "duration_ns"]
    events = pl.DataFrame(trace.events.select(columns)).filter(pl.col("cpu").is_not_null())
    took = pl.col("duration_ns").fill_null(0)
    kind = pl.col("kind")
    polling = (
        events.filter((kind == EventKind.POLL) & pl.col("tid").is_not_null())
        .select("cpu", "tid")
        .unique()
    )
    spent = events.group_by("cpu").agg(
        irq=took.filter(kind == EventKind.IRQ).sum(),
        softirq=took.filter(kind == EventKind.SOFTIRQ).sum(),
        irqs=(kind == EventKind.IRQ).sum(),
        softirqs=(kind == EventKind.SOFTIRQ).sum(),
        polling=took.filter(kind == EventKind.POLL).sum(),
        switches=(kind == EventKind.RUN).sum(),
    )
    rows = [
        {
            "cpu": row["cpu"],
            "irq_pct": percent(row["irq"], duration),
            "net_rx_pct": percent(row["softirq"], duration),
            "busy_irq_pct": percent(row["irq"] + row["softirq"], duration),
            "polls_pct": percent(row["polling"], duration),
            "irqs": row["irqs"],
            "softirqs": row["softirqs"],
            "switches": row["switches"],
        }
        for row in spent.sort("cpu").iter_rows(named=True)
    ]
    return [
        Section(
            "cpus",
            "CPUs: time in hard interrupts, in NET_RX softirqs, both (busy irq), and in polls"
            " wherever they ran",
            rows,
        ),
        Section("threads", "threads: time on a CPU", _threads(trace, events, duration, polling)),
    ]


def _threads(
    trace: Trace, events: pl.DataFrame, duration: float, polling: pl.DataFrame
) -> list[Figures]:
    """Return the busiest threads of each CPU."""
    names = table(trace, "workers")
    pollers = set(polling["tid"].to_list())
    runs = (
        events.filter((pl.col("kind") == EventKind.RUN) & (pl.col("tid") > 0))
        .group_by("cpu", "tid")
        .agg(took=pl.col("duration_ns").fill_null(0).sum(), runs=pl.len())
        .sort("cpu", "took", "tid", descending=[False, True, False])
        .group_by("cpu", maintain_order=True)
        .head(NAMED)
    )
    return [
        {
            "cpu": row["cpu"],
            "tid": row["tid"],
            "name": names.get(str(row["tid"])) or ("polls" if row["tid"] in pollers else None),
            "cpu_pct": percent(row["took"], duration),
            "runs": row["runs"],
        }
        for row in runs.iter_rows(named=True)
    ]
