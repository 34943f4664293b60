"""Runs of the bench become medians with their spread, and facts of the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from replay.ingest.batches import Batches
from replay.ingest.ingested import Ingested
from replay.lab.facts import client_share, interrupt_cost, recording_cost
from replay.lab.outcomes import metrics, outcomes
from replay.trace.schema import EVENTS, METRICS, PACKETS, EventKind, PacketKind

SPINNER, NAPI = 9, 5
_LATENCIES = [
    *("served_per_s", "mean_us", "p50_us", "p90_us", "p95_us", "p99_us"),
    *("p99_9_us", "p99_99_us", "max_us"),
]


def run(policy: str = "base", irqs: int = 100, idle: float = 0.6, recorded: bool = False) -> Any:
    """A run of half a second."""
    return {
        "policy": {"name": policy},
        "recorded": recorded,
        "load": {"rate": 1_000},
        "window_start_ns": 0,
        "window_end_ns": 500_000_000,
        "counts": {
            "interrupts": irqs,
            "timers": 3,
            "polls": 120,
            "empty_polls": 7,
            "busy_polls": 0,
            "resumes": 0,
            "epoll_returns": 90,
        },
        "packets": {"server_rx_packets": 510, "server_tx_packets": 500, "server_rx_dropped": 0},
        "spinner": {"idle_ns": int(idle * 500_000_000)},
        "cpu": {"napi_cpu_ns": 100_000_000, "worker_cpu_ns": 50_000_000},
        "latency": dict.fromkeys(_LATENCIES, 10.0),
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_what_is_no_number_is_no_measurement(value: float | None) -> None:
    """A damaged file may say anything; a median of it would pass for a measurement."""
    damaged = run()
    damaged["latency"]["p95_us"] = value
    with pytest.raises(ValueError, match="base at 1000/s: latency_p95 is no number in one of"):
        outcomes([run(), damaged])


def large(rows: list[dict[str, int]], schema: pa.Schema) -> Batches:
    """A table as read_perf() leaves it."""
    return Batches(schema, schema.names, pa.Table.from_pylist(rows, schema).to_batches)


def ingested(events: list[dict[str, int]], packets: list[dict[str, int]]) -> Ingested:
    return Ingested(
        tables={},
        large={"events": large(events, EVENTS), "packets": large(packets, PACKETS)},
        manifest={
            "duration_ns": 1_000_000_000,
            "origin_ns": 1_000,
            "recorded_events": {"server_cpu": 1, "per_cpu": {"0": 5, "1": 50_000}},
        },
        found=[],
        inferred=[],
        lost=[],
    )


def test_rates_are_per_second_of_the_window() -> None:
    found = metrics(run())
    assert found["irqs"] == 200
    assert found["packets"] == 1_020
    assert found["cpu_idle"] == pytest.approx(60)
    assert (found["cpu_softirq"], found["cpu_thread"]) == (20, 10)
    assert set(found) <= set(METRICS)


def test_medians_and_quartiles_by_policy_and_load() -> None:
    runs = [run(irqs=irqs) for irqs in (10, 20, 30, 40, 100)]
    table = outcomes([*runs, run("defer20"), run(irqs=10**6, recorded=True)])
    rows = {(row["policy"], row["metric"]): row for row in table.to_pylist()}
    irqs = rows["base", "irqs"]
    assert (irqs["min"], irqs["q1"], irqs["median"]) == (20, 40, 60)
    assert (irqs["q3"], irqs["max"], irqs["repetitions"]) == (80, 200, 5)
    assert rows["defer20", "irqs"]["repetitions"] == 1


def test_the_cost_of_recording_is_what_turns_differ_by() -> None:
    recorded = [run(idle=0.50, recorded=True), run(idle=0.48, recorded=True)]
    counted = [run(idle=0.53), run(idle=0.52)]
    cost = recording_cost(recorded, counted, ingested([], []))
    assert cost["median"] == pytest.approx((0.03 + 0.04) / 2 * 1e9 / 50_000)
    assert cost["samples"] == 2


def test_an_interrupt_costs_what_the_spinner_lost_beyond_the_recorded_steps() -> None:
    events = []
    for turn in range(100):
        away = 100_000 * turn
        for time, tid, value in ((away, NAPI, SPINNER), (away + 20_000, SPINNER, NAPI)):
            events.append(
                {"time_ns": time, "cpu": 1, "kind": EventKind.RUN, "tid": tid, "value": value}
            )
    gaps = np.zeros(4_000, np.int64)
    gaps[265] = 100  # 26.5 us to 26.6 us
    gaps[20] = 40  # the tick
    seen = run(recorded=True) | {"interruptions": {"spinner": SPINNER, "by_length": gaps.tolist()}}
    cost = interrupt_cost(seen, ingested(events, []), probe_ns=550)
    assert cost["median"] == pytest.approx(26_550 - 20_000 - 550, abs=60)
    assert cost["samples"] == 100


def test_the_clients_share_is_the_rest_of_its_latency(tmp_path: Path) -> None:
    packets = []
    for request in range(200):
        arrival = 50_000 * request
        packets.append(
            {"arrival_ns": arrival, "kind": PacketKind.REQUEST, "status": 0, "reply_to": None}
        )
        packets.append(
            {
                "arrival_ns": arrival + 30_000,
                "kind": PacketKind.TX,
                "status": 0,
                "reply_to": 2 * request,
            }
        )
    intended = 1_000 + 50_000 * np.arange(200)
    np.savez(tmp_path / "log.npz", intended_ns=intended, received_ns=intended + 47_000)
    share = client_share(ingested([], packets), tmp_path / "log.npz", probe_ns=500)
    assert share["median"] == 47_000 - 30_000 - 4 * 500
    assert share["samples"] == 200
