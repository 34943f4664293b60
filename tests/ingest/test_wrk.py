"""wrk's and wrk2's output: units, distributions, and whose coordinated omission is corrected."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.errors import TraceError
from replay.ingest.wrk import read_wrk

OUTPUTS = Path(__file__).with_name("outputs")
WRK2 = (OUTPUTS / "wrk2.txt").read_text()

WRK = """\
Running 10s test @ http://gateway:8000/
  4 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   635.91us    0.89ms  12.92ms   93.69%
    Req/Sec    56.20k     8.07k   62.00k    86.54%
  Latency Distribution
     50%  250.00us
     75%  491.00us
     90%  700.00us
     99%    5.80ms
  22464657 requests in 10.00s, 17.76GB read
Requests/sec: 748868.53
Transfer/sec:    606.33MB
"""

#: A fork that has its own columns and says what it sent.
SENT = """\
Running 1m test @ http://10.96.88.88:8080
  10 threads and 100 connections
  Thread Stats   Avg      Stdev     99%   +/- Stdev
    Latency     0.96ms  610.97us   2.88ms   87.84%
    Req/Sec     1.27k   104.00     1.55k    76.83%
  Latency Distribution (HdrHistogram - Recorded Latency)
 50.000%    0.86ms
100.000%   13.22ms
----------------------------------------------------------
  720247 completed requests in 1.00m, 91.36MB read
Completed Requests/sec (Throughput):  9004.74
Sent Requests/sec (Load):   12047.41
Transfer/sec:      1.52MB
"""


def test_wrk2_is_corrected_and_its_uncorrected_part_is_left_out() -> None:
    (run,) = read_wrk("w.txt", WRK2)
    assert run.metrics == {
        "requests": 2000.28,
        "latency_mean": 6460.0,
        "latency_max": 12500.0,
        "latency_p50": 6670.0,
        "latency_p90": 9140.0,
        "latency_p95": pytest.approx(9871.0),
        "latency_p99": 11180.0,
        "latency_p99.9": pytest.approx(12300.0),
        "latency_p99.99": pytest.approx(12450.0),
    }
    assert "omission corrected" in run.method
    assert run.seconds == 30.0
    assert run.offered_per_s is None
    assert run.notes == ["Non-2xx or 3xx responses: 835"]


def test_wrk_is_a_closed_loop() -> None:
    (run,) = read_wrk("w.txt", WRK)
    assert run.metrics["latency_mean"] == 635.91
    assert run.metrics["latency_p50"] == 250.0
    assert run.metrics["latency_p99"] == 5800.0
    assert "latency_p95" not in run.metrics
    assert "closed loop" in run.method
    assert "not corrected" in run.method


def test_a_fork_says_what_it_sent() -> None:
    (run,) = read_wrk("w.txt", SENT)
    assert run.offered_per_s == 12047.41
    assert run.metrics["requests"] == 9004.74
    assert run.metrics["latency_p99"] == 2880.0
    assert run.seconds == 60.0


def test_several_outputs_are_several_runs_and_nan_is_nothing() -> None:
    empty = WRK.replace("635.91us", "-nan").replace("0.89ms", "-nan")
    one, two = read_wrk("w.txt", WRK2 + empty)
    assert one.metrics["requests"] == 2000.28
    assert "latency_mean" not in two.metrics


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (WRK[:300], "cut: no line 'Requests/sec:'"),
        (WRK.replace("748868.53", "0.00"), "no request was served"),
        (WRK.replace("748868.53", "1e400"), "requests = inf is outside"),
        (WRK.replace("5.80ms", "5.8.0ms"), "not a number"),
    ],
)
def test_what_is_cut_or_damaged_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(TraceError, match=reason) as caught:
        read_wrk("w.txt", text)
    assert "\n" not in str(caught.value)
