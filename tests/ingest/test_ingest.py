"""From a capture to a bundle that opens, complete or not at all."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest

from replay.cli import run
from replay.errors import TraceError
from replay.ingest import perf
from replay.ingest.ingest import ingest
from replay.ingest.ingested import Ingested
from replay.trace import schema
from replay.trace.bundle import open_trace
from tests.ingest.captures import ACK, PSH, Conversation, Packet, pcap
from tests.ingest.perf_builder import Scene

START = 1_700_000_000 * 10**9


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    talk = Conversation()
    frames = [talk.segment(side, 10, ACK | PSH) for side in (True, False) * 3]
    path = tmp_path / "talk.pcap"
    path.write_bytes(pcap([Packet(START + i, frame) for i, frame in enumerate(frames)]))
    return path


@pytest.mark.parametrize("compress", [None, "zstd"])
def test_a_bundle_holds_every_table_and_names_its_source(
    tmp_path: Path, capture: Path, compress: str | None
) -> None:
    summary = ingest([capture], tmp_path / "talk.trace", compress=compress)
    trace = open_trace(summary.path)
    for name, columns in schema.TABLES.items():
        assert getattr(trace, name).schema.names == columns.names
    trace.packets.validate(full=True)
    trace.flows.validate(full=True)
    assert len(trace.packets) == 6
    assert trace.manifest["origin_ns"] == START
    assert trace.manifest["sources"] == [
        {
            "name": "talk.pcap",
            "size": capture.stat().st_size,
            "sha256": hashlib.sha256(capture.read_bytes()).hexdigest(),
            "hashed": capture.stat().st_size,
            "format": "pcap",
        }
    ]
    text = str(summary)
    assert "found     6 packets in 6e-09 s, 1 connection in 2 flows" in text
    assert "inferred  server: port 8080/tcp at 10.0.0.1" in text
    assert "lost      service times" in text


def test_nothing_is_left_of_a_source_that_cannot_be_read(tmp_path: Path, capture: Path) -> None:
    (tmp_path / "bad.pcap").write_bytes(b"nonsense")
    before = sorted(tmp_path.iterdir())
    for sources, reason in (
        ([tmp_path / "bad.pcap"], "is no pcap, pcapng, perf.data, trace.dat or text"),
        ([], "0 recordings"),
        ([capture, capture], "2 recordings"),
        ([tmp_path / "absent"], "No such file"),
    ):
        with pytest.raises(TraceError, match=reason):
            ingest(sources, tmp_path / "out.trace")
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_is_overwritten(tmp_path: Path, capture: Path) -> None:
    ingest([capture], tmp_path / "talk.trace")
    with pytest.raises(TraceError, match="already exists"):
        ingest([capture], tmp_path / "talk.trace")


def test_a_server_is_for_captures(tmp_path: Path) -> None:
    perf = tmp_path / "perf.data"
    perf.write_bytes(b"PERFILE2" + (104).to_bytes(8, "little") + bytes(88))
    with pytest.raises(TraceError, match="--server is for packet captures"):
        ingest([perf], tmp_path / "out.trace", server="80")


def test_a_device_is_for_perf(tmp_path: Path, capture: Path) -> None:
    with pytest.raises(TraceError, match=r"--device is for kernel events"):
        ingest([capture], tmp_path / "out.trace", device="eth0")


def test_the_policy_of_the_host_is_kept(tmp_path: Path, capture: Path) -> None:
    summary = ingest([capture], tmp_path / "talk.trace", policy="defer20")
    assert open_trace(summary.path).manifest["policy"] == "defer20"


def test_perf_is_read_by_its_own_reader(tmp_path: Path, monkeypatch: Any) -> None:
    source = tmp_path / "perf.data"
    source.write_bytes(b"PERFILE2" + (104).to_bytes(8, "little") + bytes(88))
    asked: dict[str, Any] = {}

    def read(path: Path, *, made: object, **options: Any) -> Ingested:
        assert callable(made)
        asked.update(options, path=path)
        return Ingested({}, {"sources": []}, ["nothing"])

    monkeypatch.setattr(perf, "read_perf", read)
    summary = ingest([source], tmp_path / "out.trace", device="eth0", policy="base")
    assert asked == {"path": source, "device": "eth0"}
    assert open_trace(summary.path).manifest["policy"] == "base"
    assert summary.found == ["nothing"]
    assert len(open_trace(summary.path).packets) == 0


@pytest.mark.parametrize("joined", [False, True])
def test_what_was_unpacked_is_blamed_by_its_own_name(
    tmp_path: Path, capture: Path, joined: bool
) -> None:
    cut = tmp_path / "recording.data.gz"
    cut.write_bytes(gzip.compress(b"PERFILE2" + bytes(40)))
    with pytest.raises(TraceError, match=rf"^{re.escape(str(cut))}: perf\.data header of "):
        ingest([cut, capture] if joined else [cut], tmp_path / "a.trace")


def test_an_anonymized_bundle_names_nobody_and_keeps_its_shape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = Conversation()
    frames = [talk.segment(True, 30, PSH | ACK), talk.segment(False, 60, PSH | ACK)] * 3
    secret = tmp_path / "acme-payroll.pcap"
    secret.write_bytes(pcap(Packet(1_000 * i, frame) for i, frame in enumerate(frames)))
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    plain, first, second = (tmp_path / f"{name}.trace" for name in ("plain", "first", "second"))
    assert run(["ingest", str(secret), "-o", str(plain)]) == 0
    assert run(["ingest", str(secret), "-o", str(first), "--anonymize-key", str(key)]) == 0
    assert run(["ingest", str(plain), "-o", str(second), "--anonymize-key", str(key)]) == 0
    known, new = open_trace(plain), open_trace(first)
    assert new.packets.equals(known.packets)
    assert new.flows.drop_columns(["source", "destination"]).equals(
        known.flows.drop_columns(["source", "destination"])
    )
    addresses = {*known.flows["source"].to_pylist(), *known.flows["destination"].to_pylist()}
    assert not addresses & {*new.flows["source"].to_pylist(), *new.flows["destination"].to_pylist()}
    assert open_trace(second).flows.equals(new.flows)  # a bundle can be anonymized later, too
    for path in first.iterdir():
        content = path.read_bytes()
        assert b"acme" not in content
        assert b"10.0.0." not in content
        assert not any(address in content for address in addresses)
    capsys.readouterr()
    key.write_bytes(b"short")
    assert run(["ingest", str(secret), "-o", str(tmp_path / "x"), "--anonymize-key", str(key)]) == 2
    assert capsys.readouterr().err == f"replay: {key}: a key has 16 to 65536 bytes, this file 5\n"
    assert not (tmp_path / "x").exists()


def test_what_cannot_be_read_is_not_blamed_on_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    recording = Scene()
    recording.exchange(1_000)
    path = recording.write(tmp_path / "perf.data")
    monkeypatch.setattr("replay.ingest.perf.read_points", broken)
    with pytest.raises(TraceError, match=r"perf\.data: cannot be read: Input/output error"):
        ingest([path], tmp_path / "x.trace")
    assert sorted(it.name for it in tmp_path.iterdir()) == ["perf.data"]
