"""The two timelines of "NAPI updates" as charts: interrupts in the application, or polls after it.

Source: "NAPI updates" (J. Kicinski's blog), whose diagrams have one column for 10 us: the packets'
columns, interrupts 50 us after the first packet, requests of 150 us. Where requests come among the
packets is not said: here one before the diagram begins, and two of its packets. A poll takes 5 us
and 3 us a packet, an interrupt 1 us, all else no time.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from replay.engine import Outcome, Workload, replay_island
from replay.host.model import ZERO_COST
from replay.policy import Policy
from replay.report.timeline import Span, timeline, timeline_chart
from replay.units import MICROSECOND, MILLISECOND

ARRIVALS = "p  p   ppp   p   pp  p  p  p  pp   p  ppp  p"
COLUMNS = [column for column, mark in enumerate(ARRIVALS) if mark == "p"]
SECOND_REQUEST, THIRD_REQUEST = 13, 30
SERVICE_US = 150
HOST = replace(
    ZERO_COST,
    irq_ns=MICROSECOND,
    timer_ns=MICROSECOND,
    poll_ns=5 * MICROSECOND,
    packet_ns=3 * MICROSECOND,
    busy_poll_ns=5 * MICROSECOND,
)
USUAL = Policy("usual", rx_usecs=50)
#: The application's promise to poll: a timer of 5 ms watches it.
PROMISE = Policy(
    "promise",
    rx_usecs=50,
    defer_hard_irqs=100,
    gro_flush_timeout_ns=5 * MILLISECOND,
    busy_poll_usecs=64,
    prefer_busy_poll=True,
)


@cache
def outcomes(policy: Policy) -> list[Outcome]:
    """The case after each us, until the third request is served."""
    arrival = [0] + [10_000 * (column + 5) for column in COLUMNS]  # the diagram begins at 50 us
    wakes = [True] + [column in (SECOND_REQUEST, THIRD_REQUEST) for column in COLUMNS]
    service = np.where(wakes, SERVICE_US * MICROSECOND, -1)
    ends = range(MICROSECOND, 600 * MICROSECOND, MICROSECOND)
    found = [replay_island(Workload(np.array(arrival), service, end), policy, HOST) for end in ends]
    served = [outcome.served for outcome in found]
    return found[: served.index(3) + 1]


def spans(policy: Policy, kind: str | None = None) -> list[Span]:
    return [span for span in timeline(outcomes(policy)) if kind in (None, span.kind)]


def kinds(policy: Policy) -> list[str]:
    return [span.kind for span in spans(policy)]


def took_us(policy: Policy, kind: str) -> list[int]:
    return [(end - begin) // MICROSECOND for _, begin, end in spans(policy, kind)]


def test_usually_each_interrupt_polls_and_stops_the_application() -> None:
    """Six of them in the diagram's part that is replayed, 50 us after a first packet at least."""
    assert kinds(USUAL) == ["irq", "softirq poll", "app"] * 6
    begins = [span.begin_ns for span in spans(USUAL, "irq")]
    assert min(np.diff(begins)) >= 50 * MICROSECOND
    assert sum(took_us(USUAL, "app")) == 3 * SERVICE_US
    assert max(took_us(USUAL, "app")) < SERVICE_US


def test_with_the_promise_each_request_is_served_in_one_piece_and_then_the_ring_is_polled() -> None:
    assert kinds(PROMISE) == ["irq", "softirq poll"] + ["app", "busy poll"] * 2 + ["app"]
    assert took_us(PROMISE, "app") == [SERVICE_US] * 3
    usual, promise = (outcomes(policy)[-1].duration_ns for policy in (USUAL, PROMISE))
    assert promise < usual


def test_a_promise_that_is_broken_ends_with_the_timer() -> None:
    """A request that takes longer than gro_flush_timeout is stopped by timer and softirq."""
    broken = replace(PROMISE, name="broken", gro_flush_timeout_ns=100 * MICROSECOND)
    assert kinds(broken)[:6] == ["irq", "softirq poll", "app", "timer", "softirq poll", "app"]
    assert took_us(broken, "app")[0] == 100


def test_the_chart_has_every_span_on_its_line() -> None:
    chart = timeline_chart(outcomes(PROMISE), "promise").to_dict()
    drawn = [
        (bar["kind"], bar["begin"], bar["end"]) for bar in chart["datasets"][chart["data"]["name"]]
    ]
    assert drawn == [(kind, begin / 1000, end / 1000) for kind, begin, end in spans(PROMISE)]
    order = chart["encoding"]["y"]["scale"]["domain"]
    assert order == ["irq", "timer", "softirq poll", "busy poll", "epoll_wait", "app"]
