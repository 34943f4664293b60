from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from replay.cli import run
from replay.host import Cost, Host, read_host
from replay.trace.bundle import Trace
from tests.tiny import HOST, tiny_trace


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def calibrated(trace: Trace) -> Host:
        return replace(HOST, name=trace.name, costs={"irq_ns": Cost(800, 1_000, 20_000, "irqs")})

    monkeypatch.setattr("replay.calibrate.calibrate", calibrated)
    monkeypatch.chdir(tmp_path)
    tiny_trace(tmp_path)
    return tmp_path


def test_constants_with_their_spread_and_a_host_to_keep(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["calibrate", "-o", "host.toml"]) == 0
    out, err = capfd.readouterr()
    (line,) = (line for line in out.splitlines() if line.startswith("irq_ns"))
    assert line.split() == ["irq_ns", "900", "800", "1,000", "20,000", "irqs"]
    assert err == "note: trace tiny.trace\n"
    assert read_host("host.toml").costs["irq_ns"].samples == 20_000


def test_the_host_is_optional(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "tiny.trace"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("# tiny (made up)\n")
    assert err == ""
    assert not list(folder.glob("*.toml"))


def test_a_full_disk(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "tiny.trace", "-o", "/dev/full"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "replay: /dev/full: cannot be written: No space left on device\n"
    assert not Path("/dev/full").is_file()


def test_a_recording_without_events_cannot_be_calibrated(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["calibrate", str(tiny_trace(tmp_path).path), "-o", str(tmp_path / "h.toml")]) == 2
    assert capfd.readouterr().err.count("\n") == 1
    assert not (tmp_path / "h.toml").exists()
