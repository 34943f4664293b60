from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.inspection import inspect
from replay.inspection.flows import NAMED
from replay.trace import schema
from replay.trace.bundle import write_trace


def flow(source: bytes, packets: int, **more: Any) -> dict[str, Any]:
    common = {"protocol": 6, "version": 4, "first_ns": 0, "last_ns": 1, "bytes": 100 * packets}
    ports = {"source_port": 1234, "destination_port": 80}
    ends = {"source": source, "destination": bytes(10) + b"\xff\xff\n\0\0\1"}
    return {**common, **ports, **ends, "packets": packets, **more}


def test_heaviest_flows_come_first_and_shares_add_up(tmp_path: Path) -> None:
    v4, v6 = bytes(10) + b"\xff\xff\n\0\0\2", bytes([32, 1]) + bytes(13) + b"\1"
    rows = [
        flow(v4, 10),
        flow(v6, 70, version=6, protocol=17, vlan=3, tunnel="vxlan 7"),
        flow(bytes(16), 20, destination=bytes(16), source_port=0, destination_port=0),
        *(flow(v4, 0) for _ in range(NAMED)),
    ]
    tables = {"flows": pa.Table.from_pylist(rows, schema=schema.FLOWS)}
    found = inspect(write_trace(tmp_path / "flows.trace", {}, tables))
    named = {section.name: section.rows for section in found.sections}
    assert len(named["flows"]) == NAMED
    assert [(row["flow"], row["share_pct"]) for row in named["flows"][:3]] == [
        ("udp [2001::1]:1234 > 10.0.0.1:80 vlan 3 in vxlan 7", 70),
        ("row 2", 20),
        ("tcp 10.0.0.2:1234 > 10.0.0.1:80", 10),
    ]
    assert [(row["packets_pct"], row["flows"]) for row in named["flow_shares"]] == [
        (50, 1),
        (90, 2),
        (99, 3),
    ]
