from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replay.arrivals import offered
from replay.draws import BLOCKS, DRAWS, MOST_PACKETS, differences, draws, draws_to_make, intervals
from replay.errors import PolicyError
from replay.host import Cost
from replay.report.table import table
from replay.whatif import what_if
from tests.tiny import GAP, HOST, REQUESTS, tiny_trace


def test_a_recorded_service_is_less_what_recording_took_in_that_draw(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path, manifest={"duration_ns": REQUESTS * GAP})
    cost = Cost(432.55, 567.45, 9, "fitted to 9 figures")  # deviation 100
    host = replace(HOST, recorded_ns=500, costs={"recorded_ns": cost})
    offer = offered(trace, host, load=1.0, arrivals="open")
    seen = offer.column("service_ns", -1)
    found = set()
    for draw in draws(offer, host, 20):
        assert draw.offer.picked is not None
        recorded = seen[draw.offer.picked]
        asked = (draw.offer.workload.service_ns >= 0) & (recorded >= 0)
        wanted = np.maximum(recorded - draw.host.recorded_ns, 0)[asked]
        assert np.array_equal(draw.offer.workload.service_ns[asked], wanted)
        found.add(draw.host.recorded_ns)
    assert len(found) > 10


def test_blocks_are_drawn_with_replacement_and_stay_whole(tmp_path: Path) -> None:
    duration = REQUESTS * GAP
    trace = tiny_trace(tmp_path, manifest={"duration_ns": duration})
    offer = offered(trace, HOST, load=1.0, arrivals="open", sizes=True)
    length = duration // BLOCKS
    counts = []
    for draw in draws(offer, HOST, 50):
        work, picked = draw.offer.workload, draw.offer.picked
        assert picked is not None
        assert (np.diff(work.arrival_ns) >= 0).all()
        assert work.arrival_ns[-1] < duration
        assert np.array_equal(work.service_ns, offer.workload.service_ns[picked])
        shift = work.arrival_ns - offer.workload.arrival_ns[picked]
        assert (shift % length == 0).all()
        counts.append(len(picked))
    assert np.mean(counts) == pytest.approx(len(offer.workload.arrival_ns), rel=0.02)
    again = [it.offer.workload.arrival_ns.tolist() for it in draws(offer, HOST, 3)]
    assert again == [it.offer.workload.arrival_ns.tolist() for it in draws(offer, HOST, 3)]


def test_closed_arrivals_follow_answers_in_every_draw(tmp_path: Path) -> None:
    offer = offered(tiny_trace(tmp_path), HOST, load=1.0, arrivals="closed")
    assert all(it.offer is offer for it in draws(offer, HOST, 3))


def test_an_interval_holds_nine_in_ten_and_the_prediction() -> None:
    drawn = [({"irqs": float(i), "cpu_busy": 99.0, "p": None}, 0.0) for i in range(101)]
    found = intervals({"irqs": 200.0, "cpu_busy": 99.0, "p": 1.0}, drawn, None)
    assert set(found) == {"irqs", "cpu_busy"}
    assert found["irqs"] == pytest.approx((5, 200))
    assert found["cpu_busy"] == (99, 99)
    wide = [({"irqs": 100.0, "cpu_busy": 99.0}, missed) for missed in np.linspace(-2, 2, 101)]
    (low, high), busy = intervals({"irqs": 100.0, "cpu_busy": 99.0}, wide, {"irqs": 20.0}).values()
    assert (low, high) == pytest.approx((100 * 1.2**-1.8, 100 * 1.2**1.8))
    assert busy[1] == 100  # no CPU is busier


def test_a_percentile_is_not_below_a_lower_one_however_far_it_is_missed() -> None:
    figures = {"latency_p50": 60.0, "latency_p99": 120.0}
    drawn = [(figures, missed) for missed in np.linspace(-2, 2, 101)]
    found = intervals(figures, drawn, {"latency_p50": 20.0, "latency_p99": -90.0})
    assert found["latency_p50"] == pytest.approx((60 * 1.2**-1.8, 60 * 1.2**1.8))
    assert found["latency_p99"] == pytest.approx((60 * 1.2**-1.8, 120 * 10**1.8))


def test_what_all_policies_share_cancels_in_their_difference() -> None:
    missed = np.linspace(-2, 2, 41).tolist()
    base = [({"p50": 50.0}, it) for it in missed]
    mine = [({"p50": 52.0}, it) for it in missed]
    (apart,) = differences({"p50": 52.0}, mine, {"p50": 50.0}, base, {"p50": 5.0}).values()
    assert apart == pytest.approx((2 * np.exp(-0.18), 2 * np.exp(0.18)))  # a tenth at least


def test_rows_have_intervals_where_that_is_soon_done(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path, manifest={"policy": "base"})
    result = what_if(trace, ["defer20"], host=HOST)
    model, alternative, bound = (row for row in result.rows if row.kind != "measured")
    assert model.likely is not None
    assert model.likely_difference is None
    for row in (model, alternative, bound):
        assert row.likely is not None
        for name, (low, high) in row.likely.items():
            assert low <= row.metrics()[name] <= high  # type: ignore[operator]
    assert alternative.likely_difference is not None
    assert any(f"{DRAWS} draws" in note for note in result.notes)
    assert "# Likely: nine in ten draws" in table(result)
    told = next(row for row in result.to_dict()["rows"] if row["kind"] == "alternative")
    assert set(told["likely"]) >= {"latency_p50", "irqs"}
    assert "latency_p50_likely_low" in result.frame().columns
    none = what_if(trace, ["defer20"], host=HOST, draws=0)
    assert all(row.likely is None for row in none.rows)
    assert "Likely" not in table(none)
    assert "latency_p50_likely_low" not in none.frame().columns


def test_long_recordings_are_not_drawn_unasked(tmp_path: Path) -> None:
    offer = offered(tiny_trace(tmp_path), HOST, load=1.0, arrivals="open")
    packets = len(offer.workload.arrival_ns)
    assert draws_to_make(None, offer, MOST_PACKETS // packets // DRAWS) == DRAWS
    assert draws_to_make(None, offer, MOST_PACKETS // packets // DRAWS + 1) == 0
    assert draws_to_make(7, offer, 1 << 40) == 7
    with pytest.raises(PolicyError, match="draws = -1 is outside 0 to 1000"):
        draws_to_make(-1, offer, 1)
