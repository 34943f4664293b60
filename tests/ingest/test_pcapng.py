"""pcapng: sections, interfaces with clocks of their own, every packet block, and damage."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.errors import TraceError
from replay.ingest import pcapng
from replay.ingest.ingested import Ingested
from replay.ingest.pcap import read_capture
from tests.ingest.captures import CLIENT, SERVER, Pcapng, ethernet, ip, tcp

IP_PACKET = ip(CLIENT, SERVER, 6, tcp(40_000, 8080, b"hello", flags=24))
FRAME = ethernet(IP_PACKET)
US = 1_700_000_000_123_456  # microseconds


def _read(folder: Path, data: bytes | Pcapng) -> Ingested:
    path = folder / "capture.pcapng"
    path.write_bytes(data.data if isinstance(data, Pcapng) else data)
    return read_capture(path)


def _times(read: Ingested) -> list[int]:
    origin = read.manifest["origin_ns"]
    return [origin + time for time in read.tables["packets"]["arrival_ns"].to_pylist()]


@pytest.mark.parametrize("order", "<>")
def test_interfaces_have_their_own_link_type_clock_and_name(tmp_path: Path, order: str) -> None:
    file = Pcapng(order)
    file.interface(1, options={2: b"eth0"}).interface(101, 128, {9: b"\x09", 2: b"tun0\0"})
    file.packet(US, FRAME).packet(US * 1000 + 7, IP_PACKET, interface=1)
    read = _read(tmp_path, file)
    assert _times(read) == [US * 1000, US * 1000 + 7]
    assert read.tables["packets"]["device"].to_pylist() == [0, 1]
    assert read.tables["packets"]["flow"].to_pylist() == [0, 0]
    facts = [(it["name"], it["link_type"], it["snaplen"]) for it in read.manifest["devices"]]
    assert facts == [("eth0", 1, 0), ("tun0", 101, 128)]


@given(
    resolution=st.integers(0, 255),
    ticks=st.integers(0, (1 << 64) - 1) | st.integers(0, 1 << 40),
    offset=st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-(10**9), 10**9),
)
@settings(max_examples=300, deadline=None)
def test_times_are_exact_for_every_resolution(
    tmp_path_factory, resolution: int, ticks: int, offset: int
) -> None:
    exponent = resolution & 127
    unit = 2**exponent if resolution & 128 else 10**exponent
    expected = ticks * 10**9 // unit + offset * 10**9
    file = Pcapng()
    file.interface(options={9: bytes([resolution]), 14: struct.pack("<q", offset)})
    file.interface(options={9: b"\x09"}).packet(5, FRAME, interface=1).packet(ticks, FRAME)
    read = _read(tmp_path_factory.mktemp("time"), file)
    if read.tables["packets"]["earliest_ns"].null_count == 2:  # neither time was inferred
        assert sorted(_times(read)) == sorted([expected, 5])
        assert 0 <= expected < 1 << 62
    else:  # beyond what 62 bits hold, or what is worth reckoning with
        before_offset = expected - offset * 10**9
        assert (
            not 0 <= expected < 1 << 62
            or before_offset > (1 << 62) - 10**9
            or abs(offset) * 10**9 >= 1 << 62
            or ticks >= 1 << 63
            or (exponent > 27 and not resolution & 128)
        )


@pytest.mark.parametrize("order", "<>")
def test_every_kind_of_packet_block(tmp_path: Path, order: str) -> None:
    file = Pcapng(order).interface(1, 64)
    file.packet(US, FRAME).simple(FRAME).obsolete(US + 2, FRAME).block(0x0BAD, b"custom" * 9)
    file.block(10, b"secrets").block(4, b"names").packet(US + 3, FRAME, 1500)
    read = _read(tmp_path, file)
    packets = read.tables["packets"]
    assert packets["arrival_ns"].to_pylist() == [0, 0, 2000, 3000]
    assert packets["earliest_ns"].to_pylist() == [None, 0, None, None]
    assert packets["latest_ns"].to_pylist() == [None, 2000, None, None]
    assert packets["length"].to_pylist() == [59, 59, 59, 1500]
    assert packets["payload"].to_pylist() == [5, 5, 5, 5]
    assert any(line.startswith("1 packets have no time") for line in read.inferred)


def test_simple_packets_end_at_the_snap_length(tmp_path: Path) -> None:
    file = Pcapng().interface(1, 34).simple(FRAME[:34], 59)
    packets = _read(tmp_path, file).tables["packets"]
    assert packets["status"].to_pylist() == [1]
    assert packets["length"].to_pylist() == [59]
    assert packets["arrival_ns"].to_pylist() == [0]


def test_sections_start_anew_with_their_own_byte_order(tmp_path: Path) -> None:
    file = Pcapng("<").interface(1).packet(US, FRAME)
    file.section(">").interface(101, options={9: b"\x03"}).packet(US // 1000 + 1, IP_PACKET)
    file.section("<").packet(US + 9, FRAME)  # of no interface: damage
    read = _read(tmp_path, file)
    assert _times(read) == [US * 1000, (US // 1000 + 1) * 10**6]
    assert read.tables["packets"]["device"].to_pylist() == [0, 1]
    assert read.tables["gaps"]["cause"].to_pylist() == ["cut", "unrecorded"]  # one direction
    assert any("2 interfaces in 3 sections" in line for line in read.found)


def test_more_interfaces_than_room_at_first(tmp_path: Path) -> None:
    file = Pcapng()
    for number in range(20):
        file.interface(1, options={9: bytes([number % 10])})
    file.packet(US * 1000, FRAME, interface=19).packet(US * 1000 + 1, FRAME, interface=9)
    assert _times(_read(tmp_path, file)) == [US * 1000, US * 1000 + 1]


def test_packets_the_capture_dropped_are_a_gap(tmp_path: Path) -> None:
    file = Pcapng().interface()
    file.packet(US, FRAME, options={1: b"note", 4: struct.pack("<Q", 3)})
    file.obsolete(US + 1, FRAME, drops=2).obsolete(US + 1, FRAME)
    read = _read(tmp_path, file)
    assert read.tables["gaps"].to_pylist()[:1] == [
        {"start_ns": None, "end_ns": None, "source": 0, "cause": "lost", "lost": 5}
    ]
    assert any(line.startswith("5 packets were dropped") for line in read.lost)


@pytest.mark.parametrize("order", "<>")
def test_statistics_of_interfaces_count_drops_once(tmp_path: Path, order: str) -> None:
    file = Pcapng(order).interface()
    file.packet(US, FRAME, options={4: struct.pack(order + "Q", 3)})
    for drops in (4, 9):  # each counts from the start
        options = file.options({4: bytes(8), 5: struct.pack(order + "Q", drops)})
        file.block(5, struct.pack(order + "III", 0, 0, 0) + options)
    file.block(5, struct.pack(order + "III", 7, 0, 0) + options)  # of no interface
    file.block(5, b"")
    assert _read(tmp_path, file).manifest["losses"]["dropped"] == 9


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (lambda f: f.data + b"\x06\0\0\0\x20\0\0\0", "cut in the block at byte"),
        (lambda f: f.data + struct.pack("<II", 6, 400) + bytes(32), "cut in the block at byte"),
        (lambda f: f.data + struct.pack("<III", 6, 13, 13) + bytes(4), "malformed block at byte"),
        (lambda f: f.data + struct.pack("<III", 6, 8, 8), "malformed block at byte"),
        (lambda f: f.data + struct.pack("<III", 6, 0, 0), "malformed block at byte"),
        (lambda f: f.block(6, b"short"), "malformed block at byte"),
        (lambda f: f.block(77, b"any", trailer=20), "malformed block at byte"),
        (lambda f: f.packet(0, FRAME, interface=1), "malformed block at byte"),
        (lambda f: f.block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99)), "malformed block"),
        (lambda f: f.block(1, b""), "malformed interface block"),
        (lambda f: f.block(1, b"x" * 8, trailer=1), "its two lengths differ"),
        (lambda f: f.data + struct.pack("<III", 1, 10, 10), "malformed block"),
        (lambda f: f.data + struct.pack("<III", 1, 400, 0), "cut in the block"),
        (lambda f: f.block(0x0A0D0D0A, b"x" * 16), "no byte-order magic"),
        (lambda f: f.section("<", (2, 0)), "pcapng version 2.0 at byte"),
        (lambda f: f.data + b"\x0a\x0d\x0d\x0a" + bytes(8), "cut in the section block"),
        (
            lambda f: (
                f.block(0x0A0D0D0A, struct.pack("<IHH", 0x1A2B3C4D, 1, 0)) and f.data + bytes(8)
            ),
            "malformed section block",
        ),
        (
            lambda f: f.block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), trailer=4),
            "its two lengths differ",
        ),
    ],
)
def test_what_precedes_damage_is_kept_and_told(tmp_path: Path, damage, note: str) -> None:
    read = _read(tmp_path, damage(Pcapng().interface().packet(US, FRAME)))
    assert len(read.tables["packets"]) == 1
    assert read.tables["gaps"]["cause"].to_pylist() == ["cut"]
    assert any(note in line for line in read.lost), read.lost


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (Pcapng().data[:20], "cut in the section block at byte 0"),
        (Pcapng(version=(0, 1)).data, r"pcapng version 0\.1 at byte 0; 1\.0 can be read"),
        (Pcapng().data[:-4] + bytes(4), "its two lengths differ"),
    ],
)
def test_a_first_section_that_cannot_be_read_is_refused(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    with pytest.raises(TraceError, match=reason):
        _read(tmp_path, data)


def test_drop_counts_that_cannot_be_are_left(tmp_path: Path) -> None:
    file = Pcapng().interface().packet(US, FRAME, options={4: b"\xff" * 8, 1: b"note"})
    file.block(6, struct.pack("<IIIII", 0, 0, 9, 0, 0) + struct.pack("<HHI", 1, 4, 0))
    file.block(5, bytes(12) + file.options({5: b"\xff" * 8}))
    assert _read(tmp_path, file).manifest["losses"]["dropped"] == 0


def test_drop_counts_fit_together(tmp_path: Path) -> None:
    file = Pcapng()
    for number in range(3):
        file.interface()
        statistics = struct.pack("<III", number, 0, 0)
        file.block(5, statistics + file.options({5: struct.pack("<Q", (1 << 62) - 1)}))
    file.packet(US, FRAME)
    assert _read(tmp_path, file).manifest["losses"]["dropped"] == 0


def test_interfaces_are_numbered_in_16_bits(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(pcapng, "_MAX_INTERFACES", 3)
    file = Pcapng()
    for _ in range(3):
        file.interface()
    read = _read(tmp_path, file.packet(US, FRAME).interface().packet(US, FRAME))
    assert len(read.tables["packets"]) == 1
    assert any("more than 3 interfaces at byte" in line for line in read.lost)


def test_more_packets_than_a_block_of_ours(tmp_path: Path) -> None:
    file = Pcapng().interface()
    one = Pcapng.packet(Pcapng(), US, FRAME).data[28:]
    read = _read(tmp_path, file.data + one * 20_000)
    assert len(read.tables["packets"]) == 20_000


def test_options_that_do_not_fit_are_left(tmp_path: Path) -> None:
    file = Pcapng()
    file.block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HH", 2, 4000) + b"eth0")
    file.packet(US, FRAME, options={}).block(
        6,
        struct.pack("<IIIII", 0, US >> 32, US & 0xFFFF_FFFF, 0, 0) + struct.pack("<HHQ", 4, 900, 1),
    )
    read = _read(tmp_path, file)
    assert read.manifest["devices"][0]["name"] is None
    assert read.manifest["losses"]["dropped"] == 0
    assert _times(read) == [US * 1000, US * 1000]


def test_empty_files(tmp_path: Path) -> None:
    read = _read(tmp_path, Pcapng())
    assert len(read.tables["packets"]) == 0
    assert read.manifest["origin_ns"] is None
    assert read.manifest["duration_ns"] == 0
    assert read.manifest["loop"] == "unknown"


def test_devices_say_what_their_clock_is(tmp_path: Path) -> None:
    file = Pcapng().interface(1).interface(1, 0, {9: b"\x09", 15: b"ConnectX-6"})
    file.interface(197, 0, {9: b"\x8a"})
    read = _read(tmp_path, file)
    facts = [
        (it["resolution_ns"], it["hardware"], it["timestamps"]) for it in read.manifest["devices"]
    ]
    assert facts == [(1000, None, None), (1, "ConnectX-6", None), (976_562.5, None, "hardware")]
    line = next(it for it in read.inferred if it.startswith("time stamps"))
    assert "in steps of 1 and 1000 and 9.766e+05 ns; the file does not say by whom" in line
