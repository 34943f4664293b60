"""The error of rebuilt arrivals against the true ones, which the sending end of a pair shows."""

from __future__ import annotations

import math

import pytest

from replay.errors import TraceError
from replay.ingest.reconstruct_arrivals import find_arrivals
from replay.ingest.reconstruct_error import (
    arrival_errors,
    interrupt_lag,
    table_errors,
    true_arrivals,
)
from replay.ingest.reconstruct_events import Events, event_batches
from tests.ingest.scenes import (
    CLI,
    CLIENT,
    NAPI_TID,
    SPINNER,
    SRV,
    P,
    events_of,
    fire,
    gro,
    poll,
    send,
    switch,
    wake,
)


def sent(time: int) -> P:
    return send(time, 9, CLIENT, device=CLI, cpu=0)


def idle(time: int) -> list[P]:
    """A timer's poll that finds nothing: the ring is certainly empty."""
    return [
        fire(time),
        wake(time + 1, NAPI_TID, SPINNER),
        switch(time + 2, SPINNER, NAPI_TID),
        poll(time + 10, 0),
        switch(time + 11, NAPI_TID, SPINNER),
    ]


def taken(time: int, packets: int) -> list[P]:
    return [
        switch(time, SPINNER, NAPI_TID),
        *(gro(time + 1 + n) for n in range(packets)),
        poll(time + 20, packets),
        switch(time + 21, NAPI_TID, SPINNER),
    ]


POINTS = [
    *idle(1_000),
    sent(10_000),
    wake(10_500, NAPI_TID, CLIENT, cpu=0),
    sent(12_000),
    *taken(16_000, 2),
    *idle(30_000),
    sent(40_000),
    fire(45_000),
    wake(45_100, NAPI_TID, SPINNER),
    *taken(46_000, 1),
    *idle(60_000),
]


def truth(events: Events) -> list[int]:
    found = find_arrivals(events.columns, SRV, events.napis)
    return [int(time) for time in true_arrivals(events.columns, found, SRV, CLI)]


def test_the_ring_is_first_in_first_out() -> None:
    assert truth(events_of(*POINTS)) == [10_000, 12_000, 40_000]


def test_where_an_event_is_missing_the_truth_is_unknown() -> None:
    assert truth(events_of(*(p for p in POINTS if p.time != 12_000))) == [-1, -1, 40_000]
    assert truth(events_of(*(p for p in POINTS if p.time != 46_001))) == [10_000, 12_000]
    late = [p._replace(time=16_050) if p.time == 10_000 else p for p in POINTS]
    assert truth(events_of(*late)) == [-1, -1, 40_000]


def test_errors_are_given_by_the_cause_of_the_poll() -> None:
    events = events_of(*POINTS)
    found = find_arrivals(events.columns, SRV, events.napis)
    errors = {e.group: e for e in arrival_errors(events.columns, found, SRV, CLI)}
    assert set(errors) == {"all", "irq", "timer"}
    assert [errors[name].packets for name in ("all", "irq", "timer")] == [3, 2, 1]
    # 10,500 for 10,000; the second half way from there to 16,002, for 12,000.
    assert errors["irq"].bias == (500 + 13_251 - 12_000) / 2
    assert errors["irq"].waited == (6_001 + 4_002) / 2
    # Half way from the idle poll to the packet's own event.
    assert errors["timer"].bias == (30_002 + 46_001) // 2 - 40_000
    assert errors["timer"].median == abs(errors["timer"].bias)
    assert (errors["all"].before_earliest, errors["all"].after_latest) == (0, 0)


def test_without_known_arrivals_there_is_no_error() -> None:
    events = events_of(*idle(0), gro(50), poll(60, 1))
    found = find_arrivals(events.columns, SRV, events.napis)
    (error,) = arrival_errors(events.columns, found, SRV, CLI)
    assert (error.group, error.packets) == ("all", 0)
    assert math.isnan(error.median)


def test_the_lag_is_that_of_interrupts() -> None:
    events = events_of(*POINTS)
    assert interrupt_lag(events.columns, SRV, events.napis, CLI, by_gro=True) == 500
    calm = events_of(*POINTS[-12:])
    assert interrupt_lag(calm.columns, SRV, calm.napis, CLI, by_gro=True) is None


def test_a_bundles_events_and_manifest_are_enough() -> None:
    events = events_of(*POINTS)
    manifest = {"devices": ["srv", "cli"], "device": "srv", "received_by": "napi_gro_receive"}
    errors = table_errors(event_batches(events).table(), manifest, "cli")
    assert [error.group for error in errors] == ["all", "irq", "timer"]
    assert errors[1].bias == 875.5
    lagged = table_errors(event_batches(events).table(), manifest | {"irq_lag_ns": 500}, "cli")
    assert lagged[1].bias == (0 + (10_000 + (16_002 - 10_000) // 2) - 12_000) / 2
    with pytest.raises(TraceError, match=r"'eth0' is not in this recording \(srv, cli\)"):
        table_errors(event_batches(events).table(), manifest, "eth0")
