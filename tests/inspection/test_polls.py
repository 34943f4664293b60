from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.inspection import Section, inspect
from replay.trace import schema
from replay.trace.bundle import write_trace
from replay.trace.schema import Cause, EventKind

SECOND = 1_000_000_000


def event(kind: EventKind, time: int, **more: Any) -> dict[str, Any]:
    return {"kind": int(kind), "time_ns": time, "cpu": 1, **more}


def poll(time: int, work: int, cause: Cause, napi: int = 5) -> dict[str, Any]:
    return event(
        EventKind.POLL,
        time,
        device=0,
        napi=napi,
        tid=9,
        value=work,
        budget=64,
        cause=int(cause),
        duration_ns=2_000,
    )


EVENTS = [
    event(EventKind.IRQ, 100, duration_ns=10_000_000),
    event(EventKind.SOFTIRQ, 200, duration_ns=30_000_000),
    poll(300, 1, Cause.IRQ),
    poll(400, 0, Cause.IRQ),
    poll(500, 64, Cause.IRQ),
    poll(600, 3, Cause.TIMER),
    poll(700, 2, Cause.BUSY, napi=6),
    event(EventKind.RUN, 800, tid=9, value=0, duration_ns=100_000_000),
    event(EventKind.RUN, 900, tid=7, value=9, duration_ns=500_000_000),
    event(EventKind.RUN, 950, tid=0, value=7, duration_ns=300_000_000),
]


def sections(folder: Path) -> dict[str, Section]:
    manifest = {"duration_ns": SECOND, "devices": ["eth0"], "workers": {"7": "server"}}
    tables = {"events": pa.Table.from_pylist(EVENTS, schema=schema.EVENTS)}
    found = inspect(write_trace(folder / "polls.trace", manifest, tables))
    return {section.name: section for section in found.sections}


def test_polls_by_cause(tmp_path: Path) -> None:
    rows = sections(tmp_path)["polls"].rows
    assert [(row["device"], row["napi"], row["cause"], row["polls"]) for row in rows] == [
        ("eth0", 5, "irq", 3),
        ("eth0", 5, "timer", 1),
        ("eth0", 6, "busy", 1),
    ]
    irq = rows[0]
    assert (irq["full"], irq["max_packets"], irq["median_us"]) == (1, 64, 2)
    assert irq["empty_pct"] == 100 / 3
    assert irq["mean_packets"] == 65 / 3


def test_batches_cover_all_polls_and_packets(tmp_path: Path) -> None:
    rows = sections(tmp_path)["batches"].rows
    assert [(row["packets"], row["polls"]) for row in rows] == [
        ("0", 1),
        ("1", 1),
        ("2", 1),
        ("3-4", 1),
        ("33-64", 1),
    ]
    assert sum(row["packets_pct"] for row in rows) == 100
    assert sum(row["polls_pct"] for row in rows) == 100


def test_interrupts_without_work(tmp_path: Path) -> None:
    first, second = sections(tmp_path)["interrupts"].rows
    assert (first["irqs_per_s"], first["no_work_irqs"]) == (3, 1)
    assert first["packets_per_irq"] == 68 / 3
    assert first["timers_per_s"] == 1
    assert (second["irqs_per_s"], second["packets_per_irq"], second["no_work_pct"]) == (
        0,
        None,
        None,
    )


def test_busy_irq_time_and_threads(tmp_path: Path) -> None:
    found = sections(tmp_path)
    (cpu,) = found["cpus"].rows
    assert (cpu["irq_pct"], cpu["net_rx_pct"], cpu["busy_irq_pct"]) == (1, 3, 4)
    assert cpu["switches"] == 3
    assert [(row["tid"], row["name"], row["cpu_pct"]) for row in found["threads"].rows] == [
        (7, "server", 50),
        (9, "polls", 10),
    ]
