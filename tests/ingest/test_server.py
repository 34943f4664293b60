"""Which side is the server: as told, by SYNs, by the port that most connections share."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.errors import TraceError
from replay.ingest.ingested import Ingested
from replay.ingest.pcap import read_capture
from replay.ingest.server import parse_server
from replay.trace.addresses import address_text
from replay.trace.schema import PacketKind
from tests.ingest.captures import ACK, SYN, Packet, ethernet, ip, pcap, tcp, udp

TX, ACKS = PacketKind.TX, PacketKind.ACK


def _segment(source: str, port: int, destination: str, other: int, flags: int = ACK) -> bytes:
    return ethernet(ip(source, destination, 6, tcp(port, other, flags=flags)))


def _read(folder: Path, frames: list[bytes], server: str | None = None) -> Ingested:
    path = folder / "talk.pcap"
    path.write_bytes(pcap([Packet(10**18 + i, frame) for i, frame in enumerate(frames)]))
    return read_capture(path, server=server)


def _kinds(read: Ingested) -> list[int]:
    return read.tables["packets"]["kind"].to_pylist()


def test_the_port_that_most_connections_share(tmp_path: Path) -> None:
    frames = [
        _segment("10.0.0.1", 9000, f"10.0.1.{i}", 50_000 + i) for i in range(5)
    ]  # answers only
    read = _read(tmp_path, frames)
    assert read.manifest["server"] == {
        "addresses": ["10.0.0.1"],
        "port": 9000,
        "protocol": 6,
        "inferred": True,
    }
    assert _kinds(read) == [TX] * 5
    assert read.inferred[0].startswith("server: port 9000/tcp at 10.0.0.1, by SYNs and the port")


def test_a_syn_tells_where_ports_do_not(tmp_path: Path) -> None:
    one, other = ("10.0.0.1", 40_000), ("10.0.0.2", 50_000)
    assert _read(tmp_path, [_segment(*one, *other)]).manifest["server"]["port"] == 40_000
    for frame in (_segment(*one, *other, SYN), _segment(*other, *one, SYN | ACK)):
        assert _read(tmp_path, [frame]).manifest["server"]["port"] == 50_000


def test_broadcasts_do_not_outweigh_conversations(tmp_path: Path) -> None:
    shouts = [
        ethernet(ip("10.0.0.9", "10.0.0.255", 17, udp(30_000 + i, 15_600, b"x"))) for i in range(9)
    ]
    talk = [
        _segment("10.0.0.2", 40_000, "10.0.0.1", 80),
        _segment("10.0.0.1", 80, "10.0.0.2", 40_000),
    ]
    assert _read(tmp_path, shouts + talk).manifest["server"]["port"] == 80
    assert _read(tmp_path, shouts).manifest["server"]["port"] == 15_600


def test_the_servers_other_ports_are_its_own(tmp_path: Path) -> None:
    frames = [_segment(f"10.0.1.{i}", 50_000, "10.0.0.1", 80) for i in range(3)]
    frames += [
        _segment("10.0.1.1", 50_001, "10.0.0.1", 22),
        _segment("10.0.0.1", 22, "10.0.1.1", 50_001),
    ]
    assert _kinds(_read(tmp_path, frames)) == [ACKS] * 4 + [TX]


def test_traffic_to_oneself_goes_by_port_then_by_syn_then_by_who_spoke_first(
    tmp_path: Path,
) -> None:
    local = "127.0.0.1"
    there, back = _segment(local, 50_000, local, 80), _segment(local, 80, local, 50_000)
    assert _kinds(_read(tmp_path, [back, there], "80")) == [TX, ACKS]
    assert _kinds(_read(tmp_path, [back, there], "127.0.0.1:80")) == [TX, ACKS]
    assert _kinds(_read(tmp_path, [there, back], local)) == [ACKS, TX]
    assert _kinds(_read(tmp_path, [back, there], local)) == [ACKS, TX]
    syn = _segment(local, 50_000, local, 80, SYN)
    assert _kinds(_read(tmp_path, [back, syn, there], local)) == [TX, PacketKind.CONTROL, ACKS]


def test_both_ends_on_the_port(tmp_path: Path) -> None:
    there = ethernet(ip("10.0.0.2", "10.0.0.1", 17, udp(123, 123, b"time?")))
    back = ethernet(ip("10.0.0.1", "10.0.0.2", 17, udp(123, 123, b"noon.")))
    assert _kinds(_read(tmp_path, [there, back])) == [PacketKind.REQUEST, TX]


@pytest.mark.parametrize("named", ["10.0.0.1", "8080", "10.0.0.1:8080"])
def test_named_servers(tmp_path: Path, named: str) -> None:
    frames = [
        _segment("10.0.0.1", 8080, "10.0.0.2", 80),
        _segment("10.0.0.2", 80, "10.0.0.1", 8080),
    ]
    read = _read(tmp_path, frames, named)
    assert _kinds(read) == [TX, ACKS]
    assert read.manifest["server"]["inferred"] is False
    assert read.manifest["server"]["addresses"] == ["10.0.0.1"]
    assert not any(line.startswith("server") for line in read.inferred)


def test_of_a_connection_the_flow_to_the_server_stands_first(tmp_path: Path) -> None:
    frames = [
        _segment("10.0.0.1", 80, "10.0.0.2", 40_000),
        _segment("10.0.0.2", 40_000, "10.0.0.1", 80),
    ]
    read = _read(tmp_path, frames)
    assert read.tables["flows"]["destination_port"].to_pylist() == [80, 40_000]
    assert read.tables["packets"]["flow"].to_pylist() == [1, 0]
    assert read.tables["flows"]["packets"].to_pylist() == [1, 1]
    assert read.tables["flows"]["first_ns"].to_pylist() == [1, 0]


def test_no_server_at_all(tmp_path: Path) -> None:
    read = _read(tmp_path, [ethernet(bytes(28), 0x0806)])
    assert read.manifest["server"]["port"] is None
    assert read.inferred[0].startswith("server: none")


def test_text() -> None:
    assert parse_server("[2001:db8::1]:443").port == 443
    assert address_text(parse_server("[2001:db8::1]:443").addresses[0]) == "2001:db8::1"
    assert parse_server("::1").addresses == (bytes(15) + b"\x01",)
    assert parse_server(" 10.0.0.1 ").port is None
    assert str(parse_server("10.0.0.1:80")) == "port 80 at 10.0.0.1"
    assert str(parse_server("10.0.0.1")) == "10.0.0.1"


@pytest.mark.parametrize(
    "text", ["", "0", "65536", "host", "10.0.0.1:", "10.0.0.1:x", "[::1]", "1:2"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(TraceError, match=r"neither an address, a port \(1 to 65535\)"):
        parse_server(text)


@pytest.mark.parametrize("named", ["10.7.7.7", "9"])
def test_a_server_that_is_not_there_is_refused(tmp_path: Path, named: str) -> None:
    with pytest.raises(TraceError, match="no packet goes to it or comes from it"):
        _read(tmp_path, [_segment("10.0.0.1", 80, "10.0.0.2", 81)], named)


def test_many_addresses_are_told_in_short(tmp_path: Path) -> None:
    frames = [_segment("10.0.0.9", 40_000 + i, f"10.0.1.{i}", 443, SYN) for i in range(20)]
    read = _read(tmp_path, frames)
    assert len(read.manifest["server"]["addresses"]) == 16
    assert "at 10.0.1.0, 10.0.1.1, 10.0.1.2 and 17 more" in read.inferred[0]
