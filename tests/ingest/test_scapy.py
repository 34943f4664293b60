"""Times, 5-tuples and payloads are those that scapy reads."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest.pcap import read_capture
from replay.trace.bundle import Manifest
from tests.ingest.captures import Packet, Pcapng, ethernet, ip, pcap, tcp, udp
from tests.ingest.scapy_rows import Row, scapy_rows
from tests.ingest.tunnel_frames import geneve, gre, over, over_udp, vxlan

pytest.importorskip("scapy")

_ports = st.integers(0, 65_535)
_payloads = st.binary(max_size=40)
_bodies = st.one_of(
    st.builds(
        lambda a, b, p, f, s: (6, tcp(a, b, p, flags=f, sequence=s)),
        _ports, _ports, _payloads, st.integers(0, 255), st.integers(0, (1 << 32) - 1),
    ),
    st.builds(lambda a, b, p: (17, udp(a, b, p)), _ports, _ports, _payloads),
    st.builds(lambda p: (1, b"\x08\0" + p), st.binary(min_size=6, max_size=40)),
)  # fmt: skip
_packets = st.one_of(
    *(
        st.builds(
            lambda a, b, body, tags, kind=kind: ethernet(ip(str(a), str(b), *body), kind, *tags),
            st.ip_addresses(v=version), st.ip_addresses(v=version), _bodies,
            st.lists(st.integers(0, 4094), max_size=2),
        )
        for version, kind in ((4, 0x0800), (6, 0x86DD))
    )
)  # fmt: skip
_inner = st.one_of(
    *(st.builds(
        lambda a, b, body, kind=kind: (ip(str(a), str(b), *body), kind),
        st.ip_addresses(v=version), st.ip_addresses(v=version), _bodies,
    )
    for version, kind in ((4, 0x0800), (6, 0x86DD)))
)  # fmt: skip


def _in_tunnel(way: str, packet: bytes, kind: int, key: int) -> bytes:
    """A frame with an IP packet of this ether type in a tunnel."""
    frame = ethernet(packet, kind)
    return {
        "vxlan": lambda: over_udp(4789, vxlan(frame, key)),
        "geneve": lambda: over_udp(6081, geneve(frame, key)),
        "gre": lambda: over(47, gre(packet, kind, key)),
        "frames": lambda: over(47, gre(frame, 0x6558, checked=True)),
        "ip": lambda: over(4 if kind == 0x0800 else 41, packet),
        "twice": lambda: over_udp(4789, vxlan(over(47, gre(packet, kind)), key)),
    }[way]()


_ways = st.sampled_from(["vxlan", "geneve", "gre", "frames", "ip", "twice"])
_tunnelled = st.builds(
    lambda way, inner, key: _in_tunnel(way, *inner, key),
    _ways,
    _inner,
    st.integers(0, (1 << 24) - 1),
)
_times = st.integers(0, (1 << 32) * 10**9 - 1)


def _address(raw: bytes, version: int) -> IPv4Address | IPv6Address:
    return ip_address(raw[12:] if version == 4 else raw)


def _rows(tables: dict, manifest: Manifest) -> list[Row]:
    flows = tables["flows"].to_pylist()
    rows = []
    for packet in tables["packets"].to_pylist():
        time = manifest["origin_ns"] + packet["arrival_ns"]
        if packet["flow"] is None:
            rows.append(Row(time, packet["length"], None, None))
            continue
        flow = flows[packet["flow"]]
        ends = tuple(
            (_address(flow[side], flow["version"]), flow[f"{side}_port"])
            for side in ("source", "destination")
        )
        payload = packet["payload"] if flow["protocol"] in (6, 17) else None
        rows.append(Row(time, packet["length"], (*ends, flow["protocol"], flow["vlan"]), payload))
    return rows


@given(st.lists(st.tuples(_times, _packets | _tunnelled), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_pcap_rows_are_scapys(tmp_path_factory, packets: list[tuple[int, bytes]]) -> None:
    path: Path = tmp_path_factory.mktemp("scapy") / "made.pcap"
    path.write_bytes(pcap([Packet(*packet) for packet in packets]))
    read = read_capture(path)
    expected = sorted(scapy_rows(path), key=lambda row: row.time)
    assert _rows(read.tables, read.manifest) == expected


@given(st.lists(st.tuples(_times, _packets, st.sampled_from([0, 1])), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_pcapng_rows_are_scapys(tmp_path_factory, packets: list[tuple[int, bytes, int]]) -> None:
    path: Path = tmp_path_factory.mktemp("scapy") / "made.pcapng"
    file = Pcapng(">").interface(1).interface(1, options={9: b"\x09"})
    for time, frame, interface in packets:
        file.packet(time if interface else time // 1000, frame, interface=interface)
    path.write_bytes(file.data)
    read = read_capture(path)
    expected = sorted(scapy_rows(path), key=lambda row: row.time)
    assert _rows(read.tables, read.manifest) == expected
