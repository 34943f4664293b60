"""The machine as a manifest tells it: its NIC on the host, its queues under the packets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replay.arrivals import offered
from replay.errors import TraceError
from replay.host import GENERIC, with_nic
from replay.layout import VERIFICATION_KEY
from replay.placement import place
from replay.recorded import recorded_layout, recorded_places, with_recorded_nic
from replay.scenario import choose_host
from replay.trace.bundle import Trace, write_trace
from tests.tiny import HOST, tiny_trace

KEY = VERIFICATION_KEY.hex(":")
TWO = {"queues": 2, "indirection": [0, 1, 1, 0], "irq_cpus": [3, 7]}


def traced(folder: Path, **manifest: Any) -> Trace:
    return tiny_trace(folder, manifest=manifest)


def test_a_driver_brings_its_own_ways_and_settings_go_before_them(tmp_path: Path) -> None:
    nic = {"driver": "mlx5_core", "ring": 4096, "rx_usecs": 3, "queues": 2}
    host, notes = with_recorded_nic(GENERIC, traced(tmp_path, nic=nic))
    assert host == replace(with_nic(GENERIC, "mlx5"), ring=4096, rx_usecs=3)
    assert notes == ["NIC as recorded: driver mlx5_core, rx-usecs 3, ring 4096"]


def test_an_unknown_driver_changes_only_what_is_said(tmp_path: Path) -> None:
    trace = traced(tmp_path, nic={"driver": "atlantic", "adaptive": "dim"})
    host, _ = choose_host(trace, None)
    assert host == replace(GENERIC, adaptive="dim")
    assert choose_host(trace, HOST) == (HOST, [])


def test_without_files_nothing_is_changed(tmp_path: Path) -> None:
    trace = traced(tmp_path)
    assert with_recorded_nic(GENERIC, trace) == (GENERIC, [])
    assert recorded_layout(trace) is None


@pytest.mark.parametrize(
    "nic", [{"ring": 0}, {"ring": "long"}, {"adaptive": "always"}, {"rx_usecs": -1}]
)
def test_a_damaged_nic_is_refused(tmp_path: Path, nic: dict[str, Any]) -> None:
    with pytest.raises(TraceError, match=r"manifest\.json: nic: "):
        with_recorded_nic(GENERIC, traced(tmp_path, nic=nic))


def test_packets_go_where_the_recorded_table_sends_them(tmp_path: Path) -> None:
    seen = traced(tmp_path)
    table = seen.packets.drop_columns("queue")
    table = table.append_column("queue", [[None] * len(table)])
    tables = {
        "packets": table.select(seen.packets.schema.names),
        "flows": seen.flows,
        "events": seen.events,
    }
    said = {**seen.manifest, "layout": TWO, "rss_key": KEY}
    trace = write_trace(tmp_path / "queues.trace", said, tables)
    offer = offered(trace, HOST, load=1.0, arrivals="open")
    layout = recorded_layout(trace)
    assert layout is not None
    placed, asked = place(trace, offer, None, None), place(trace, offer, layout, None)
    assert placed.queue is not None
    assert asked.queue is not None
    assert np.array_equal(placed.queue, asked.queue)
    assert set(placed.queue.tolist()) == {0, 1}
    assert len(placed.topology.cpu_domain) == 2
    shared = {**said, "layout": {**TWO, "irq_cpus": [3, 3]}}
    together = write_trace(tmp_path / "shared.trace", shared, tables)
    assert recorded_places(together, layout) is not None
    both = place(together, offered(together, HOST, load=1.0, arrivals="open"), None, None)
    assert both.topology.queue_cpu == both.topology.worker_cpu == (0, 0)


@pytest.mark.parametrize(
    "layout",
    [
        {"queues": 2, "indirection": "all"},
        {"queues": 2, "indirection": [0, 1.5]},
        {"queues": None, "indirection": [0, 1]},
        {"queues": 2, "indirection": [0, 2]},
        {"queues": 2, "indirection": [0, 1, 0]},
    ],
)
def test_a_damaged_layout_is_refused(tmp_path: Path, layout: dict[str, Any]) -> None:
    with pytest.raises(TraceError, match=r"manifest\.json: layout"):
        recorded_layout(traced(tmp_path, layout=layout, rss_key=KEY))
