"""Arrivals known within bounds: replayed at both, and what that does to percentiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from replay.trace.bundle import Trace, write_trace
from replay.trace.schema import PACKETS, PacketKind
from replay.uncertainty import ranges
from replay.whatif import what_if
from tests.tiny import HOST, tiny_trace

COUNT = 3_000


def bundle(path: Path, early: int | None, late: int | None, **more: object) -> Trace:
    """Requests 50 us apart, each known to have come up to `early` before and `late` after."""
    arrival = np.arange(1, COUNT + 1) * 50_000
    values = {
        "arrival_ns": arrival,
        "earliest_ns": [None if early is None else int(at) - early for at in arrival],
        "latest_ns": [None if late is None else int(at) + late for at in arrival],
        "kind": np.full(COUNT, PacketKind.REQUEST, np.uint8),
        "service_ns": np.full(COUNT, 5_000),
        "status": np.zeros(COUNT, np.uint8),
        "flow": np.zeros(COUNT, np.uint32),
    } | more
    table = pa.table(
        [
            pa.array(values[field.name], field.type)
            if field.name in values
            else pa.nulls(COUNT, field.type)
            for field in PACKETS
        ],
        schema=PACKETS,
    )
    return write_trace(path, {"duration_ns": int(arrival[-1]) + 60_000}, {"packets": table})


@pytest.mark.parametrize(("early", "late"), [(None, None), (0, 0)])
def test_exact_arrivals_have_no_ranges(tmp_path: Path, early: int | None, late: int | None) -> None:
    result = what_if(bundle(tmp_path / "a.trace", early, late), ["base"])
    assert "bounds" not in result.about
    assert all(row.ranges_us is None for row in result.rows)


def test_shifting_all_alike_changes_nothing(tmp_path: Path) -> None:
    result = what_if(bundle(tmp_path / "a.trace", 7_000, 9_000), ["base"])
    assert "3,000 arrivals were inferred, half of them within 16 µs" in result.about["bounds"]
    for row in result.rows:
        assert row.ranges_us is not None
        for name, (low, high) in row.ranges_us.items():
            assert low <= row.latency_us[name] <= high  # type: ignore[operator]
            assert high - low < 0.1


def test_bounds_that_bunch_arrivals_widen_the_range(tmp_path: Path) -> None:
    arrival = np.arange(1, COUNT + 1) * 50_000
    bunched = arrival // 500_000 * 500_000  # ten at once
    trace = bundle(tmp_path / "a.trace", None, 0, earliest_ns=bunched)
    result = what_if(trace, ["base"])
    base = result.rows[0]
    assert base.ranges_us is not None
    low, high = base.ranges_us["p99"]
    assert low == pytest.approx(base.latency_us["p99"], rel=0.01)
    # The last of ten waits for the nine before it.
    assert high > low + 9 * 5
    loaded = what_if(trace, ["base"], load=2.0).rows[0]
    assert loaded.ranges_us is not None
    assert what_if(trace, ["base"], load=2.0, load_by="superposition").rows[0].ranges_us is None
    dictionary = result.to_dict()["rows"][0]
    assert dictionary["ranges_us"]["p99"] == [round(low, 3), round(high, 3)]


def test_bounds_need_not_be_in_the_order_of_arrivals(tmp_path: Path) -> None:
    arrival = np.arange(1, COUNT + 1) * 50_000
    early = arrival - np.where(np.arange(COUNT) % 2, 60_000, 0)
    trace = bundle(tmp_path / "a.trace", None, 0, earliest_ns=np.maximum(early, 0))
    assert what_if(trace, ["base"]).rows[0].ranges_us is not None


def test_percentiles_that_one_replay_lacks_have_no_range() -> None:
    one = {"p50": 1.0, "p95": 2.0, "p99": None}
    assert ranges(one, {"p50": 3.0, "p95": 1.0, "p99": 1.0}) == {
        "p50": (1.0, 3.0),
        "p95": (1.0, 2.0),
    }


def test_closed_arrivals_have_both_ends(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    closed = what_if(trace, ["defer50"], host=HOST, arrivals="closed", draws=0)
    opened = what_if(trace, ["defer50"], host=HOST, arrivals="open", draws=0)
    assert "clients wait for answers" in closed.about["bounds"]
    rows = [
        next(row for row in result.rows if row.kind == "alternative") for result in (closed, opened)
    ]
    assert rows[0].ranges_us is not None
    ends = sorted(row.latency_us["p50"] or 0.0 for row in rows)
    assert list(rows[0].ranges_us["p50"]) == ends
