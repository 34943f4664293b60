from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay import mapped
from replay.inspection import Section, inspect
from replay.inspection.arrivals import WINDOWS, _Gaps, _Windows, arrivals
from replay.trace import schema
from replay.trace.bundle import Trace, write_trace
from tests.tiny import ANSWER, GAP, REQUESTS, tiny_trace


def sections(trace: Trace) -> dict[str, Section]:
    return {section.name: section for section in arrivals(trace)}


def test_what_the_tiny_trace_holds(tmp_path: Path) -> None:
    found = sections(tiny_trace(tmp_path))
    kinds = {row["kind"]: row for row in found["packets"].rows}
    assert {name: row["packets"] for name, row in kinds.items()} == {
        "request": REQUESTS,
        "ack": REQUESTS,
        "tx": REQUESTS,
    }
    assert kinds["request"]["packets_per_s"] == REQUESTS
    assert kinds["request"]["mean_bytes"] == 96
    times = {row["time"]: row for row in found["requests"].rows}
    assert times["arrival to answer"]["requests"] == REQUESTS
    assert times["arrival to answer"]["mean_us"] == ANSWER / 1000
    assert times["service"]["mean_us"] == 4
    intervals = {row["of"]: row for row in found["intervals"].rows}
    assert intervals["requests"]["mean_us"] == GAP / 1000
    assert intervals["requests"]["variation"] == 0
    assert [(row["queue"], row["packets"]) for row in found["queues"].rows] == [(0, 2 * REQUESTS)]
    assert found["queues"].rows[0]["requests"] == REQUESTS


def test_chunks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.cumsum(np.random.default_rng(3).integers(0, 90_000, 500)).tolist()
    packets = pa.Table.from_pylist(
        [
            {"arrival_ns": at, "kind": i % 4, "status": 0, "reply_to": max(0, i - 3), "length": i}
            for i, at in enumerate(rows)
        ],
        schema=schema.PACKETS,
    )
    whole = sections(write_trace(tmp_path / "a.trace", {}, {"packets": packets}))
    monkeypatch.setattr(mapped, "CHUNK", 7)
    monkeypatch.setattr("replay.trace.bundle.CHUNK", 7)
    assert sections(write_trace(tmp_path / "b.trace", {}, {"packets": packets})) == whole


@given(st.lists(st.integers(0, 40), min_size=1), st.integers(1, 9), st.integers(2, 30))
def test_windows_are_counted_as_by_hand(gaps: list[int], length: int, cut: int) -> None:
    times = np.cumsum(gaps)
    duration = int(times[-1]) + 1
    windows = _Windows(length)
    for start in range(0, len(times), cut):
        windows.add(times[start : start + cut])
    told = windows.figures(duration)
    counts = np.bincount(times // length)[: duration // length]  # whole windows
    if len(counts) < 2:
        assert told is None
        return
    assert told is not None
    if not counts.any():
        assert told["dispersion"] is None
        return
    assert told["mean_packets"] == pytest.approx(counts.mean())
    assert told["max_packets"] == counts.max()
    assert told["dispersion"] == pytest.approx(counts.var() / counts.mean())
    assert told["p99_packets"] == np.sort(counts)[int(np.ceil(0.99 * len(counts))) - 1]


@given(st.lists(st.integers(0, 10**9), min_size=2), st.integers(1, 30))
def test_variation_is_that_of_all_gaps(gaps: list[int], cut: int) -> None:
    times = np.cumsum(gaps)
    seen = _Gaps()
    for start in range(0, len(times), cut):
        seen.add(times[start : start + cut])
    between = np.diff(times)
    assert seen.seen.count == len(between)
    if between.mean() == 0:
        assert seen.variation() is None
    else:
        expected = between.std() / between.mean()
        assert seen.variation() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_dispersion_tells_bursts_from_poisson() -> None:
    random = np.random.default_rng(5)
    poisson = np.cumsum(random.exponential(10_000, 50_000)).astype(np.int64)
    bursts = np.repeat(np.cumsum(random.exponential(80_000, 6_250)).astype(np.int64), 8)
    told: list[Any] = []
    for times in (poisson, bursts):
        windows = _Windows(WINDOWS[1])
        windows.add(times)
        told.append(windows.figures(int(times[-1])))
    assert told[0]["dispersion"] == pytest.approx(1, abs=0.15)
    assert told[1]["dispersion"] == pytest.approx(8, abs=1.5)


def test_an_empty_bundle_has_no_sections(tmp_path: Path) -> None:
    found = inspect(write_trace(tmp_path / "empty.trace", {}, {}))
    assert found.sections == ()
    assert found.trace == "empty"
