from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from replay.convert import convert
from replay.convert.headers import SHAPES, Flows, Packets, headers
from replay.convert.pcapng import _ROWS
from replay.errors import TraceError
from replay.ingest.ingest import ingest
from replay.trace import schema
from replay.trace.bundle import Trace, open_trace, write_trace
from replay.trace.schema import PacketKind
from tests.ingest.captures import (
    ACK,
    CLIENT,
    PORT,
    PSH,
    SERVER,
    SYN,
    Packet,
    ethernet,
    ip,
    pcap,
    tcp,
    udp,
)
from tests.tiny import REQUESTS, tiny_trace

START = 1_700_000_000_123_456_789


def capture() -> bytes:
    """Connections over IPv4, IPv6 and VLAN, UDP, what has ports alone, and what has no flow."""
    frames: list[bytes] = []
    for turn in range(3):
        for number, (client, server) in enumerate(((CLIENT, SERVER), ("fd00::2", "fd00::1"))):
            kind = (0x0800, 0x86DD)[number]
            port = 40_000 + number
            ask = tcp(port, PORT, b"x", flags=PSH | ACK, sequence=101 + turn)
            answer = tcp(PORT, port, b"y" * 20, flags=PSH | ACK, sequence=20 * turn)
            if not turn:
                start = tcp(port, PORT, flags=SYN, sequence=100)
                frames.append(ethernet(ip(client, server, 6, start), kind, 7))
            frames.append(ethernet(ip(client, server, 6, ask), kind, 7))
            frames.append(ethernet(ip(server, client, 6, answer), kind, 7))
            datagram = udp(port, 53, b"z" * 30)
            frames.append(ethernet(ip(client, server, 17, datagram), kind))
            for protocol in (33, 132, 136):  # DCCP, SCTP, UDP-Lite
                chunk = struct.pack(">HH", port, 5_000 + protocol) + bytes(20)
                frames.append(ethernet(ip(client, server, protocol, chunk), kind))
        frames.append(ethernet(ip(CLIENT, SERVER, 1, b"ping" * 4)))
        frames.append(ethernet(b"?" * 50, 0x1234))
    packets = [Packet(START + 1_000 * i, frame) for i, frame in enumerate(frames)]
    return pcap(packets, nanoseconds=True)


COLUMNS = ["arrival_ns", "flow", "length", "payload", "kind", "reply_to", "think_ns"]


def test_there_and_back_is_the_same_bundle(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(capture())
    ingest([tmp_path / "a.pcap"], tmp_path / "a.trace", server=f"{SERVER}:{PORT}")
    first = open_trace(tmp_path / "a.trace")
    convert(first, tmp_path / "b.pcapng", "pcapng")
    ingest([tmp_path / "b.pcapng"], tmp_path / "b.trace", server=f"{SERVER}:{PORT}")
    second = open_trace(tmp_path / "b.trace")
    for name in COLUMNS:
        assert second.packets[name].to_pylist() == first.packets[name].to_pylist(), name
    assert second.flows.drop_columns(["rss_hash"]).equals(first.flows.drop_columns(["rss_hash"]))
    assert second.manifest["origin_ns"] == first.manifest["origin_ns"] == START


def test_blocks_join_seamlessly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tiny_trace(tmp_path)
    convert(trace, tmp_path / "whole.pcapng", "pcapng")
    monkeypatch.setattr("replay.convert.pcapng._ROWS", 7)
    convert(trace, tmp_path / "parts.pcapng", "pcapng")
    assert (tmp_path / "parts.pcapng").read_bytes() == (tmp_path / "whole.pcapng").read_bytes()
    assert _ROWS > 3 * REQUESTS


def bundle(folder: Path, manifest: dict[str, Any], rows: list[dict[str, Any]]) -> Trace:
    packets = [{"arrival_ns": 5, "kind": 0, "status": 0, **row} for row in rows]
    table = pa.Table.from_pylist(packets, schema=schema.PACKETS)
    return write_trace(folder / "some.trace", manifest, {"packets": table})


@pytest.mark.parametrize(
    ("manifest", "origin"),
    [
        ({}, 0),
        ({"clock": "realtime", "origin_ns": START}, START),
        ({"clock": "CLOCK_MONOTONIC", "origin_ns": 77}, 0),
        ({"clock": "CLOCK_MONOTONIC", "origin_ns": 77, "wall_origin_ns": START}, START),
    ],
)
def test_times_are_those_of_the_wall_clock_where_it_is_known(
    tmp_path: Path, manifest: dict[str, Any], origin: int
) -> None:
    trace = bundle(tmp_path, manifest, [{"length": 60}])
    convert(trace, tmp_path / "x.pcapng", "pcapng")
    ingest([tmp_path / "x.pcapng"], tmp_path / "x.trace")
    assert open_trace(tmp_path / "x.trace").manifest["origin_ns"] == origin + 5


def test_long_packets_say_nothing_of_their_length_as_segmentation_offload_does() -> None:
    flow = {"source": bytes(16), "destination": bytes(16), "source_port": 1, "destination_port": 2}
    times = {"first_ns": 0, "last_ns": 0, "packets": 1, "bytes": 1}
    rows = [{**flow, **times, "protocol": 6, "version": version} for version in (4, 6)]
    flows = Flows.of(pa.Table.from_pylist(rows, schema=schema.FLOWS))
    one = np.zeros(1, np.int64)
    for number, place in ((0, slice(16, 18)), (1, slice(18, 20))):
        packets = Packets.of(flows, one, one, one + number, one + 80_000, one + 79_000)

        made = headers(packets, one, SHAPES[int(packets.shape[0])])
        assert made[0, place].tolist() == [0, 0]


def test_ipv4_checksums_are_right(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    flows = Flows.of(trace.flows)
    number = np.arange(8)
    packets = Packets.of(flows, number, number * 0, number, number + 100, number * 1000)

    made = headers(packets, number, SHAPES[int(packets.shape[0])])[:, 14:34]
    words = made.reshape(8, 10, 2).astype(np.int64) @ np.array([256, 1])
    assert (words.sum(axis=1) % 0xFFFF == 0).all()


def test_nothing_is_overwritten_and_a_flow_must_exist(tmp_path: Path) -> None:
    trace = bundle(tmp_path, {}, [{"flow": 3, "kind": int(PacketKind.ACK)}])
    with pytest.raises(TraceError, match=r"flow 3 of a packet is in no flows.arrow"):
        convert(trace, tmp_path / "x.pcapng", "pcapng")
    assert sorted(it.name for it in tmp_path.iterdir()) == ["some.trace"]
    (tmp_path / "x.pcapng").write_bytes(b"mine")
    with pytest.raises(TraceError, match="already exists"):
        convert(trace, tmp_path / "x.pcapng", "pcapng")
    assert (tmp_path / "x.pcapng").read_bytes() == b"mine"
