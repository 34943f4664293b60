"""Sources that are compressed, cut, damaged, pipes or standard input."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from replay.errors import TraceError
from replay.ingest.pcap import read_capture
from replay.ingest.stream import DIGEST_BYTES, Stream
from replay.trace.bundle import open_trace
from tests.ingest.captures import ACK, PSH, Conversation, Packet, pcap

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

START = 1_700_000_000 * 10**9
CONTENT = bytes(random.Random(1).choices(range(40), k=300_000))
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


def _capture(packets: int) -> bytes:
    talk = Conversation()
    return pcap(
        [Packet(START + i, talk.segment(i % 2 == 0, 10, ACK | PSH)) for i in range(packets)]
    )


def _all(stream: Stream, room: int = 70_000) -> bytes:
    found, piece = b"", memoryview(bytearray(room))
    while count := stream.readinto(piece):
        found += piece[:count]
    return found


@pytest.mark.parametrize("name", PACK)
def test_streams_are_unpacked_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / "capture.pcap"
    stored = PACK[name](CONTENT[:1000]) + PACK[name](CONTENT[1000:])  # two members
    path.write_bytes(stored)
    with Stream(path) as stream:
        assert stream.peek()[:64] == CONTENT[:64]
        assert _all(stream) == CONTENT
        assert stream.note is None
        assert stream.entry() == {
            "name": "capture.pcap",
            "size": len(stored),
            "sha256": hashlib.sha256(stored).hexdigest(),
            "hashed": len(stored),
            "compression": name,
        }


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_what_precedes_a_cut_is_kept(tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / "cut"
    stored = PACK[name](CONTENT)
    path.write_bytes(stored[: int(kept * len(stored))])
    with Stream(path) as stream:
        found = _all(stream)
        assert stream.note == f"the {name} stream is cut"
    assert CONTENT.startswith(found)
    if name == "gzip":
        assert len(found) > (kept - 0.1) * len(CONTENT)


@pytest.mark.parametrize("name", PACK)
def test_damage_ends_a_stream(tmp_path: Path, name: str) -> None:
    path = tmp_path / "damaged"
    stored = bytearray(PACK[name](CONTENT))
    stored[len(stored) // 2 : len(stored) // 2 + 64] = bytes(range(64))
    path.write_bytes(stored)
    with Stream(path) as stream:
        _all(stream)
        assert f"the {name} stream is damaged" in str(stream.note)


def test_what_follows_a_stream_is_told_unless_it_is_padding(tmp_path: Path) -> None:
    for tail, note in ((bytes(2_000_000), None), (b"tail", "what follows the gzip stream")):
        path = tmp_path / "followed"
        path.write_bytes(gzip.compress(CONTENT) + tail)
        with Stream(path) as stream:
            assert _all(stream) == CONTENT
            assert stream.note is None if note is None else note in str(stream.note)


def test_skippable_frames_of_zstd_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    path.write_bytes(skipped + zstd.compress(CONTENT) + skipped)
    with Stream(path) as stream:
        assert _all(stream) == CONTENT
        assert stream.note is None


def test_only_the_start_is_hashed(tmp_path: Path) -> None:
    path = tmp_path / "long"
    content = CONTENT * 5
    path.write_bytes(content)
    with Stream(path) as stream:
        assert _all(stream) == content
        entry = stream.entry()
    assert (entry["size"], entry["hashed"]) == (len(content), DIGEST_BYTES)
    assert entry["sha256"] == hashlib.sha256(content[:DIGEST_BYTES]).hexdigest()


@pytest.mark.parametrize("name", PACK)
def test_packed_captures_are_captures(tmp_path: Path, name: str) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(_capture(500))
    packed.write_bytes(PACK[name](plain.read_bytes()))
    one, other = read_capture(plain), read_capture(packed)
    assert one.tables["packets"].equals(other.tables["packets"])
    assert other.manifest["sources"][0]["compression"] == name


def test_a_cut_gzip_is_in_the_gaps(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap.gz"
    path.write_bytes(gzip.compress(_capture(500))[:-300])
    read = read_capture(path)
    assert 0 < len(read.tables["packets"]) < 500
    assert read.tables["gaps"]["cause"].to_pylist() == ["cut"]
    assert any("the gzip stream is cut" in line for line in read.lost)


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    pipe, plain = tmp_path / "pipe", tmp_path / "plain"
    plain.write_bytes(_capture(2_000))
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(plain.read_bytes()))
    writer.start()
    read = read_capture(pipe)
    writer.join()
    assert read.tables["packets"].equals(read_capture(plain).tables["packets"])
    assert read.manifest["sources"][0]["size"] == plain.stat().st_size


def test_standard_input_is_a_source(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from replay.cli import main; main()"]
    run = subprocess.run(
        [*command, "ingest", "-", "-o", str(tmp_path / "out.trace")],
        input=gzip.compress(_capture(100)),
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == b""
    trace = open_trace(tmp_path / "out.trace")
    assert len(trace.packets) == 100
    assert trace.manifest["sources"][0]["name"] == "-"


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        Stream(tmp_path / "absent")
    with pytest.raises(TraceError, match="cannot be read: "):
        Stream("zero\0byte")


def test_no_room_for_what_is_unpacked_is_said_of_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(bytes(1000)))
    monkeypatch.setenv("TMPDIR", "/dev/full")
    with (
        Stream(packed) as stream,
        pytest.raises(TraceError, match=r"^/dev/full: cannot be written: .*; set TMPDIR"),
        stream.as_file(),
    ):
        pass
