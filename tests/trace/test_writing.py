"""A bundle is complete or absent: full disks, signals, and what a killed process left."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from replay.errors import TraceError
from replay.trace.bundle import bundle_writer, open_trace
from tests.ingest.captures import ACK, PSH, Conversation, Packet, pcap

START = 1_700_000_000 * 10**9
INGEST = [sys.executable, "-c", "import sys; from replay.cli import main; sys.exit(main())"]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    talk = Conversation()
    frames = [talk.segment(i % 2 == 0, 10, ACK | PSH) for i in range(20_000)]
    path = tmp_path / "talk.pcap"
    path.write_bytes(pcap([Packet(START + i, frame) for i, frame in enumerate(frames)]))
    return path


def _limit_files() -> None:
    """A disk with room for the first tables' start alone."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))


def test_nothing_is_left_on_a_full_disk(tmp_path: Path, capture: Path) -> None:
    command = [*INGEST, "ingest", str(capture), "-o", str(tmp_path / "out.trace")]
    subprocess.run(command, check=True, capture_output=True)  # compiles
    shutil.rmtree(tmp_path / "out.trace")
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=_limit_files
    )
    assert run.returncode == 2, run.stderr
    assert run.stderr == f"replay: {tmp_path}/out.trace: cannot be written: File too large\n"
    assert list(tmp_path.iterdir()) == [capture]


@pytest.mark.parametrize(
    ("sent", "status", "left"),
    [(signal.SIGINT, 130, 0), (signal.SIGTERM, 143, 0), (signal.SIGKILL, -9, 1)],
)
def test_signals_leave_no_bundle(
    tmp_path: Path, capture: Path, sent: signal.Signals, status: int, left: int
) -> None:
    pipe, place = tmp_path / "pipe", tmp_path / "out.trace"
    os.mkfifo(pipe)
    command = [*INGEST, "ingest", str(pipe), "-o", str(place)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as run, pipe.open("wb") as writer:
        writer.write(capture.read_bytes())  # and no end
        writer.flush()
        while not list(tmp_path.glob(".out.trace.unfinished-*")):
            time.sleep(0.01)
        run.send_signal(sent)
        assert run.stderr is not None
        assert run.stderr.read() == b""
    assert run.returncode == status
    assert not place.exists()
    assert len(list(tmp_path.glob(".*"))) == left
    with bundle_writer(place):  # of the same name: what was left goes
        assert len(list(tmp_path.glob(".*"))) == 1
    assert list(tmp_path.glob(".*")) == []


def test_what_another_process_writes_stays(tmp_path: Path) -> None:
    place = tmp_path / "one.trace"
    with bundle_writer(place) as first:
        with bundle_writer(tmp_path / "other.trace") as second:
            second.rename(place)  # it was faster
            second.mkdir()
        assert first.is_dir()
        with pytest.raises(TraceError, match="already exists"), bundle_writer(place):
            pass
        shutil.rmtree(place)
        with bundle_writer(place) as third:
            assert third != first
            assert first.is_dir()
            (third / "manifest.json").write_text('{"format": {"major": 1}}')
        assert open_trace(place).manifest
        assert first.is_dir()
        shutil.rmtree(place)
    assert place.is_dir()
