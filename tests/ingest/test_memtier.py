"""memtier_benchmark's tables and documents, single runs before what was made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from replay.errors import TraceError
from replay.ingest.memtier import is_memtier, read_memtier, read_memtier_json

OUTPUTS = Path(__file__).with_name("outputs")
USUAL = (OUTPUTS / "memtier.txt").read_text()

OLD = """\
ALL STATS
========================================================================
Type        Ops/sec     Hits/sec   Misses/sec      Latency       KB/sec
------------------------------------------------------------------------
Sets        9077.48          ---          ---      2.28900       699.02
Gets       90774.71      1000.00     89774.71      2.28800      3538.18
Totals     99852.19      1000.00     89774.71      2.28800      4237.20
"""


def run_of(title: str, rate: float) -> str:
    return (
        USUAL[USUAL.index("ALL") :].replace("ALL STATS", title).replace("78391.78", f"{rate:.2f}")
    )


def document() -> dict[str, Any]:
    return {
        "configuration": {"server": "localhost", "clients": 50},
        "run information": {"Threads count": 4, "Format version": 2},
        "ALL STATS": {
            "Runtime": {"Total duration": 30012, "Time unit": "MILLISECONDS"},
            "Gets": {"Ops/sec": 1.0},
            "Totals": {
                "Count": 100,
                "Ops/sec": 412345.6,
                "Average Latency": 0.019,
                "Min Latency": 0.007,
                "Max Latency": 4.095,
                "KB/sec": 1.5,
                "Time-Serie": {"0": {"p50.00": 9.9}},
                "Percentile Latencies": {
                    "p50.00": 0.023,
                    "p99.00": 0.031,
                    "p99.90": 0.103,
                    "Histogram log format": {"Compressed Histogram": "HIST"},
                },
            },
        },
    }


def test_the_totals_of_a_text() -> None:
    (run,) = read_memtier("m.txt", USUAL)
    assert run.metrics == {
        "requests": 78391.78,
        "latency_mean": pytest.approx(1012.59),
        "latency_p50": 807.0,
        "latency_p99": 5567.0,
        "latency_p99.9": 12671.0,
    }
    assert "not corrected" in run.method
    (old,) = read_memtier("m.txt", OLD)
    assert old.metrics == {"requests": 99852.19, "latency_mean": 2288.0}


def test_single_runs_stand_before_what_was_made_of_them() -> None:
    average = run_of("AGGREGATED AVERAGE RESULTS (2 runs)", 15.0)
    best, worst = run_of("BEST RUN RESULTS", 20.0), run_of("WORST RUN RESULTS", 10.0)
    (run,) = read_memtier("m.txt", best + worst + average)
    assert run.metrics["requests"] == 15.0
    assert "averaged by it over 2 runs" in run.method
    single = run_of("RUN #1 RESULTS", 20.0) + run_of("RUN #2 RESULTS", 10.0)
    runs = read_memtier("m.txt", single + best + worst + average)
    assert [one.metrics["requests"] for one in runs] == [20.0, 10.0]


def test_the_totals_of_a_document() -> None:
    assert is_memtier(document())
    assert not is_memtier({"configuration": {}})
    (run,) = read_memtier_json("m.json", document())
    assert run.metrics == {
        "requests": 412345.6,
        "latency_mean": pytest.approx(19.0),
        "latency_max": pytest.approx(4095.0),
        "latency_p50": pytest.approx(23.0),
        "latency_p99": pytest.approx(31.0),
        "latency_p99.9": pytest.approx(103.0),
    }
    assert run.seconds == pytest.approx(30.012)
    whole = document()
    part = whole.pop("ALL STATS")
    whole |= {"RUN #1 RESULTS": part, "RUN #2 RESULTS": part, "BEST RUN RESULTS": part}
    assert len(read_memtier_json("m.json", whole)) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (USUAL[: USUAL.index("Totals")], "ALL STATS has no line of totals"),
        (USUAL[: USUAL.index("2288.08")], "8 totals under 9 names"),
        (USUAL.replace("0.80700         5.56700", "x         5.56700"), "not a number"),
    ],
)
def test_what_is_cut_or_damaged_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(TraceError, match=reason) as caught:
        read_memtier("m.txt", text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage", [None, [], {"Totals": 3}, {"Totals": {}}, {"Totals": {"Ops/sec": "x"}}]
)
def test_a_damaged_document_is_refused(damage: Any) -> None:
    with pytest.raises(TraceError, match="ALL STATS"):
        read_memtier_json("m.json", {"ALL STATS": damage})
