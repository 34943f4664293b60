from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replay.engine.histogram import Histogram
from replay.report.chart_data import (
    UNTOLD,
    cpu,
    latency_curves,
    latency_points,
    poll_sizes,
    rates,
    whole_rows,
)
from replay.report.charts import cpu_chart
from replay.report.palette import BOUND, COLOURS, colours, dashes
from replay.result import Result
from replay.whatif import what_if
from tests.tiny import HOST, answer_by_rule, tiny_trace


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setattr("replay.whatif.replay_island", answer_by_rule)
    return what_if(tiny_trace(tmp_path), ["base", "suspend20"], host=HOST, queues=2, per_queue=True)


def test_charts_show_all_queues_together(result: Result) -> None:
    assert any(row.queue is not None for row in result.rows)
    assert all(row.queue is None for row in whole_rows(result))


def test_a_curve_rises_to_where_ten_values_lie_beyond(result: Result) -> None:
    points = [point for point in latency_curves(result) if point["row"] == "base (model)"]
    assert points[0]["tail"] == 1.0
    assert points[0]["us"] == pytest.approx(30.0, rel=0.001)  # 10 us and 20 us at the client
    assert points[-1]["tail"] == 20.0  # of 200 requests
    assert points[-1]["percentile"] == "95%"
    assert points[-1]["us"] == pytest.approx(48.95, rel=0.001)
    values = [point["us"] for point in points]
    assert values == sorted(values)


def test_a_row_without_an_answer_has_no_curve(result: Result) -> None:
    silent = replace(result.rows[1], latency=Histogram.of(np.empty(0, np.int64)))
    assert latency_curves(replace(result, rows=(silent,))) == []


def test_measured_percentiles_are_points_with_their_spread(result: Result) -> None:
    points = latency_points(result)
    assert [(point["row"], point["percentile"]) for point in points] == [
        ("base (measured)", "50%"),
        ("base (measured)", "99%"),
    ]
    assert (points[0]["us"], points[0]["low"], points[0]["high"]) == (46.0, 45.0, 47.0)
    assert points[0]["tail"] == 2.0


def test_points_of_one_percentile_stand_side_by_side(result: Result) -> None:
    measured = result.rows[0]
    pair = replace(result, rows=(measured, replace(measured, policy="defer50")))
    tails = [point["tail"] for point in latency_points(pair) if point["percentile"] == "50%"]
    assert tails == [pytest.approx(2.0 / 1.07**0.5), pytest.approx(2.0 * 1.07**0.5)]


def test_rates_have_the_spread_where_they_were_measured(result: Result) -> None:
    bars = {bar["row"]: bar for bar in rates(result, "irqs")}
    assert bars["base (measured)"] == {
        "row": "base (measured)",
        "policy": "base",
        "kind": "measured",
        "value": 150.0,
        "text": "150",
        "low": 149.0,
        "high": 152.0,
        "end": 152.0,
    }
    assert bars["base (model)"]["value"] == bars["base (model)"]["end"] == 400.0
    assert bars["base (model)"]["low"] is None
    assert "base (measured)" not in {bar["row"] for bar in rates(result, "resumes")}


def test_poll_sizes_are_shares_of_polls_with_packets(result: Result) -> None:
    sizes = np.zeros(65, np.int64)
    sizes[[0, 1, 4, 64]] = [100, 5_000, 2_999, 1]
    row = replace(result.rows[1], poll_sizes=sizes)
    tiles = {tile["size"]: tile for tile in poll_sizes(replace(result, rows=(row,)))}
    assert list(tiles) == ["1", "2", "3-4", "5-8", "9-16", "17-32", "33-64"]
    assert tiles["1"]["text"] == "62.5%"
    assert tiles["2"]["text"] == ""
    assert tiles["33-64"]["text"] == "<0.1%"
    assert sum(tile["percent"] for tile in tiles.values()) == pytest.approx(100.0)


def test_no_poll_with_packets_is_no_share(result: Result) -> None:
    row = replace(result.rows[1], poll_sizes=np.array([7]))
    assert {tile["percent"] for tile in poll_sizes(replace(result, rows=(row,)))} == {0.0}


def test_what_was_not_told_apart_is_shown_as_such(result: Result) -> None:
    shares = {(bar["row"], bar["work"]): bar["percent"] for bar in cpu(result)}
    assert shares["base (measured)", UNTOLD] == 10.0
    assert shares["base (measured)", "polls"] == 4.0
    assert ("base (measured)", "application") not in shares
    assert ("base (model)", UNTOLD) not in shares
    assert ("base (model)", "application") in shares
    unknown = replace(result.rows[0], cpu_pct=dict.fromkeys(result.rows[0].cpu_pct))
    assert cpu(replace(result, rows=(unknown,))) == []


def test_background_work_is_shown_where_there_is_some(result: Result) -> None:
    assert "background" not in {bar["work"] for bar in cpu(result)}
    assert "background" not in json.dumps(cpu_chart(result).to_dict())
    row = result.rows[1]
    busy = replace(result, rows=(replace(row, cpu_pct={**row.cpu_pct, "other": 30.0}),))
    (bar,) = (bar for bar in cpu(busy) if bar["work"] == "background")
    assert bar["text"] == "30.0%"
    domain = cpu_chart(busy).to_dict()["encoding"]["color"]["scale"]["domain"]
    assert domain[-2:] == ["background", UNTOLD]


def test_each_policy_has_a_colour_and_the_bound_is_grey(result: Result) -> None:
    assert colours(result) == {"base": COLOURS[0], "suspend20": COLOURS[1], "zero-cost": BOUND}
    many = [replace(result.rows[1], policy=f"defer{i}") for i in range(len(COLOURS) + 1)]
    crowd = replace(result, rows=tuple(many))
    looks = [(colours(crowd)[row.policy], tuple(dashes(crowd)[row.policy])) for row in many]
    assert len(set(looks)) == len(many)
