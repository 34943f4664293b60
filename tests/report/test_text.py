from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from replay.columns import CAUSE_COLUMNS, COLUMNS
from replay.report import FORMATS
from replay.result import Result
from replay.whatif import what_if
from tests.snapshots import same_as_kept
from tests.tiny import HOST, answer_by_rule, tiny_trace

KEPT = Path(__file__).parent / "snapshots"


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setattr("replay.whatif.replay_island", answer_by_rule)
    return what_if(tiny_trace(tmp_path), ["base", "suspend20", "defer50"], host=HOST, draws=0)


@pytest.fixture
def explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setattr("replay.whatif.replay_island", answer_by_rule)
    folder = tmp_path / "explained"
    folder.mkdir()
    trace = tiny_trace(folder)
    return what_if(trace, ["base", "suspend20"], host=HOST, causes=True, draws=0)


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("form", ["table", "md"])
def test_what_a_person_reads(result: Result, form: str, verbose: bool) -> None:
    text = FORMATS[form](result, verbose=verbose)
    assert same_as_kept(text, KEPT / f"tiny{'-v' * verbose}.{form}.txt")


@pytest.mark.parametrize("form", ["json", "tsv"])
def test_what_a_program_reads(result: Result, form: str) -> None:
    assert same_as_kept(FORMATS[form](result), KEPT / f"tiny.{form}")
    assert FORMATS[form](result, verbose=True) == FORMATS[form](result)


@pytest.mark.parametrize("form", ["table", "md", "json", "tsv"])
def test_why_requests_waited(explained: Result, form: str) -> None:
    text = FORMATS[form](explained, verbose=True)
    assert same_as_kept(text, KEPT / f"causes.{form}{'.txt' * (form in ('table', 'md'))}")


def test_causes_come_after_everything_else(result: Result, explained: Result) -> None:
    plain = FORMATS["tsv"](result).splitlines()[0]
    asked = FORMATS["tsv"](explained).splitlines()
    assert asked[0].startswith(f"{plain}\tcause_client_mean_us\t")
    assert {line.count("\t") for line in asked} == {len(COLUMNS) + len(CAUSE_COLUMNS) - 1}
    frame = explained.frame()
    assert frame.columns == asked[0].split("\t")
    model = frame.filter(kind="model")
    parts = model.select("^cause_.*_mean_us$").sum_horizontal().item()
    assert parts == pytest.approx(model["mean_us"].item())
    assert model["tail_cause"].item() == "queueing"
    for row in json.loads(FORMATS["json"](explained))["rows"]:
        assert list(row)[-1] == "causes"
        assert (row["causes"] is None) == (row["kind"] == "measured")


def test_what_has_no_tail_has_no_main_cause(explained: Result) -> None:
    few = replace(explained.rows[1], tail_begins=None, tail_causes=None, tail_cause=None)
    text = FORMATS["table"](replace(explained, rows=(few,)))
    assert text.splitlines()[-1].split()[-10:] == ["-"] * 10


def test_what_few_hosts_have_is_there_where_a_row_has_some(result: Result) -> None:
    rare = replace(result.rows[1], irqs_no_work=12, squeezes=34)
    rare = replace(rare, cpu_pct={**rare.cpu_pct, "other": 5.5})
    some = replace(result, rows=(result.rows[0], rare))
    for form in ("table", "md"):
        assert "no-work/s" in FORMATS[form](some)
        assert "squeezes/s" not in FORMATS[form](some)
        verbose = FORMATS[form](some, verbose=True)
        assert "squeezes/s" in verbose
        assert "other%" in verbose


def test_json_has_the_keys_of_version_1_and_no_others(result: Result) -> None:
    data = json.loads(FORMATS["json"](result))
    assert list(data) == ["version", "trace", "host", "arrivals", "rows"]
    assert data["version"] == 1
    rows = (
        "kind policy load duration_s packets requests delivered dropped irqs timers polls"
        " polls_empty busy_polls epoll_returns resumes tx_packets irqs_no_work squeezes left"
        " latency_at queue latency_us cpu_pct verdict intervals error_pct"
    )
    for row in data["rows"]:
        assert list(row) == rows.split()
        assert " ".join(row["latency_us"]) == "mean p50 p90 p95 p99 p99.9 p99.99 max"
        assert list(row["cpu_pct"]) == ["hardirq", "softirq", "kernel", "app", "other", "idle"]
        assert (row["intervals"] is not None) == (row["kind"] == "measured")


def test_tsv_has_as_many_cells_in_every_line(result: Result) -> None:
    lines = FORMATS["tsv"](result).splitlines()
    assert len(lines) == len(result.rows) + 1
    assert {line.count("\t") for line in lines} == {len(COLUMNS) - 1}


def test_the_frame_has_the_columns_of_the_tsv(result: Result) -> None:
    frame = result.frame()
    assert frame.columns == FORMATS["tsv"](result).splitlines()[0].split("\t")
    assert frame.height == len(result.rows)
    assert frame["kind"].to_list() == [row.kind for row in result.rows]
    assert frame.filter(kind="model")["error_irqs_pct"].item() == pytest.approx(500 / 3)


def test_a_bar_in_a_name_ends_no_cell(result: Result) -> None:
    odd = replace(result, rows=(replace(result.rows[0], policy="a|b"),))
    assert "| a\\|b (measured) |" in FORMATS["md"](odd)


def test_a_queue_stands_under_its_policy(result: Result) -> None:
    row = replace(result.rows[1], queue=7)
    assert "\n  queue 7 " in FORMATS["table"](replace(result, rows=(row,)))
    assert "\n| queue 7 |" in FORMATS["md"](replace(result, rows=(row,)))


def test_verbose_tells_the_spread_where_a_row_was_measured(result: Result) -> None:
    row = replace(result.rows[0], intervals={"irqs": (1_234.0, 1_299_999.0)})
    text = FORMATS["table"](replace(result, rows=(row,)), verbose=True)
    assert text.rstrip().endswith("irqs 1.23k..1.3M")


def test_a_poll_that_found_nothing_has_no_size(result: Result) -> None:
    row = replace(result.rows[1], polls=3, polls_empty=3)
    assert row.packets_per_poll is None
