"""Headers: every link type and tag, IPv6's extensions, fragments, cut and malformed packets."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest.pcap import read_capture
from replay.trace.schema import PacketStatus
from tests.ingest.captures import CLIENT, SERVER, Packet, ethernet, ip, pcap, tcp, udp

OK, CUT, MALFORMED, UNKNOWN = PacketStatus
ONE, OTHER = "2001:db8::2", "2001:db8::1"
SEGMENT = tcp(40_000, 8080, b"hello", flags=24)
IPV4, IPV6 = ip(CLIENT, SERVER, 6, SEGMENT), ip(ONE, OTHER, 6, SEGMENT)


def _decode(
    folder: Path, frame: bytes, *, link: int = 1, length: int | None = None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the only packet and its flow, None without."""
    path = folder / "one.pcap"
    path.write_bytes(pcap([Packet(10**18, frame, length)], link=link))
    read = read_capture(path)
    packet = read.tables["packets"].to_pylist()[0]
    flows = read.tables["flows"].to_pylist()
    assert len(flows) == (packet["flow"] is not None)
    return packet, flows[0] if flows else None


def _ends(flow: dict[str, Any]) -> tuple[str, int, str, int, int, int]:
    def text(raw: bytes) -> str:
        address = ip_address(raw)
        return str(address.ipv4_mapped or address)

    return (
        text(flow["source"]),
        flow["source_port"],
        text(flow["destination"]),
        flow["destination_port"],
        flow["protocol"],
        flow["version"],
    )


def _sll(kind: int) -> bytes:
    return struct.pack(">HHH8sH", 0, 1, 6, bytes(8), kind)


def _sll2(kind: int) -> bytes:
    return struct.pack(">HHIHBB8s", kind, 0, 1, 1, 0, 6, bytes(8))


LABELS = struct.pack(">II", 77 << 12 | 64, 78 << 12 | 1 << 8 | 64)
SNAP = b"\xaa\xaa\x03\0\0\0"


@pytest.mark.parametrize(
    ("link", "four", "six"),
    [
        (1, ethernet(IPV4), ethernet(IPV6, 0x86DD)),
        (101, IPV4, IPV6),
        (12, IPV4, IPV6),
        (14, IPV4, IPV6),
        (228, IPV4, IPV6),
        (229, IPV4, IPV6),
        (113, _sll(0x0800) + IPV4, _sll(0x86DD) + IPV6),
        (276, _sll2(0x0800) + IPV4, _sll2(0x86DD) + IPV6),
        (0, struct.pack("<I", 2) + IPV4, struct.pack("<I", 30) + IPV6),
        (0, struct.pack(">I", 2) + IPV4, struct.pack(">I", 24) + IPV6),
        (108, struct.pack(">I", 2) + IPV4, struct.pack(">I", 28) + IPV6),
        (9, b"\xff\x03\0\x21" + IPV4, b"\0\x57" + IPV6),
        (9, b"\x21" + IPV4, b"\xff\x03\x57" + IPV6),  # the protocol in one byte
        (50, b"\xff\x03\0\x21" + IPV4, b"\x8f\0\x86\xdd" + IPV6),
        (51, b"\x11\0\0\1\0\x2f\0\x21" + IPV4, b"\x11\0\0\1\0\x43\0\x57" + IPV6),
        (104, b"\x0f\0\x08\0" + IPV4, b"\x8f\0\x86\xdd" + IPV6),
        (1, ethernet(b"\x11\0\0\1\0\x2f\0\x21" + IPV4, 0x8864), ethernet(LABELS + IPV6, 0x8847)),
        (1, ethernet(LABELS + IPV4, 0x8848), ethernet(SNAP + b"\x86\xdd" + IPV6, 73)),
        (9, b"\x02\x81" + LABELS + IPV4, b"\x02\x83" + LABELS + IPV6),
        (113, _sll(0x8847) + LABELS + IPV4, _sll(0x8100) + b"\0\0\x86\xdd" + IPV6),
    ],
)
def test_link_types(tmp_path: Path, link: int, four: bytes, six: bytes) -> None:
    for frame, ends in (
        (four, (CLIENT, 40_000, SERVER, 8080, 6, 4)),
        (six, (ONE, 40_000, OTHER, 8080, 6, 6)),
    ):
        packet, flow = _decode(tmp_path, frame, link=link)
        assert flow is not None
        assert _ends(flow) == ends
        assert flow["vlan"] is None or link == 113
        assert (packet["payload"], packet["status"], packet["length"]) == (5, OK, len(frame))


@pytest.mark.parametrize(
    ("frame", "vlan"),
    [
        (ethernet(IPV4, 0x0800, 5), 5),
        (ethernet(IPV4, 0x0800, 0xE064), 100),  # priority bits are no part of it
        (ethernet(IPV4, 0x0800, 7, 5), 7),  # the outer tag
        (ethernet(IPV4, 0x0800, 0), 0),
        (ethernet(IPV4, 0x0800, 1, 2, 3, 4), 1),
    ],
)
def test_tags(tmp_path: Path, frame: bytes, vlan: int) -> None:
    packet, flow = _decode(tmp_path, frame)
    assert flow is not None
    assert (flow["vlan"], packet["payload"]) == (vlan, 5)


def test_tags_separate_flows_and_join_connections(tmp_path: Path) -> None:
    back = ip(SERVER, CLIENT, 6, tcp(8080, 40_000, b"x", flags=24))
    frames = [ethernet(IPV4, 0x800, 5), ethernet(back, 0x800, 5), ethernet(IPV4)]
    path = tmp_path / "tags.pcap"
    path.write_bytes(pcap([Packet(10**18 + i, frame) for i, frame in enumerate(frames)]))
    read = read_capture(path)
    assert read.tables["packets"]["flow"].to_pylist() == [0, 1, 2]
    assert "2 connections" in read.found[0]


@pytest.mark.parametrize(
    "frame",
    [
        ethernet(bytes(28), 0x0806),
        ethernet(bytes(46), 0x0026),
        ethernet(struct.pack(">I", 1 << 8) + bytes(60), 0x8847),
    ],
)
def test_what_is_not_ip_has_no_flow(tmp_path: Path, frame: bytes) -> None:
    packet, _ = _decode(tmp_path, frame)
    assert (packet["status"], packet["flow"], packet["payload"]) == (UNKNOWN, None, None)
    assert _decode(tmp_path, struct.pack("<I", 99) + IPV4, link=0)[0]["status"] == UNKNOWN


@pytest.mark.parametrize(
    ("link", "frame", "status"),
    [
        (9, b"\xff\x03\xc0\x21" + bytes(20), UNKNOWN),  # LCP
        (9, b"\xff\x03\0", MALFORMED),
        (9, b"\xff\x03\0\0"[:4], UNKNOWN),
        (104, b"\x8f\0\x80\x35" + bytes(20), UNKNOWN),  # SLARP
        (51, bytes(5), MALFORMED),
        (1, ethernet(b"\x42\x42\x03" + bytes(40), 43), UNKNOWN),  # spanning tree
        (1, ethernet(b"\xaa\xaa\x03\0\0\x0c\x20\0" + bytes(40), 48), UNKNOWN),  # Cisco's
        (1, ethernet(LABELS[:4] * 5, 0x8847), MALFORMED),  # no last label
        (1, ethernet(LABELS, 0x8847), MALFORMED),
        (1, ethernet(LABELS + bytes(20), 0x8847), UNKNOWN),
        (1, ethernet(bytes(5), 0x8864), MALFORMED),
        (105, bytes(60), UNKNOWN),
    ],
)
def test_what_links_carry_besides_ip(
    tmp_path: Path, link: int, frame: bytes, status: PacketStatus
) -> None:
    packet, flow = _decode(tmp_path, frame, link=link)
    assert (packet["status"], flow) == (status, None)


@pytest.mark.parametrize("protocol", [33, 132, 136])
def test_other_protocols_with_ports(tmp_path: Path, protocol: int) -> None:
    packet, flow = _decode(tmp_path, ip(CLIENT, SERVER, protocol, SEGMENT), link=101)
    assert flow is not None
    assert _ends(flow) == (CLIENT, 40_000, SERVER, 8080, protocol, 4)
    assert (packet["payload"], packet["status"]) == (None, OK)


def test_ipv4_authentication_is_stepped_over(tmp_path: Path) -> None:
    head = bytes([6, 4]) + bytes(22)
    packet, flow = _decode(tmp_path, ip(CLIENT, SERVER, 51, head + SEGMENT), link=101)
    assert flow is not None
    assert _ends(flow) == (CLIENT, 40_000, SERVER, 8080, 6, 4)
    assert (packet["payload"], packet["status"]) == (5, OK)
    packet, flow = _decode(tmp_path, ip(CLIENT, SERVER, 51, head[:20]), link=101)
    assert (packet["status"], flow) == (MALFORMED, None)


def _extension(kind: int, following: int, *, units: int = 0) -> bytes:
    return bytes([following, units]) + bytes(6 + 8 * units)


@pytest.mark.parametrize(
    ("first", "headers"),
    [
        (0, _extension(0, 6)),
        (60, _extension(60, 6, units=3)),
        (43, _extension(43, 60) + _extension(60, 6)),
        (135, _extension(135, 6)),
        (139, _extension(139, 6)),
        (140, _extension(140, 6)),
        (51, bytes([6, 4]) + bytes(22)),
        (44, struct.pack(">BBHI", 6, 0, 0, 1)),  # an atomic fragment is none
        (0, _extension(0, 51) + bytes([44, 4]) + bytes(22) + struct.pack(">BBHI", 6, 0, 0, 1)),
    ],
)
def test_extension_headers_are_stepped_over(tmp_path: Path, first: int, headers: bytes) -> None:
    packet, flow = _decode(tmp_path, ip(ONE, OTHER, first, headers + SEGMENT), link=101)
    assert flow is not None
    assert _ends(flow) == (ONE, 40_000, OTHER, 8080, 6, 6)
    assert (packet["payload"], packet["status"]) == (5, OK)


@pytest.mark.parametrize(("one", "other"), [(CLIENT, SERVER), (ONE, OTHER)])
@pytest.mark.parametrize(("offset", "more"), [(0, True), (185, True), (370, False)])
def test_fragments_have_no_ports(
    tmp_path: Path, one: str, other: str, offset: int, more: bool
) -> None:
    frame = ip(one, other, 17, udp(5, 6, bytes(100)), fragment=offset, more=more)
    packet, flow = _decode(tmp_path, frame, link=101)
    assert flow is not None
    assert _ends(flow)[:5] == (one, 0, other, 0, 17)
    assert (packet["payload"], packet["status"]) == (108, OK)


def test_other_protocols_have_a_flow_of_their_addresses(tmp_path: Path) -> None:
    packet, flow = _decode(tmp_path, ip(CLIENT, SERVER, 1, bytes(64)), link=101)
    assert flow is not None
    assert _ends(flow) == (CLIENT, 0, SERVER, 0, 1, 4)
    assert (packet["payload"], packet["status"]) == (None, OK)


@pytest.mark.parametrize(
    ("packet", "payload"),
    [
        (ip(CLIENT, SERVER, 6, tcp(1, 2, b"abc", options=bytes(12)), options=bytes(8)), 3),
        (ip(CLIENT, SERVER, 17, udp(1, 2, b"abcd")), 4),
        (ip(CLIENT, SERVER, 17, udp(1, 2)), 0),
        (ip(CLIENT, SERVER, 6, tcp(1, 2)) + bytes(6), 0),  # Ethernet's padding
        (IPV4[:2] + bytes(2) + IPV4[4:], 5),  # no total length: segmentation offload
        (IPV6[:4] + bytes(2) + IPV6[6:], 5),
    ],
)
def test_payload_is_what_the_ip_header_says(tmp_path: Path, packet: bytes, payload: int) -> None:
    assert _decode(tmp_path, packet, link=101)[0]["payload"] == payload


def test_a_frame_longer_than_16_bits(tmp_path: Path) -> None:
    whole = ip(CLIENT, SERVER, 6, tcp(1, 2, bytes(54)))
    whole = whole[:2] + bytes(2) + whole[4:]
    packet, _ = _decode(tmp_path, whole, link=101, length=80_000)
    assert (packet["length"], packet["payload"], packet["status"]) == (80_000, 79_960, OK)


@given(captured=st.integers(0, len(IPV4) + 14))
@settings(deadline=None)  # the first example compiles
def test_packets_cut_by_the_snap_length(tmp_path_factory, captured: int) -> None:
    frame = ethernet(IPV4)
    packet, flow = _decode(tmp_path_factory.mktemp("cut"), frame[:captured], length=len(frame))
    assert packet["length"] == len(frame)
    assert packet["status"] == (OK if captured >= 14 + 20 + 20 else CUT)
    assert (flow is not None) == (captured >= 14 + 20 + 4)
    assert packet["payload"] == (5 if captured >= 14 + 20 + 14 else None)


def test_options_cut_by_the_snap_length(tmp_path: Path) -> None:
    whole = ip(CLIENT, SERVER, 6, SEGMENT, options=bytes(8))
    packet, flow = _decode(tmp_path, whole[:24], link=101, length=len(whole))
    assert (packet["status"], flow) == (CUT, None)


@given(captured=st.integers(0, 14 + 40 + 8 + 8))
@settings(deadline=None)  # the first example compiles
def test_ipv6_packets_cut_by_the_snap_length(tmp_path_factory, captured: int) -> None:
    frame = ethernet(ip(ONE, OTHER, 60, _extension(60, 17) + udp(1, 2, b"abcde")), 0x86DD)
    packet, flow = _decode(tmp_path_factory.mktemp("cut"), frame[:captured], length=len(frame))
    assert packet["status"] == (OK if captured >= 14 + 40 + 8 + 8 else CUT)
    assert (flow is not None) == (captured >= 14 + 40 + 8 + 4)
    assert packet["payload"] == (5 if flow else None)


@pytest.mark.parametrize(
    ("link", "frame", "flow", "payload"),
    [
        (1, ethernet(IPV4)[:13], False, None),
        (1, ethernet(IPV4, 0x0800, 5)[:17], False, None),
        (113, _sll(0x800)[:15], False, None),
        (276, _sll2(0x800)[:19], False, None),
        (0, b"\0\0\0", False, None),
        (101, b"", False, None),
        (101, b"\x35" + IPV4[1:], False, None),  # no such version
        (1, ethernet(IPV6, 0x0800), False, None),
        (1, ethernet(IPV4, 0x86DD) + bytes(40), False, None),
        (101, b"\x44" + IPV4[1:], False, None),  # header of 16 bytes
        (101, IPV4[:2] + b"\0\x13" + IPV4[4:], False, None),  # packet of 19 bytes
        (101, b"\x4f" + IPV4[1:], False, None),  # header of 60 bytes in 45
        (101, IPV4[:2] + b"\x01\0" + IPV4[4:], True, 5),  # packet of 256 bytes in 45
        (101, IPV6[:4] + b"\x01\0" + IPV6[6:], True, 5),
        (101, ip(CLIENT, SERVER, 6, SEGMENT[:3]), False, None),
        (101, ip(CLIENT, SERVER, 6, SEGMENT[:19]), True, None),
        (101, ip(CLIENT, SERVER, 17, udp(1, 2)[:7]), True, None),
        (101, ip(CLIENT, SERVER, 6, SEGMENT[:12] + b"\x40" + SEGMENT[13:]), True, None),
        (101, ip(CLIENT, SERVER, 6, SEGMENT[:12] + b"\xf0" + SEGMENT[13:]), True, None),
        (101, ip(ONE, OTHER, 0, b"\x06\0\0\0"), False, None),
        (101, ip(ONE, OTHER, 0, b"\x06\x09" + bytes(6)), False, None),
    ],
)
def test_malformed_headers_mark_the_packet(
    tmp_path: Path, link: int, frame: bytes, flow: bool, payload: int | None
) -> None:
    packet, known = _decode(tmp_path, frame, link=link)
    assert packet["status"] == MALFORMED
    assert (known is not None) == flow
    assert packet["payload"] == payload
