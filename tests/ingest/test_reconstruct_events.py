"""Causes of polls and wake-ups, durations, and the NAPIs and timers that points belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from replay.ingest.reconstruct_events import event_batches, table_events
from replay.ingest.reconstruct_points import NO_DEVICE, NULL, Point
from replay.trace.schema import EVENTS, Cause, EventKind
from tests.ingest.scenes import (
    CLI,
    CLIENT,
    NAPI,
    NAPI_TID,
    SPINNER,
    SRV,
    TIMER,
    WATCHDOG,
    WORKER,
    P,
    arm,
    back,
    causes,
    column,
    durations,
    events_of,
    fire,
    gro,
    irq,
    poll,
    receive,
    send,
    softirq,
    switch,
    wait,
    wake,
)

ENTRY, EXIT, RAISE = Point.SOFTIRQ_ENTRY, Point.SOFTIRQ_EXIT, Point.SOFTIRQ_RAISE


def test_a_napi_thread_polls_for_what_woke_it() -> None:
    events = events_of(
        send(0, 9, CLIENT, device=CLI, cpu=0),
        wake(10, NAPI_TID, CLIENT, cpu=0),  # from the peer's transmit: interrupt
        switch(20, SPINNER, NAPI_TID),
        poll(30, 64),
        poll(40, 2),  # the poll before used its whole budget
        poll(50, 1),  # scheduled again while it ran: nobody was seen to wake it
        switch(60, NAPI_TID, SPINNER),
        fire(100),
        wake(110, NAPI_TID, SPINNER),
        switch(120, SPINNER, NAPI_TID),
        poll(130, 0),
        switch(140, NAPI_TID, WORKER),
        wait(200),
        wake(210, NAPI_TID, WORKER),  # a failed busy poll ends a suspension
        switch(220, WORKER, NAPI_TID),
        poll(230, 0),
    )
    assert causes(events, EventKind.WAKE) == [Cause.IRQ, Cause.TIMER, Cause.RESUME]
    assert causes(events) == [
        Cause.IRQ,
        Cause.REPOLL,
        Cause.THREAD,
        Cause.TIMER,
        Cause.RESUME,
    ]
    # From when the thread got the CPU, or from its poll before.
    assert durations(events, EventKind.POLL) == [10, 10, 10, 10, 10]
    assert durations(events, EventKind.RUN) == [40, 60, 20, 80, -1]


def test_wake_ups_of_other_threads_have_no_cause() -> None:
    events = events_of(wake(5, WORKER, NAPI_TID))
    assert column(events, EventKind.WAKE, "cause") == [255]
    assert column(events, EventKind.WAKE, "tid") == [WORKER]


def test_busy_polls_end_with_a_stop_poll() -> None:
    events = events_of(
        wait(0),
        poll(10, 0, WORKER, budget=8),
        poll(20, 0, WORKER, budget=8),
        poll(30, 1, WORKER, budget=8),
        back(40, 1),
        wait(50),
        poll(60, 0, WORKER, budget=8),
        poll(70, 0, WORKER, budget=8),
        wake(80, NAPI_TID, WORKER),
        switch(90, WORKER, NAPI_TID),
        poll(100, 0),
        switch(110, NAPI_TID, WORKER),
        poll(120, 0, WORKER, budget=8),
        switch(130, WORKER, SPINNER),
        back(140, 1),
        wait(150),
        poll(160, 0, WORKER, budget=8),  # the recording ends in the middle
    )
    busy, stop = Cause.BUSY, Cause.STOP
    assert causes(events) == [busy, busy, stop, busy, stop, Cause.RESUME, stop, stop]
    assert durations(events, EventKind.POLL)[:5] == [10, 10, 10, 10, 10]


RAISED: list[tuple[list[P], Cause]] = [
    ([irq(0, Point.IRQ_ENTRY), softirq(1, RAISE), irq(2, Point.IRQ_EXIT)], Cause.IRQ),
    ([fire(0), softirq(1, RAISE)], Cause.TIMER),
    ([wait(0), softirq(1, RAISE, WORKER)], Cause.RESUME),
    ([softirq(1, RAISE, CLIENT)], Cause.IRQ),
]


@pytest.mark.parametrize(("before", "cause"), RAISED)
def test_a_softirq_polls_for_what_raised_it(before: list[P], cause: Cause) -> None:
    events = events_of(
        *before,
        softirq(10, ENTRY),
        poll(20, 64, SPINNER),
        softirq(25, RAISE),
        softirq(30, EXIT),
        softirq(31, ENTRY),
        poll(35, 1, SPINNER),
        softirq(40, EXIT),
        watchdog=WATCHDOG,
    )
    assert causes(events) == [cause, Cause.REPOLL]
    assert causes(events, EventKind.RAISE) == [cause, Cause.REPOLL]
    assert durations(events, EventKind.SOFTIRQ) == [20, 9]
    assert durations(events, EventKind.POLL) == [10, 4]


UNRAISED: list[tuple[list[P], Cause]] = [
    ([irq(0, Point.IRQ_ENTRY), irq(2, Point.IRQ_EXIT)], Cause.IRQ),
    ([fire(0)], Cause.TIMER),
    ([wait(0), poll(5, 0, WORKER, budget=8)], Cause.RESUME),
    ([send(0, 9, WORKER)], Cause.IRQ),
    ([send(0, 9, CLIENT)], Cause.UNKNOWN),
    ([], Cause.UNKNOWN),
]


@pytest.mark.parametrize(("before", "cause"), UNRAISED)
def test_without_raises_the_events_before_a_softirq_tell(before: list[P], cause: Cause) -> None:
    events = events_of(
        *before,
        softirq(10, ENTRY, WORKER),
        poll(20, 1, WORKER),
        softirq(30, EXIT, WORKER),
        watchdog=WATCHDOG,
    )
    assert causes(events)[-1] == cause


def test_a_softirq_poll_after_a_timer_that_was_not_seen() -> None:
    events = events_of(
        softirq(0, ENTRY),
        arm(5, 1_000, SPINNER),
        poll(10, 1, SPINNER),
        softirq(20, EXIT),
        softirq(1_100, ENTRY),
        poll(1_200, 0, SPINNER),
        softirq(1_300, EXIT),
    )
    assert causes(events) == [Cause.UNKNOWN, Cause.TIMER]


def test_a_thread_poll_after_a_timer_that_was_not_seen() -> None:
    begin = [switch(0, SPINNER, NAPI_TID), arm(10, 500), poll(20, 1)]
    unseen = events_of(*begin, switch(30, NAPI_TID, 5), switch(600, 5, NAPI_TID), poll(610, 0))
    assert causes(unseen) == [Cause.THREAD, Cause.TIMER]
    # Its own completion arms the timer anew before the poll ends.
    again = events_of(*begin, switch(600, 5, NAPI_TID), arm(605, 900), poll(610, 0))
    assert causes(again) == [Cause.THREAD, Cause.TIMER]
    early = events_of(*begin, switch(30, NAPI_TID, 5), switch(40, 5, NAPI_TID), poll(50, 0))
    assert causes(early) == [Cause.THREAD, Cause.THREAD]
    # Fired while the thread had the CPU: it is not asleep, so nobody wakes it.
    owned = events_of(*begin, fire(30, NAPI_TID), poll(40, 0))
    assert causes(owned) == [Cause.THREAD, Cause.TIMER]


def test_polls_in_an_unknown_context_have_an_unknown_cause() -> None:
    assert causes(events_of(poll(5, 1, SPINNER))) == [Cause.UNKNOWN]
    seen = events_of(softirq(0, ENTRY, cpu=0), poll(5, 1, SPINNER), poll(6, 1, 0))
    assert causes(seen) == [Cause.STOP, Cause.UNKNOWN]


def test_a_wake_up_long_after_a_timer_is_not_its_doing() -> None:
    events = events_of(poll(0, 0), fire(10), wake(2_000_000, NAPI_TID, CLIENT), watchdog=WATCHDOG)
    assert causes(events, EventKind.WAKE) == [Cause.IRQ]


@pytest.mark.parametrize(
    "between",
    [switch(20, SPINNER, 5), send(20, 9, SPINNER), wait(20, SPINNER), poll(20, 0, SPINNER)],
)
def test_what_happens_in_between_forgets_the_timer(between: P) -> None:
    events = events_of(poll(0, 0), fire(10), between, wake(30, NAPI_TID, 9))
    assert causes(events, EventKind.WAKE) == [Cause.IRQ]


def test_of_both_wake_up_points_the_first_is_taken() -> None:
    both = events_of(
        wake(5, NAPI_TID, CLIENT, kind=Point.WAKING), wake(9, NAPI_TID, CLIENT), poll(20, 0)
    )
    assert column(both, EventKind.WAKE, "time") == [5]


def test_the_watchdog_is_the_timer_within_a_napi() -> None:
    points = [
        poll(0, 0),
        poll(1, 0, napi=NAPI + 4096),
        arm(2, 50),
        arm(3, 60, timer=NAPI + 4096 + 288),
        arm(4, 70, timer=NAPI + 9 * 4096 + 288),  # of a NAPI that never polled
        arm(5, 80, timer=5_000, function=5),  # before any NAPI
        arm(6, 80, timer=NAPI + 600, function=6),  # within, but farther: the driver's own
        arm(6, 80, timer=NAPI + 700, function=90),
        arm(7, 80, timer=NAPI + 8, function=8),  # within two NAPIs, at different places
        arm(8, 80, timer=NAPI + 4096 + 16, function=8),
        fire(52),
        fire(53, timer=NAPI + 9 * 4096 + 288),
    ]
    events = events_of(*points)
    assert events.survey.watchdog == WATCHDOG
    assert column(events, EventKind.TIMER_START, "napi") == [0, 1, -1]
    assert column(events, EventKind.TIMER_START, "value") == [48, 57, 66]
    assert column(events, EventKind.TIMER, "napi") == [0, -1]
    assert events_of(arm(0, 9)).survey.watchdog is None
    assert events_of(poll(0, 0)).survey.watchdog is None


@pytest.mark.parametrize(("expires", "clock"), [(50, None), ((1 << 63) - 1, 0), (-5, 0)])
def test_a_timers_length_is_unknown_without_a_common_clock(expires: int, clock: int | None) -> None:
    events = events_of(poll(0, 0), arm(5, expires), clock=clock)
    assert column(events, EventKind.TIMER_START, "value") == [NULL]


def test_napis_are_known_by_the_id_of_their_packets() -> None:
    events = events_of(
        gro(0),
        poll(1, 1),
        poll(2, 0),
        poll(3, 0, napi=NAPI + 4096),
        gro(4, napi_id=0),
        poll(5, 1, napi=NAPI + 4096),
    )
    assert column(events, EventKind.POLL, "napi") == [0, 0, 1, 1]
    assert events.napis.tolist() == [264, 1]


def test_of_packets_seen_twice_one_event_is_made() -> None:
    events = events_of(
        gro(0),
        receive(1),
        receive(2, device=CLI),
        send(10),
        send(15, kind=Point.XMIT_DONE),
        send(16, kind=Point.XMIT_DONE),
        send(20, device=CLI, kind=Point.XMIT_QUEUED),
        send(25, device=CLI, kind=Point.XMIT_DONE),
        send(30, device=NO_DEVICE, kind=Point.XMIT_QUEUED),
    )
    assert column(events, EventKind.RECEIVE, "time") == [0, 2]
    assert column(events, EventKind.XMIT, "time") == [10, 25, 30]
    assert durations(events, EventKind.XMIT) == [5, -1, -1]
    assert events.by_gro(SRV)
    assert not events.by_gro(CLI)


def test_entries_without_exits_have_no_duration() -> None:
    events = events_of(
        irq(0, Point.IRQ_EXIT),
        softirq(1, EXIT),
        irq(2, Point.IRQ_ENTRY),
        irq(3, Point.IRQ_EXIT),
        irq(4, Point.IRQ_ENTRY),
        softirq(5, ENTRY),
        softirq(6, ENTRY, vector=1),
        softirq(7, EXIT, vector=1),
        P(8, Point.SOFTIRQ_RAISE, value=1),
    )
    assert durations(events, EventKind.IRQ) == [1, -1]
    assert durations(events, EventKind.SOFTIRQ) == [-1]
    assert len(events.columns.time) == 3


def test_the_table_has_nulls_where_nothing_is_known() -> None:
    events = events_of(
        gro(0),
        poll(5, 1),
        wait(6),
        back(7, 2),
        arm(8, 30),
        fire(30),
        irq(31, Point.IRQ_ENTRY),
        poll(40, 1 << 40, budget=1 << 40),
    )
    table = event_batches(events).table()
    table.validate(full=True)
    assert table.schema == EVENTS
    rows: list[dict[str, Any]] = table.to_pylist()
    none = dict.fromkeys(("device", "napi", "value", "budget", "cause", "duration_ns"))
    packet = {"time_ns": 0, "cpu": 1, "kind": EventKind.RECEIVE, "tid": NAPI_TID}
    assert rows[0] == none | packet | {"device": SRV, "value": 75}
    called = {"time_ns": 6, "cpu": 1, "kind": EventKind.EPOLL_WAIT, "tid": WORKER}
    assert rows[2] == none | called | {"value": -1, "budget": 64}
    fired = {"time_ns": 30, "cpu": 1, "kind": EventKind.TIMER, "tid": SPINNER, "napi": 264}
    assert rows[5] == none | fired
    assert rows[7]["budget"] == (1 << 31) - 1
    again, ids = table_events(table)
    assert ids.tolist() == [264]
    for name in ("time", "cpu", "kind", "device", "napi", "value", "budget", "cause", "duration"):
        assert np.array_equal(getattr(again, name), getattr(events.columns, name)), name


def test_an_empty_recording_makes_no_events() -> None:
    events = events_of()
    assert event_batches(events).table().num_rows == 0
    assert (TIMER, events.survey.highest_tid) == (TIMER, 0)
