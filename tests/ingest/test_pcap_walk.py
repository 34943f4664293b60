"""Classic pcap: every magic in both byte orders, exact times, and files that end too early."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.errors import TraceError
from replay.ingest import window
from replay.ingest.ingested import source_entry
from replay.ingest.pcap import read_capture
from replay.ingest.pcap_walk import PcapCapture
from replay.ingest.window import Window
from replay.trace.schema import PacketStatus
from tests.ingest.captures import (
    CLIENT,
    SERVER,
    Conversation,
    Memory,
    Packet,
    ethernet,
    ip,
    pcap,
    tcp,
)

START = 1_700_000_000_123_456_789
FRAME = ethernet(ip(CLIENT, SERVER, 6, tcp(40_000, 8080, b"hello", flags=24)))


def _write(folder: Path, data: bytes) -> Path:
    path = folder / "capture.pcap"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("form", "unit"),
    [
        ({"nanoseconds": True}, 1),
        ({"nanoseconds": False}, 1000),
        ({"kuznetzov": True}, 1000),
    ],
)
def test_every_magic_in_both_byte_orders(
    tmp_path: Path, order: str, form: dict[str, bool], unit: int
) -> None:
    times = [START, START + 1_999, START + 2_500_000_001]
    data = pcap([Packet(time, FRAME) for time in times], order=order, **form)
    read = read_capture(_write(tmp_path, data))
    rounded = [time // unit * unit for time in times]
    assert read.manifest["origin_ns"] == rounded[0]
    assert read.tables["packets"]["arrival_ns"].to_pylist() == [t - rounded[0] for t in rounded]
    assert read.tables["packets"]["payload"].to_pylist() == [5, 5, 5]
    assert read.manifest["losses"]["cut"] == 0


@pytest.mark.parametrize("seconds", [0, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
def test_seconds_are_unsigned(tmp_path: Path, seconds: int) -> None:
    read = read_capture(_write(tmp_path, pcap([Packet(seconds * 10**9 + 7, FRAME)])))
    assert read.manifest["origin_ns"] == seconds * 10**9 + 7


def test_old_writers_swapped_the_lengths(tmp_path: Path) -> None:
    swapped = pcap([Packet(START, FRAME)], version=(2, 3))
    swapped = swapped[:32] + (1500).to_bytes(4, "little") + swapped[32:36] + swapped[40:]
    read = read_capture(_write(tmp_path, swapped))
    assert read.tables["packets"]["length"].to_pylist() == [1500]
    assert read.tables["packets"]["payload"].to_pylist() == [5]


def test_length_on_the_wire_is_never_below_what_was_captured(tmp_path: Path) -> None:
    read = read_capture(_write(tmp_path, pcap([Packet(START, FRAME, 0)])))
    assert read.tables["packets"]["length"].to_pylist() == [len(FRAME)]


@given(cut=st.integers(24, 24 + 3 * (16 + len(FRAME))))
@settings(deadline=None)  # the first example compiles
def test_what_precedes_a_cut_is_kept_and_told(tmp_path_factory, cut: int) -> None:
    data = pcap([Packet(START + i, FRAME) for i in range(3)])
    record = 16 + len(FRAME)
    read = read_capture(_write(tmp_path_factory.mktemp("cut"), data[:cut]))
    whole, rest = divmod(cut - 24, record)
    assert len(read.tables["packets"]) == whole
    one_direction = ["unrecorded"] * (whole > 1)
    assert read.tables["gaps"]["cause"].to_pylist() == ["cut"] * bool(rest) + one_direction
    assert any("cut in the record at byte" in line for line in read.lost) == bool(rest)


def test_unknown_link_types_are_packets_without_a_flow(tmp_path: Path) -> None:
    read = read_capture(_write(tmp_path, pcap([Packet(START, FRAME)], link=147)))
    packets = read.tables["packets"]
    assert packets["status"].to_pylist() == [PacketStatus.UNKNOWN]
    assert packets["flow"].to_pylist() == [None]
    device = {"name": None, "link_type": 147, "snaplen": 65_535, "hardware": None}
    clock = {"resolution_ns": 1, "timestamps": None}
    assert read.manifest["devices"] == [{**device, **clock}]


def test_check_sequence_bits_of_the_link_type_are_no_link_type(tmp_path: Path) -> None:
    read = read_capture(_write(tmp_path, pcap([Packet(START, FRAME)], link=0x2400_0001)))
    assert read.tables["packets"]["flow"].to_pylist() == [0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pcap([])[:23], "cut in the file header: 23 of 24 bytes"),
        (pcap([], version=(1, 4)), r"pcap version 1\.4; 2\.0 to 2\.4"),
        (pcap([], link=0x0030_0000), "link type field 0x00300000 has reserved bits"),
    ],
)
def test_headers_that_cannot_be_read_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(TraceError, match=reason) as caught:
        read_capture(_write(tmp_path, data))
    assert "\n" not in str(caught.value)


def test_more_packets_than_a_block(tmp_path: Path) -> None:
    talk = Conversation()
    packets = [Packet(START + i, talk.segment(True, 1, 24)) for i in range(40_000)]
    read = read_capture(_write(tmp_path, pcap(packets)))
    assert read.tables["packets"]["arrival_ns"].to_pylist() == list(range(40_000))


def test_only_captures_are_read_as_captures(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="is perf, not a packet capture"):
        read_capture(_write(tmp_path, b"PERFILE2" + (104).to_bytes(8, "little") + bytes(88)))


def test_records_are_found_whatever_the_window_shows(tmp_path: Path) -> None:
    data = pcap([Packet(START + i, FRAME + bytes(i)) for i in range(50)])
    for size, most in ((24, 7), (100, 1 << 30), (4_000, 33), (len(data), 1 << 30)):
        capture = PcapCapture(Window(Memory(data, most), size), "made")
        found = [
            capture.window.data[start : start + captured].tobytes()
            for block, rows in capture.blocks()
            for _, start, captured, _, _ in block[:rows].tolist()
        ]
        assert found == [FRAME + bytes(i) for i in range(50)]
        assert capture.findings.note is None


def test_a_window_that_is_widened_shows_more_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "WIDEST", 300)
    data = pcap([Packet(START + i, FRAME + bytes(i)) for i in range(50)])
    capture = PcapCapture(Window(Memory(data), 100), "made")
    found, shown = [], []
    for block, rows in capture.blocks():
        shown.append(len(capture.window.data))
        for _, start, captured, _, _ in block[:rows].tolist():
            found.append(capture.window.data[start : start + captured].tobytes())
        capture.window.widen()
    assert found == [FRAME + bytes(i) for i in range(50)]
    assert max(shown[:1]) <= 100 < max(shown[:2]) <= 200 < max(shown) <= 300


def test_a_record_too_long_to_be_one_ends_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "LONGEST_RECORD", 1_000)
    data = pcap([Packet(START, FRAME), Packet(START, bytes(2_000)), Packet(START, FRAME)])
    capture = PcapCapture(Window(Memory(data), 500), "made")
    assert sum(rows for _, rows in capture.blocks()) == 1
    assert "is longer than" in str(capture.findings.note)


def test_sources_are_hashed_from_the_file_or_from_memory(tmp_path: Path) -> None:
    path = _write(tmp_path, b"abc")
    entry = source_entry(path)
    assert entry == source_entry(path, memoryview(b"abc"))
    assert entry["sha256"].startswith("ba7816bf")
    assert (entry["size"], entry["hashed"]) == (3, 3)
    with pytest.raises(TraceError, match="No such file"):
        source_entry(tmp_path / "absent")
