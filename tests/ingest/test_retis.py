"""Retis' JSON lines: the packets that were received and sent, and what else is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from replay.errors import TraceError
from replay.ingest.ingest import ingest
from replay.ingest.reconstruct_points import NO_CPU, NO_TID, Point
from replay.ingest.recording import Recording
from replay.ingest.retis import read_retis
from replay.ingest.sniff import RETIS, sniff
from replay.ingest.stream import Stream
from replay.trace.bundle import open_trace

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "retis" / "retis" / "test_data"
START = {
    "common": {"timestamp": 10},
    "startup": {"clock_monotonic_offset": {"sec": 1742309146, "nsec": 5}},
}


def event(time: int, symbol: str, **sections: Any) -> dict[str, Any]:
    task = {"pid": 7, "tgid": 6, "comm": "ping"}
    return {
        "common": {"timestamp": time, "smp_id": 3, "task": task},
        "kernel": {"probe_type": "raw_tracepoint", "symbol": symbol},
        **sections,
    }


def read(tmp_path: Path, *lines: Any) -> Recording:
    path = tmp_path / "retis.data"
    path.write_text("\n".join(it if isinstance(it, str) else json.dumps(it) for it in lines))
    with Stream(path) as stream:
        return read_retis(stream)


def test_packets_become_points(tmp_path: Path) -> None:
    skb, dev = {"meta": {"len": 84}}, {"name": "eth0", "ifindex": 3}
    found = read(
        tmp_path,
        START,
        event(1000, "net:netif_receive_skb", skb=skb, dev=dev, packet={"len": 99}),
        event(1500, "net:netif_receive_skb", skb=skb, dev=dev),
        [event(1200, "net:net_dev_start_xmit", skb=skb, dev={"name": "eth1"})],
        {
            "common": {"timestamp": 1600},
            "kernel": {"symbol": "net:net_dev_queue"},
            "skb": {**skb, "dev_name": "eth0"},
        },
    )
    points = found.points
    assert points.time.tolist() == [0, 500, 200, 600]
    assert found.runs is not None
    assert found.runs.tolist() == [2]
    assert points.kind.tolist() == [
        Point.RECEIVE,
        Point.RECEIVE,
        Point.XMIT,
        Point.XMIT_QUEUED,
    ]
    assert points.value.tolist() == [99, 98, 84, 84]
    assert points.cpu.tolist() == [3, 3, 3, NO_CPU]
    assert points.tid.tolist() == [7, 7, 7, NO_TID]
    assert [found.devices[it] for it in points.device] == ["eth0", "eth0", "eth1", "eth0"]
    assert found.threads == {7: "ping"}
    assert found.clock == "CLOCK_MONOTONIC"
    assert found.facts["wall_origin_ns"] == 1742309146 * 10**9 + 5 + 1000


def test_what_is_not_used_is_counted(tmp_path: Path) -> None:
    good = event(1, "net:net_dev_xmit", skb={"meta": {"len": 84}}, dev={"name": "eth0"})
    found = read(
        tmp_path,
        good,
        event(2, "skb:kfree_skb"),
        event(2, "net:net_dev_queue"),
        '{"common":',
        "[1, 2]",
        event(-5, "net:net_dev_xmit", skb={"meta": {"len": 84}}),
        {**good, "skb": {"meta": {"len": 1 << 40}}},
        "[" * 5000,
        '{"common": {"timestamp": 1e999}, "kernel": {"symbol": "net:net_dev_xmit"}, "packet": '
        '{"len": 84}}',
        {**START, "startup": {"clock_monotonic_offset": {"sec": 1 << 62, "nsec": 0}}},
    )
    assert len(found.points.time) == 1
    assert "wall_origin_ns" not in found.facts
    assert found.left_out[0].startswith("7 lines not understood: '{\"common\":' | '[1, 2]' | ")
    assert found.left_out[1] == (
        "2 events of other probes left out: skb:kfree_skb, net:net_dev_queue without a length"
    )
    with pytest.raises(TraceError, match=r"no event of a packet .* \(its probes: tcp_v4_rcv\)"):
        read(tmp_path, event(2, "tcp_v4_rcv"))


def test_a_sample_of_retis(tmp_path: Path) -> None:
    path = SAMPLES / "test_events_packets.json"
    if not path.exists():
        pytest.skip("retis' samples are not there")
    assert sniff(path) == RETIS
    summary = ingest([path], tmp_path / "a.trace")
    trace = open_trace(tmp_path / "a.trace")
    assert trace.events.num_rows == 16
    assert any("10 events of other probes" in line for line in summary.lost)
