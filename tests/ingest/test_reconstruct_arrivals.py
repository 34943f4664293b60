"""Arrivals between their bounds: interrupts mark the first packet, the rest is spread."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest.reconstruct_arrivals import Arrivals, find_arrivals
from replay.ingest.reconstruct_points import NULL, Point
from tests.ingest.scenes import (
    CLI,
    CLIENT,
    NAPI,
    NAPI_TID,
    SPINNER,
    SRV,
    WORKER,
    P,
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

Row = tuple[int | None, int, int]


def arrivals(*points: P, lag: int = 0, device: int = SRV) -> Arrivals:
    events = events_of(*points)
    return find_arrivals(
        events.columns, device, events.napis, lag=lag, by_gro=events.by_gro(device)
    )


def rows(found: Arrivals) -> list[Row]:
    """(earliest, arrival, latest) of each packet."""
    return [
        (None if earliest == NULL else int(earliest), int(arrival), int(latest))
        for earliest, arrival, latest in zip(
            found.earliest, found.arrival, found.latest, strict=True
        )
    ]


THREAD = [switch(5, SPINNER, NAPI_TID), poll(10, 0)]  # looks at the ring at 5 the earliest


def test_an_interrupt_comes_with_the_first_packet() -> None:
    points = [
        *THREAD,
        wake(100, NAPI_TID, CLIENT, cpu=0),
        gro(140),
        gro(150),
        gro(160),
        poll(170, 3),
    ]
    # The others lie between the first and the end: in thirds of it.
    assert rows(arrivals(*points)) == [(5, 100, 100), (5, 120, 150), (5, 140, 160)]
    assert rows(arrivals(*points, lag=40)) == [(5, 60, 100), (5, 93, 150), (5, 126, 160)]
    # No lag reaches to before the ring was seen empty.
    assert rows(arrivals(*points, lag=99))[0] == (5, 5, 100)


def test_between_timer_polls_packets_are_spread() -> None:
    points = [*THREAD, fire(90), wake(100, NAPI_TID, SPINNER), gro(125), gro(130), poll(140, 2)]
    assert rows(arrivals(*points)) == [(5, 46, 125), (5, 88, 130)]
    # The next poll: nothing can be older than the last packet of this one.
    points += [wait(150), poll(160, 0, WORKER), gro(170, tid=WORKER), poll(175, 1, WORKER)]
    assert rows(arrivals(*points))[2] == (150, 160, 170)


def test_no_estimate_is_later_than_the_packet_itself() -> None:
    points = [
        *THREAD,
        fire(90),
        wake(100, NAPI_TID, SPINNER),
        gro(101),
        gro(102),
        gro(1_000),
        poll(1_010, 3),
    ]
    assert rows(arrivals(*points)) == [(5, 101, 101), (5, 102, 102), (5, 751, 1_000)]


def test_before_the_first_poll_the_recordings_start_bounds_an_arrival() -> None:
    assert rows(arrivals(gro(50), poll(60, 1))) == [(0, 50, 50)]
    known = arrivals(wake(20, NAPI_TID, CLIENT, cpu=0), gro(50), gro(60), poll(70, 2))
    assert rows(known) == [(0, 20, 20), (0, 40, 60)]


def test_packets_after_the_last_poll_keep_their_own_time() -> None:
    found = arrivals(*THREAD, gro(50))
    assert rows(found) == [(None, 50, 50)]
    assert found.poll.tolist() == [-1]


def test_polls_that_leave_packets_behind_are_taken_together() -> None:
    points = [
        *THREAD,
        fire(15),
        wake(16, NAPI_TID, SPINNER),
        gro(101),
        gro(102),
        poll(110, 2, budget=2),
        gro(121),
        gro(122),
        poll(130, 2, budget=2),
        gro(141),
        poll(150, 1, budget=2),
    ]
    # All five arrived after 5; as they were in the ring together, they are spread together.
    assert rows(arrivals(*points)) == [
        (5, 27, 101),
        (5, 50, 102),
        (5, 73, 121),
        (5, 95, 122),
        (5, 118, 141),
    ]
    found = arrivals(*points)
    assert len(set(found.poll.tolist())) == 3


def test_an_interrupt_before_full_polls_keeps_its_place() -> None:
    points = [
        *THREAD,
        wake(61, NAPI_TID, CLIENT, cpu=0),
        gro(101),
        poll(110, 1, budget=1),
        gro(121),
        poll(130, 1, budget=1),
        poll(135, 0, budget=1),
    ]
    assert rows(arrivals(*points)) == [(5, 61, 61), (5, 91, 121)]


def test_a_ring_is_never_taken_for_endless() -> None:
    points = [*THREAD, fire(15), wake(16, NAPI_TID, SPINNER)]
    for number in range(66):
        time = 1_000 * (number + 1)
        points += [*(gro(time + place) for place in range(64)), poll(time + 100, 64)]
    found = arrivals(*points)
    # A ring of 4096 packets ends where the 64th poll does: the rest came after.
    assert (found.arrival[:4_096] <= 64_063).all()
    assert found.arrival[4_096] > found.arrival[4_095]
    assert np.all(np.diff(found.arrival) >= 0)


def test_a_device_interrupt_is_the_handlers_entry() -> None:
    points = [
        softirq(5, Point.SOFTIRQ_ENTRY),
        poll(10, 0, SPINNER),
        softirq(12, Point.SOFTIRQ_EXIT),
    ]
    handler = [irq(100, Point.IRQ_ENTRY), irq(108, Point.IRQ_EXIT)]
    end = [softirq(110, Point.SOFTIRQ_ENTRY), gro(120, tid=SPINNER), poll(130, 1, SPINNER)]
    assert rows(arrivals(*points, *handler, *end)) == [(5, 100, 100)]
    raised = [
        irq(100, Point.IRQ_ENTRY),
        softirq(105, Point.SOFTIRQ_RAISE),
        irq(108, Point.IRQ_EXIT),
    ]
    assert rows(arrivals(*points, *raised, *end)) == [(5, 100, 100)]
    # Raised where a peer transmits, without a handler.
    assert rows(arrivals(*points, softirq(103, Point.SOFTIRQ_RAISE), *end)) == [(5, 103, 103)]
    # Without the raise, its pass begins right after.
    assert rows(arrivals(*points, send(103, tid=SPINNER), *end)) == [(5, 110, 110)]


def test_an_interrupt_from_before_the_last_look_marks_nothing() -> None:
    points = [
        wake(20, NAPI_TID, CLIENT, cpu=0),
        gro(50),
        poll(60, 1),
        # a wake-up that was not seen, and the softirq polls in another place
        softirq(70, Point.SOFTIRQ_RAISE),
        softirq(80, Point.SOFTIRQ_ENTRY),
        poll(90, 0, SPINNER),
        gro(100, tid=SPINNER),
        poll(110, 1, SPINNER),
    ]
    assert rows(arrivals(*points))[1] == (80, 90, 100)


def test_without_gro_the_first_packet_of_a_poll_is_the_safe_bound() -> None:
    points = [*THREAD, receive(100), receive(110), poll(120, 2), receive(200), poll(210, 1)]
    assert rows(arrivals(*points)) == [(5, 40, 100), (5, 75, 110), (100, 150, 200)]


def test_other_devices_and_napis_are_left_alone() -> None:
    other = {"napi": NAPI + 4096, "device": CLI, "cpu": 0}
    points = [
        *THREAD,
        poll(20, 0, 9, **other),
        gro(30),
        receive(35, device=CLI, cpu=0),
        poll(40, 1, 9, **other),
        poll(45, 1),
    ]
    assert [row[0] for row in rows(arrivals(*points))] == [5]
    assert len(rows(arrivals(*points, device=CLI))) == 1


@settings(deadline=None)
@given(st.data())
def test_bounds_order_and_estimates_hold_for_any_recording(data: st.DataObject) -> None:
    points: list[P] = []
    time = 0
    for _ in range(data.draw(st.integers(1, 12))):
        time += data.draw(st.integers(0, 500))
        if data.draw(st.booleans()):
            points.append(wake(time, NAPI_TID, CLIENT, cpu=0))
        elif data.draw(st.booleans()):
            points += [fire(time), wake(time, NAPI_TID, SPINNER)]
        time += data.draw(st.integers(0, 50))
        if data.draw(st.booleans()):
            points.append(switch(time, SPINNER, NAPI_TID))
        budget = data.draw(st.sampled_from([4, 64]))
        packets = data.draw(st.integers(0, 4))
        for _ in range(packets):
            time += data.draw(st.integers(0, 20))
            points.append(gro(time))
        time += data.draw(st.integers(0, 20))
        points.append(poll(time, packets, budget=budget))
        if data.draw(st.booleans()):
            points.append(switch(time, NAPI_TID, SPINNER))
    lag = data.draw(st.sampled_from([0, 7, 10_000]))
    found = rows(arrivals(*points, lag=lag))
    for earliest, arrival, latest in found:
        assert earliest is not None  # each was taken by a poll
        assert 0 <= earliest <= arrival <= latest
    estimates = [arrival for _, arrival, _ in found]
    assert estimates == sorted(estimates)


@pytest.mark.parametrize("by_gro", [True, False])
def test_nothing_received_is_nothing_found(by_gro: bool) -> None:
    events = events_of(poll(5, 0))
    found = find_arrivals(events.columns, SRV, events.napis, by_gro=by_gro)
    assert len(found.row) == 0
