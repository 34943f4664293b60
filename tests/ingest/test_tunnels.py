"""Tunnels: the flow is that of the innermost packet, and its row names tunnels and their ends."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from replay.ingest.pcap import read_capture
from replay.trace.schema import PacketKind, PacketStatus
from tests.ingest.captures import CLIENT, SERVER, Packet, ethernet, ip, pcap, tcp, udp
from tests.ingest.tunnel_frames import (
    ONE_END,
    OTHER_END,
    geneve,
    gre,
    over,
    over_udp,
    vxlan,
)

OK, CUT, MALFORMED, _ = PacketStatus
SEGMENT = tcp(40_000, 8080, b"hello", flags=24)
IPV4, IPV6 = ip(CLIENT, SERVER, 6, SEGMENT), ip("2001:db8::2", "2001:db8::1", 6, SEGMENT)
FRAME = ethernet(IPV4)
BACK = ethernet(ip(SERVER, CLIENT, 6, tcp(8080, 40_000, b"x", flags=24)))
ERSPAN_2, ERSPAN_3 = struct.pack(">HHI", 0x1005, 42, 0), struct.pack(">HHIHH", 0x2005, 42, 0, 0, 0)
LABELS = struct.pack(">II", 77 << 12 | 64, 78 << 12 | 1 << 8 | 64)


def _read(folder: Path, *frames: bytes, lengths: tuple[int, ...] = ()) -> Any:
    path = folder / "tunnels.pcap"
    packets = [Packet(10**18 + i, frame) for i, frame in enumerate(frames)]
    if lengths:
        packets = [it._replace(length=n) for it, n in zip(packets, lengths, strict=True)]
    path.write_bytes(pcap(packets))
    return read_capture(path)


def _text(raw: bytes) -> str:
    address = ip_address(raw)
    return str(address.ipv4_mapped or address)


def _one(folder: Path, frame: bytes, length: int | None = None) -> tuple[dict, dict | None]:
    tables = _read(folder, frame, lengths=() if length is None else (length,)).tables
    flows = tables["flows"].to_pylist()
    return tables["packets"].to_pylist()[0], flows[0] if flows else None


@pytest.mark.parametrize(
    ("frame", "tunnel"),
    [
        (over_udp(4789, vxlan(FRAME, 5)), "vxlan 5"),
        (over_udp(8472, vxlan(FRAME, 0xFFFFFF)), "vxlan 16777215"),
        (over_udp(4789, vxlan(ethernet(IPV4, 0x800, 7), 5, flags=0x88)), "vxlan 5"),
        (over_udp(4790, vxlan(FRAME, 5, flags=0x0C, carried=3)), "vxlan-gpe 5"),
        (over_udp(4790, vxlan(IPV4, 5, flags=0x0C, carried=1)), "vxlan-gpe 5"),
        (over_udp(6081, geneve(FRAME, 9)), "geneve 9"),
        (over_udp(6081, geneve(FRAME, 0, options=63)), "geneve 0"),
        (over_udp(6081, geneve(IPV4, 9, 0x0800, options=2)), "geneve 9"),
        (over(47, gre(IPV4, 0x0800)), "gre"),
        (over(47, gre(IPV4, 0x0800, 0, checked=True, number=3)), "gre 0"),
        (over(47, gre(FRAME, 0x6558, 0xFFFFFFFF)), "gre 4294967295"),
        (over(47, gre(LABELS + IPV4, 0x8847)), "gre"),
        (over(47, gre(b"\xff\x03\0\x21" + IPV4, 0x880B)), "gre"),
        (over(47, gre(b"\x21" + IPV4, 0x880B, 7, number=1, version=1, acknowledged=True)), "pptp"),
        (over(47, gre(FRAME, 0x88BE)), "erspan"),
        (over(47, gre(ERSPAN_2 + FRAME, 0x88BE, number=1)), "erspan 42"),
        (over(47, gre(ERSPAN_3 + FRAME, 0x22EB, number=1)), "erspan 42"),
        (over(47, gre(ERSPAN_3[:-1] + b"\1" + bytes(8) + FRAME, 0x22EB, number=1)), "erspan 42"),
        (over(4, IPV4), "ipip"),
        (over(97, b"\x30\0" + FRAME), "ethernet"),
        (over(143, FRAME), "ethernet"),
        (over_udp(6635, LABELS + IPV4), "mpls"),
        (over_udp(4790, vxlan(IPV4, 5, flags=0x04, carried=1)), "vxlan-gpe"),
        (over_udp(4790, vxlan(FRAME, 5)), "vxlan-gpe 5"),
        (over(137, LABELS + IPV4), "mpls"),
        (over(51, bytes([4, 4]) + bytes(22) + IPV4), "ipip"),
        (over(4, IPV4, "2001:db8::a", "2001:db8::b"), "ipip"),
        (over_udp(4789, vxlan(over(47, gre(IPV4, 0x800, 3)), 5)), "vxlan 5/gre 3"),
        (over(4, over(4, over(4, IPV4)[14:])[14:]), "ipip/ipip/ipip"),
        (ethernet(LABELS + over(4, IPV4)[14:], 0x8847, 3), "ipip"),
    ],
)
def test_the_flow_is_that_inside(tmp_path: Path, frame: bytes, tunnel: str) -> None:
    packet, flow = _one(tmp_path, frame)
    assert flow is not None
    assert flow["tunnel"] == tunnel
    assert (_text(flow["source"]), flow["source_port"]) == (CLIENT, 40_000)
    assert (_text(flow["destination"]), flow["destination_port"]) == (SERVER, 8080)
    assert (flow["protocol"], flow["version"]) == (6, 4)
    assert (packet["payload"], packet["status"], packet["length"]) == (5, OK, len(frame))


@pytest.mark.parametrize(
    ("frame", "tunnel"),
    [
        (over(41, IPV6), "ipip"),
        (over(41, IPV6, "2001:db8::a", "2001:db8::b"), "ipip"),
        (over_udp(3544, IPV6), "teredo"),
        (over_udp(50_000, bytes(8) + IPV6, 3544), "teredo"),
        (over_udp(3544, b"\0\1\2\1" + bytes(2 + 1 + 9) + bytes(8) + IPV6), "teredo"),
        (over_udp(4790, vxlan(IPV6, 5, flags=0x0C, carried=2)), "vxlan-gpe 5"),
    ],
)
def test_ipv6_inside(tmp_path: Path, frame: bytes, tunnel: str) -> None:
    packet, flow = _one(tmp_path, frame)
    assert flow is not None
    assert (flow["tunnel"], _text(flow["source"]), flow["version"]) == (tunnel, "2001:db8::2", 6)
    assert (packet["payload"], packet["status"]) == (5, OK)


def test_the_ends_of_the_tunnel_are_kept(tmp_path: Path) -> None:
    tables = _read(tmp_path, over_udp(4789, vxlan(FRAME, 5)), FRAME).tables
    outer, plain = tables["flows"].to_pylist()
    assert _text(outer["outer_source"]) == ONE_END
    assert _text(outer["outer_destination"]) == OTHER_END
    assert (outer["outer_source_port"], outer["outer_destination_port"]) == (55_555, 4789)
    assert (outer["outer_protocol"], outer["outer_version"]) == (17, 4)
    assert [plain[name] for name in plain if name.startswith("outer_")] == [None] * 6
    assert plain["tunnel"] is None


def test_tunnels_separate_flows_and_join_connections(tmp_path: Path) -> None:
    read = _read(
        tmp_path,
        over_udp(4789, vxlan(FRAME, 5)),
        over_udp(4789, vxlan(BACK, 5), 44_444),
        over_udp(4789, vxlan(FRAME, 6)),
        FRAME,
        over_udp(4789, vxlan(over(4, IPV4), 5)),
        over_udp(4789, vxlan(FRAME, 5), 33_333),  # the same flow, spread over the tunnel's ports
    )
    assert read.tables["packets"]["flow"].to_pylist() == [0, 1, 2, 3, 4, 0]
    assert "4 connections in 5 flows" in read.found[0]


@pytest.mark.parametrize(
    "content",
    [
        vxlan(ethernet(bytes(28), 0x0806), 5),  # ARP
        vxlan(FRAME[:13], 5),
        vxlan(ethernet(b"\x45" + bytes(10)), 5),
        vxlan(ethernet(b"\x35" + IPV4[1:]), 5),  # no such version
        vxlan(ethernet(ip(CLIENT, SERVER, 6, SEGMENT[:3])), 5),
    ],
)
def test_what_holds_no_flow_is_the_tunnels_and_no_message(tmp_path: Path, content: bytes) -> None:
    packet, flow = _one(tmp_path, over_udp(4789, content))
    assert flow is not None
    assert (_text(flow["source"]), flow["destination_port"], flow["tunnel"]) == (
        ONE_END,
        4789,
        None,
    )
    assert (packet["payload"], packet["kind"]) == (None, PacketKind.CONTROL)
    assert packet["status"] == (OK if len(content) == 8 + 14 + 28 else MALFORMED)


@pytest.mark.parametrize(
    "frame",
    [
        over_udp(4789, vxlan(FRAME, 5, flags=0)),  # no network identifier
        over_udp(6081, b"\x40" + geneve(FRAME, 5)[1:]),  # version 1
        over_udp(3544, b"Hello"),
        over(47, gre(IPV4, 0x800, version=2)),
        over(47, b"\x40\0\x08\0" + bytes(8) + IPV4),  # source routes
        over(97, b"\x20\0" + FRAME),
        over(50, bytes(40)),
        over_udp(2152, FRAME),
    ],
)
def test_what_is_no_tunnel_keeps_its_flow(tmp_path: Path, frame: bytes) -> None:
    packet, flow = _one(tmp_path, frame)
    assert flow is not None
    assert (_text(flow["source"]), flow["tunnel"], packet["status"]) == (ONE_END, None, OK)
    payload = len(frame) - 14 - 20 - 8 if frame[23] == 17 else None
    assert packet["payload"] == payload


@pytest.mark.parametrize(
    "frame",
    [
        over_udp(4789, b"\x08"),
        over(47, b"\0\0"),
        over(47, gre(b"", 0x800, 1)[:6]),
        over(47, gre(ERSPAN_2[:5], 0x88BE, number=1)),
        over(97, b"\x30"),
        over(137, LABELS[:7]),
        over(137, LABELS),
        over_udp(6081, geneve(bytes(2), 5, 0x8100)),
    ],
)
def test_short_headers_of_tunnels_are_malformed(tmp_path: Path, frame: bytes) -> None:
    packet, flow = _one(tmp_path, frame)
    assert flow is not None
    assert (_text(flow["source"]), flow["tunnel"]) == (ONE_END, None)
    assert (packet["status"], packet["payload"]) == (MALFORMED, None)


def test_a_fourth_tunnel_is_not_looked_into(tmp_path: Path) -> None:
    frame = IPV4
    for turn in range(4):
        frame = ip(f"10.9.0.{turn}", OTHER_END, 4, frame)
    _, flow = _one(tmp_path, ethernet(frame))
    assert flow is not None
    assert (flow["tunnel"], _text(flow["source"])) == ("ipip/ipip/ipip", "10.9.0.0")


def test_fragments_of_a_tunnel_are_not_looked_into(tmp_path: Path) -> None:
    frame = ethernet(ip(ONE_END, OTHER_END, 4, IPV4, more=True))
    packet, flow = _one(tmp_path, frame)
    assert flow is not None
    assert (_text(flow["source"]), flow["protocol"], packet["payload"]) == (ONE_END, 4, None)


@pytest.mark.parametrize("captured", range(14 + 20, 14 + 20 + 8 + 8 + 14 + 20 + 20))
def test_packets_cut_by_the_snap_length(tmp_path: Path, captured: int) -> None:
    frame = over_udp(4789, vxlan(FRAME, 5))
    packet, flow = _one(tmp_path, frame[:captured], len(frame))
    assert packet["status"] == CUT
    inner = 14 + 20 + 8 + 8 + 14 + 20 + 4
    assert (flow is not None) == (captured >= 14 + 20 + 4)
    if flow is not None:
        assert flow["tunnel"] == ("vxlan 5" if captured >= inner else None)
        assert flow["destination_port"] == (8080 if captured >= inner else 4789)


def test_a_datagram_inside_is_a_message(tmp_path: Path) -> None:
    frame = over(47, gre(ip(CLIENT, SERVER, 17, udp(6, 5, b"abc")), 0x800))
    packet, flow = _one(tmp_path, frame)
    assert flow is not None
    assert (flow["protocol"], packet["payload"], packet["kind"]) == (17, 3, PacketKind.REQUEST)
