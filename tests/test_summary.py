from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from replay.engine.histogram import Histogram
from replay.engine.outcome import CpuTime, Outcome
from replay.summary import cpu_shares, summarise, verdict

OUTCOME = Outcome(
    duration_ns=1_000_000,
    packets=2_000,
    requests=1_000,
    delivered=2_000,
    dropped=0,
    left=7,
    served=1_000,
    irqs=500,
    timers=0,
    polls=600,
    polls_empty=100,
    busy_polls=0,
    epoll_returns=900,
    resumes=0,
    tx_packets=1_000,
    cpu=CpuTime(hardirq=1, softirq=2, kernel=3, app=4, other=5, idle=85),
    latency=Histogram.of(np.full(1_000, 20_000, np.int64)),
    poll_sizes=np.array([100, 0, 0, 0, 500], np.int64),
    irqs_no_work=40,
    squeezes=3,
)


def test_cpu_shares_sum_to_a_hundred() -> None:
    shares = cpu_shares(OUTCOME.cpu)
    assert sum(share or 0.0 for share in shares.values()) == pytest.approx(100.0)
    assert shares["app"] == 4.0
    assert shares["other"] == 5.0


def test_a_row_counts_the_requests_that_were_answered() -> None:
    row = summarise(
        replace(OUTCOME, served=990),
        kind="model",
        policy="base",
        load=1.0,
        offered=1_000,
        latency_at="arrival to transmit",
        client_ns=0,
    )
    assert (row.requests, row.packets, row.queue, row.verdict) == (990, 2_000, None, "ok")
    assert (row.irqs_no_work, row.squeezes, row.left) == (40, 3, 7)
    assert row.cpu_busy_pct == 15.0
    assert row.rate("irqs") == pytest.approx(500 / 0.001)
    assert row.packets_per_poll == 4.0
    assert row.cpu_thread_pct == 7.0


def test_saturated_where_two_percent_are_not_answered() -> None:
    assert verdict(OUTCOME, 1_000) == "ok"
    assert verdict(replace(OUTCOME, served=981), 1_000) == "ok"
    assert verdict(replace(OUTCOME, served=979), 1_000) == "saturated"


def test_a_handful_on_its_way_at_the_end_says_nothing() -> None:
    few = replace(OUTCOME, requests=20, served=11)
    assert verdict(few, 20) == "ok"
    assert verdict(replace(few, served=10), 20) == "saturated"
    assert verdict(replace(few, requests=3, served=0), 3) == "saturated"


def test_saturated_where_the_backlog_grows() -> None:
    # One request a us, each answered after 4 us: 4 wait on average, and 15 at the end.
    waiting = Histogram.of(np.full(985, 4_000, np.int64))
    assert verdict(replace(OUTCOME, served=985, latency=waiting), 1_000) == "saturated"
    # As many at the end where as many wait all the time: a long way, no growing backlog.
    waiting = Histogram.of(np.full(985, 15_000, np.int64))
    assert verdict(replace(OUTCOME, served=985, latency=waiting), 1_000) == "ok"
    # Dropped requests are not waiting, but they are not answered either.
    dropped = replace(OUTCOME, served=970, requests=970, dropped=30)
    assert verdict(dropped, 1_000) == "saturated"
