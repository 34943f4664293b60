"""CTF traces through babeltrace2: counts are those of the samples' catalogue."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from replay.errors import TraceError
from replay.ingest import ctf
from replay.ingest.ingest import ingest
from replay.ingest.reconstruct_points import Point
from replay.ingest.sniff import CTF, sniff
from replay.trace.bundle import open_trace

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "tracecompass"
with_tool = pytest.mark.skipif(not shutil.which("babeltrace2"), reason="no babeltrace2")


def sample(name: str) -> Path:
    if not (SAMPLES / name).exists():
        pytest.skip("the CTF samples are not there")
    return SAMPLES / name


@with_tool
def test_a_real_nic_recorded_by_lttng(tmp_path: Path) -> None:
    path = sample("bug446190")
    assert sniff(path) == CTF
    found = ctf.read_ctf(path)
    counts = np.bincount(found.points.kind, minlength=len(Point))
    assert counts[Point.IRQ_ENTRY] == 1_357
    assert counts[Point.SOFTIRQ_ENTRY] == 893
    assert counts[Point.POLL] == 317
    assert counts[Point.RECEIVE] == 326
    assert counts[Point.XMIT_DONE] == 16
    assert counts[Point.SWITCH] == 1_052
    assert found.devices == ["eth0"] or "eth0" in found.devices
    summary = ingest([path], tmp_path / "a.trace")
    trace = open_trace(tmp_path / "a.trace")
    assert trace.manifest["sources"][0]["name"] == "bug446190"
    assert any("other events left out" in line for line in summary.lost)


@with_tool
def test_perf_data_convert_writes_other_fields() -> None:
    found = ctf.read_ctf(sample("perf-taskset2"))
    assert (found.points.kind == Point.SWITCH).any()
    assert found.points.cpu.max() < 64
    assert found.points.tid.max() > 0


def test_without_the_tool_it_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metadata").write_text("/* CTF 1.8 */")
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(TraceError, match="babeltrace2, which is not installed"):
        ctf.read_ctf(tmp_path)


@with_tool
def test_what_the_tool_refuses_is_refused_by_its_words(tmp_path: Path) -> None:
    (tmp_path / "metadata").write_text("nonsense")
    with pytest.raises(TraceError) as caught:
        ctf.read_ctf(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
