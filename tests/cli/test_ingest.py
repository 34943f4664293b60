from __future__ import annotations

import struct
from pathlib import Path

import pytest

from replay.cli import run
from replay.trace.bundle import open_trace


def a_capture(place: Path) -> Path:
    """Write a pcap of one UDP packet a millisecond: question, answer, question, answer, ..."""
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    for number in range(40):
        client, server = (bytes([10, 0, 0, 2]), 40_000), (bytes([10, 0, 0, 1]), 53)
        there, back = (client, server) if number % 2 == 0 else (server, client)
        udp = struct.pack(">HHHH", there[1], back[1], 8 + 20, 0) + bytes(20)
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + there[0] + back[0]
        frame = bytes(12) + b"\x08\x00" + ip + udp
        data += struct.pack("<IIII", 1_700_000_000, number * 1_000, len(frame), len(frame)) + frame
    place.write_bytes(data)
    return place


def test_a_capture_becomes_a_bundle_and_a_summary(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, place = a_capture(tmp_path / "some.pcap"), tmp_path / "some.trace"
    assert run(["ingest", str(source), "-o", str(place), "--server", "10.0.0.1:53"]) == 0
    out, err = capfd.readouterr()
    assert out.splitlines()[0] == str(place)
    assert "40 packets" in out
    assert err == ""
    assert open_trace(place).packets.num_rows == 40


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_a_bundle_for_shipping_is_smaller_and_reads_the_same(tmp_path: Path, codec: str) -> None:
    source = a_capture(tmp_path / "some.pcap")
    plain, small = tmp_path / "plain.trace", tmp_path / "small.trace"
    assert run(["ingest", str(source), "-o", str(plain)]) == 0
    assert run(["ingest", str(source), "-o", str(small), "--compress", codec]) == 0
    assert open_trace(small).packets.equals(open_trace(plain).packets)
    size = {place: (place / "packets.arrow").stat().st_size for place in (plain, small)}
    assert size[small] < size[plain]


def test_a_capture_alone_is_replayed_on_the_generic_host(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = a_capture(tmp_path / "some.pcap")
    assert run(["whatif", str(source), "--policy", "base", "--format", "tsv"]) == 0
    out, err = capfd.readouterr()
    assert [line.split("\t")[1] for line in out.splitlines()] == ["policy", "base", "zero-cost"]
    assert "costs are those of the host generic-3ghz" in err
    assert "was ingested for this run" in err
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "some.pcap: "),
        (
            b"no capture at all, but some text",
            "some.pcap: is no pcap, pcapng, perf.data",
        ),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1), "nothing to replay"),
    ],
)
def test_a_file_that_is_no_capture_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    source = tmp_path / "some.pcap"
    source.write_bytes(content)
    assert run(["whatif", str(source)]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_what_is_in_the_way_stays(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = a_capture(tmp_path / "some.pcap")
    place = tmp_path / "some.trace"
    place.write_text("mine")
    assert run(["ingest", str(source), "-o", str(place)]) == 2
    assert "already exists" in capfd.readouterr().err
    assert place.read_text() == "mine"
    assert run(["ingest", str(source), "-o", str(tmp_path / "none" / "some.trace")]) == 2
    assert "there is no folder" in capfd.readouterr().err
    assert run(["ingest", str(source), "-o", "x.trace", "--compress", "gzip"]) == 2
    assert "'gzip' is not one of 'zstd', 'lz4'" in capfd.readouterr().err
