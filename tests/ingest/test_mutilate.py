"""mutilate's tables in the dialects that are about, and what is cut of them."""

from __future__ import annotations

import pytest

from replay.errors import TraceError
from replay.ingest.mutilate import read_mutilate

USUAL = """\
#type       avg     std     min     5th    10th    90th    95th    99th
read       52.7    13.9    27.2    36.2    38.4    66.9    75.9   100.4
update      0.0     0.0     0.0     0.0     0.0     0.0     0.0     0.0
op_q        1.0     0.0     1.0     1.0     1.0     1.1     1.1     1.1

Total QPS = 18416.6 (92083 / 5.0s)

Misses = 12 (0.0%)
Skipped TXs = 0 (0.0%)

RX   22744501 bytes :    4.3 MB/s
TX    3315024 bytes :    0.6 MB/s
"""

#: With the median, reads and updates, and lines of another program around it.
MEDIAN = """\
{ common_pid: mc-worker       [    516211], ret:         47 } hitcount:          1
#type       avg     std     min     5th    10th    50th    90th    95th    99th
read       83.0    38.1    41.1    56.1    58.8    74.6   110.1   133.1   247.4
update     87.7    37.6    45.3    59.6    62.4    78.8   116.1   139.1   252.2
op_q        1.0     0.0     1.0     1.0     1.0     1.1     1.1     1.1     1.1
rx       5000.0     0.0  5000.0  5000.0  5000.0  5000.0  5000.0  5000.0  5000.0

Total QPS = 800162.8 (24004884 / 30.0s)
"""

MCPERF = """\
#type       avg     std     min      p5     p10     p50     p90     p95     p99    p999   p9999
read       62.2    24.1    54.7    59.1    59.4    61.5    63.5    63.8    68.8    80.2  1012.5
update      0.0     0.0     0.0     0.0     0.0     0.0     0.0     0.0     0.0     0.0     0.0
op_q        1.0     0.0     1.0     1.0     1.0     1.0     1.1     1.1     1.1     1.1     1.1

Total QPS = 16082.2 (80411 / 5.0s)
"""

SCAN = """\
#type       avg     min     1st     5th    10th    90th    95th    99th      QPS   target
read       52.4    41.0    43.1    45.2    48.1    55.8    56.6    71.5   9990.1    10000
read       98.8    86.0    87.2    88.6    89.6    97.0   105.8   170.6  20010.4    20000
"""


def test_a_table_gives_rate_mean_and_the_percentiles_it_has() -> None:
    (run,) = read_mutilate("m.out", USUAL)
    assert run.metrics == {
        "requests": 18416.6,
        "latency_mean": 52.7,
        "latency_p90": 66.9,
        "latency_p95": 75.9,
        "latency_p99": 100.4,
    }
    assert run.offered_per_s is None
    assert run.seconds == 5.0
    assert "not corrected" in run.method
    assert run.notes == ["Misses: 12"]


def test_dialects() -> None:
    (median,) = read_mutilate("m.out", MEDIAN)
    assert median.metrics["latency_p50"] == 74.6
    assert median.metrics["requests"] == 800162.8
    assert "those of reads" in median.notes[0]
    (mcperf,) = read_mutilate("m.out", MCPERF)
    assert mcperf.metrics["latency_p99.9"] == 80.2
    assert mcperf.metrics["latency_p99.99"] == 1012.5
    (swan,) = read_mutilate(
        "m.out",
        USUAL.replace("\nTotal", "Swan latency for percentile 99.900000: 175.125312\n\nTotal"),
    )
    assert swan.metrics["latency_p99.9"] == 175.125312
    lines = USUAL.splitlines(keepends=True)
    lines[1:3] = ["read" + lines[2][6:], "update" + lines[1][4:]]
    (updates,) = read_mutilate("m.out", "".join(lines))
    assert updates.metrics["latency_mean"] == 52.7
    assert "updates" in updates.method


def test_each_line_of_a_scan_is_a_run_at_its_target() -> None:
    one, two = read_mutilate("m.out", SCAN)
    assert (one.offered_per_s, one.metrics["requests"]) == (10_000, 9990.1)
    assert (two.offered_per_s, two.metrics["latency_p99"]) == (20_000, 170.6)


def test_each_table_is_a_run() -> None:
    assert [run.seconds for run in read_mutilate("m.out", USUAL + MEDIAN)] == [5.0, 30.0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing\n", "no table of mutilate"),
        (USUAL[:72], "no line of reads"),
        (USUAL[:110], "a line of 5 values under 9 names"),
        (USUAL[: USUAL.index("Total")], "no line 'Total QPS"),
        (USUAL.replace("52.7", "many"), "read is 'many', not a number"),
        (USUAL.replace("52.7", "-1.0"), "latency_mean = -1 is outside"),
        (USUAL.replace("52.7", "nan"), "latency_mean = nan is outside"),
        (USUAL.replace("18416.6 (92083", "0.0 (0"), "no request was served"),
    ],
)
def test_what_is_cut_or_damaged_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(TraceError, match=reason) as caught:
        read_mutilate("m.out", text)
    assert str(caught.value).startswith("m.out: ")
    assert "\n" not in str(caught.value)
