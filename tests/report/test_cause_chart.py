from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from replay.report.cause_chart import cause_chart, cause_records, cause_totals
from replay.result import CLIENT, PARTS, Result
from replay.whatif import what_if
from tests.tiny import HOST, answer_by_rule, tiny_trace


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setattr("replay.whatif.replay_island", answer_by_rule)
    return what_if(tiny_trace(tmp_path), ["suspend20"], host=HOST, causes=True)


@pytest.mark.parametrize("tail", [False, True])
def test_a_bar_ends_at_the_latency_that_its_parts_make_up(result: Result, tail: bool) -> None:
    records = cause_records(result, tail=tail)
    assert [record["part"] for record in records if record["row"] == "suspend20"] == list(PARTS)
    ends = {record["row"]: record["us"] for record in cause_totals(records)}
    assert list(ends) == ["base (model)", "suspend20", "zero-cost (bound)"]
    row = next(row for row in result.rows if row.policy == "suspend20")
    told = row.tail_causes if tail else {"mean": row.latency_us["mean"]}
    assert told is not None
    assert ends["suspend20"] == pytest.approx(sum(us or 0.0 for us in told.values()))
    (client,) = (it for it in records if (it["row"], it["part"]) == ("suspend20", CLIENT))
    assert client["us"] == 20.0
    assert client["share"] == ("40.5%" if tail else "50.1%")


def test_rows_that_do_not_keep_up_have_no_bar(result: Result) -> None:
    rows = tuple(replace(row, verdict="saturated") for row in result.rows)
    assert cause_records(replace(result, rows=rows), tail=False) == []


def test_a_row_without_a_tail_has_a_bar_in_one_panel(result: Result) -> None:
    short = replace(result.rows[1], tail_begins=None, tail_causes=None, tail_cause=None)
    alone = replace(result, rows=(short,))
    assert cause_records(alone, tail=True) == []
    assert len(cause_records(alone, tail=False)) == len(PARTS)


def test_a_latency_of_nothing_has_no_shares(result: Result) -> None:
    free = replace(result.rows[1], causes=dict.fromkeys(PARTS, 0.0))
    records = cause_records(replace(result, rows=(free,)), tail=False)
    assert {record["share"] for record in records} == {""}


def test_two_panels_with_the_same_rows_and_colours(result: Result) -> None:
    panels = cause_chart(result).to_dict()["hconcat"]
    assert [panel["title"] for panel in panels] == ["all requests, mean µs", "the tail, mean µs"]
    colours = [panel["layer"][0]["encoding"]["color"]["scale"] for panel in panels]
    assert colours[0] == colours[1]
    for panel in panels:
        places = [layer["encoding"]["y"]["scale"]["domain"] for layer in panel["layer"]]
        assert places == [["base (model)", "suspend20", "zero-cost (bound)"]] * 2
    assert colours[0]["domain"] == list(PARTS)
    assert len(set(colours[0]["range"])) == len(PARTS)
