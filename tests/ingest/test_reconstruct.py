"""The packets of a device: kinds, flows, which response answers which request, and its time."""

from __future__ import annotations

import numpy as np
import pytest

from replay.errors import TraceError
from replay.ingest.reconstruct import Reconstruction, choose_device, reconstruct
from replay.ingest.reconstruct_points import Point
from replay.trace.schema import FLOWS, PACKETS, PacketKind
from tests.ingest.scenes import (
    CLI,
    NAPI_TID,
    SPINNER,
    SRV,
    WORKER,
    P,
    back,
    events_of,
    gro,
    irq,
    poll,
    receive,
    send,
    softirq,
    switch,
    wait,
)

REQUEST, ACK, TX = PacketKind.REQUEST, PacketKind.ACK, PacketKind.TX


def rebuilt(*points: P, device: int = SRV) -> Reconstruction:
    events = events_of(*points)
    by_gro = events.by_gro(device)
    made = reconstruct(events.columns, events.packets, device, events.napis, by_gro=by_gro)
    table = made.packets.table()
    table.validate(full=True)
    made.flows.validate(full=True)
    assert table.schema == PACKETS
    assert made.flows.schema == FLOWS
    return made


def column(made: Reconstruction, name: str, kind: PacketKind | None = None) -> list[int | None]:
    values = made.packets.table()[name].to_pylist()
    kinds = made.packets.table()["kind"].to_pylist()
    return [v for v, k in zip(values, kinds, strict=True) if kind is None or k == kind]


def served(made: Reconstruction) -> list[tuple[int | None, int | None]]:
    """Of each response, which request it answers (numbered among requests) and in what time."""
    kinds = made.packets.table()["kind"].to_pylist()
    number = {
        row: place for place, row in enumerate(r for r, k in enumerate(kinds) if k == REQUEST)
    }
    return [
        (None if r is None else number[r], t)
        for r, t in zip(column(made, "reply_to", TX), column(made, "arrival_ns", TX), strict=True)
    ]


ACKED = [gro(1, 0), poll(2, 1)]  # a pure ACK, by which headers' length is known


def test_packets_are_told_apart_by_their_length() -> None:
    made = rebuilt(gro(10, 0), gro(20, 9), gro(30, 1_000), poll(40, 3), send(50, 55), send(60, 0))
    assert column(made, "kind") == [ACK, REQUEST, REQUEST, TX, TX]
    assert column(made, "payload") == [0, 9, 1_000, 55, 0]
    assert column(made, "length") == [66, 75, 1_066, 121, 66]
    assert (made.requests, made.acks, made.sent) == (2, 1, 2)
    assert made.flows["protocol"].to_pylist() == [6]


@pytest.mark.parametrize(
    ("ack", "asked", "payload"),
    [(54, 60, 6), (60, 70, 16)],  # no time stamps; the same in a frame padded to 60 bytes
)
def test_headers_without_time_stamps_are_understood(ack: int, asked: int, payload: int) -> None:
    points = [gro(10, ack - 66), gro(20, asked - 66), poll(30, 2)]
    made = rebuilt(*points)
    assert column(made, "kind") == [ACK, REQUEST]
    assert column(made, "payload") == [0, payload]


def test_ipv6_headers_are_longer() -> None:
    made = rebuilt(gro(10, 20, protocol=0x86DD), gro(20, 29, protocol=0x86DD), poll(30, 2))
    assert column(made, "kind") == [ACK, REQUEST]
    assert column(made, "payload") == [0, 9]
    assert made.flows["version"].to_pylist() == [6]


def test_packets_that_are_all_short_are_requests() -> None:
    made = rebuilt(gro(10, 0), gro(20, 0), poll(30, 2), send(40, 0))
    assert column(made, "kind") == [REQUEST, REQUEST, TX]
    assert column(made, "payload") == [None] * 3
    assert made.flows["protocol"].to_pylist() == [0]


def test_flows_are_the_hashes_that_packets_carry() -> None:
    made = rebuilt(gro(10, 9, 7), gro(20, 9, None), gro(30, 9, 5), gro(40, 9, 7), poll(50, 4))
    assert column(made, "flow") == [1, None, 0, 1]
    assert made.flows["rss_hash"].to_pylist() == [5, 7]
    assert made.flows["packets"].to_pylist() == [1, 2]
    assert made.flows["bytes"].to_pylist() == [75, 150]
    assert made.flows["first_ns"].to_pylist()[0] <= made.flows["last_ns"].to_pylist()[0]
    assert made.flows["source"].to_pylist() == [bytes(16)] * 2
    unhashed = rebuilt(receive(10), poll(20, 1))
    assert column(unhashed, "flow") == [None]
    assert unhashed.flows.num_rows == 0


def test_services_lie_between_the_boundaries_that_the_thread_shows() -> None:
    made = rebuilt(
        *ACKED,
        gro(10, flow=1),
        gro(12, flow=2),
        poll(15, 2),
        switch(20, NAPI_TID, WORKER),
        back(100, 2),
        send(130),
        send(150),
        wait(157),
    )
    assert served(made) == [(0, 130), (1, 150)]
    # From the return; the rest of the batch belongs to the last.
    assert column(made, "service_ns", REQUEST) == [30, 20 + 7]
    assert column(made, "tid", REQUEST) == [WORKER, WORKER]
    assert (made.served, made.workers, made.cpu) == (2, [WORKER], 1)


def test_a_services_time_is_the_threads_own() -> None:
    made = rebuilt(
        *ACKED,
        gro(10),
        poll(15, 1),
        switch(20, NAPI_TID, WORKER),
        back(100, 1),
        softirq(110, Point.SOFTIRQ_ENTRY, WORKER),
        irq(115, Point.IRQ_ENTRY, WORKER),
        irq(118, Point.IRQ_EXIT, WORKER),
        softirq(130, Point.SOFTIRQ_EXIT, WORKER),
        irq(140, Point.IRQ_ENTRY, WORKER),
        irq(147, Point.IRQ_EXIT, WORKER),
        switch(160, WORKER, SPINNER),
        switch(190, SPINNER, WORKER),
        send(200),
        wait(204),
    )
    # 100 to 204, but for 20 in softirq, 7 in an interrupt, and 30 without the CPU.
    assert column(made, "service_ns", REQUEST) == [104 - 20 - 7 - 30]


def test_one_response_to_several_requests_shares_its_time() -> None:
    made = rebuilt(
        *ACKED,
        gro(10, 9, 1),
        gro(11, 9, 2),
        gro(12, 9, 1),
        poll(15, 3),
        back(100, 2),
        send(140, 110),
        send(150, 55),
        wait(150),
    )
    # epoll returned two connections; the first was answered in one packet.
    assert served(made) == [(0, 140), (1, 150)]
    assert column(made, "service_ns", REQUEST) == [20, 10, 20]


def test_packets_of_several_messages_count_as_such() -> None:
    usual = [
        one
        for number in range(40)
        for one in (
            gro(1_000 * number + 10, 9, 1),
            poll(1_000 * number + 20, 1),
            back(1_000 * number + 100, 1),
            send(1_000 * number + 110, 55),
            wait(1_000 * number + 120),
        )
    ]
    made = rebuilt(
        *ACKED,
        *usual,
        gro(50_000, 18, 1),  # two requests in one packet, answered one by one
        gro(50_001, 9, 2),
        poll(50_010, 2),
        back(50_100, 2),
        send(50_130, 55),
        send(50_140, 55),
        send(50_150, 55),
        wait(50_150),
        gro(60_000, 9, 1),  # two on one connection, answered together
        gro(60_001, 9, 1),
        gro(60_002, 9, 2),
        poll(60_010, 3),
        back(60_100, 2),
        send(60_130, 110),
        send(60_140, 55),
        wait(60_140),
    )
    assert served(made)[40:] == [
        (40, 50_130),
        (40, 50_140),
        (41, 50_150),
        (42, 60_130),
        (44, 60_140),
    ]
    assert column(made, "service_ns", REQUEST)[40:] == [40, 10, 15, 15, 10]


def test_a_response_may_count_for_more_than_was_asked() -> None:
    usual = [
        one
        for number in range(20)
        for one in (
            gro(1_000 * number + 10),
            poll(1_000 * number + 20, 1),
            back(1_000 * number + 100, 1),
            send(1_000 * number + 110, 55),
            wait(1_000 * number + 120),
        )
    ]
    made = rebuilt(
        *ACKED,
        *usual,
        gro(30_000),
        poll(30_010, 1),
        back(30_100, 1),
        send(30_130, 165),
        wait(30_136),
    )
    assert served(made)[-1] == (20, 30_130)
    assert column(made, "service_ns", REQUEST)[-1] == 36


def test_a_response_in_several_packets_belongs_to_one_request() -> None:
    made = rebuilt(
        *ACKED, gro(10), poll(15, 1), back(100, 1), send(120, 1_400), send(130, 300), wait(135)
    )
    assert served(made) == [(0, 120), (0, 130)]
    assert column(made, "service_ns", REQUEST) == [35]


def test_what_comes_while_the_thread_works_is_served_in_its_turn() -> None:
    made = rebuilt(
        *ACKED,
        gro(10, 9, 1),
        poll(15, 1),
        back(100, 1),
        gro(105, 9, 2),  # another connection: the next batch
        gro(106, 9, 1),  # the same connection, before it is read: this batch
        poll(110, 2),
        send(130, 55),
        send(140, 55),
        wait(150),
        back(160, 1),
        send(170, 55),
        wait(180),
    )
    assert served(made) == [(0, 130), (2, 140), (1, 170)]


def test_repeated_segments_do_not_shift_the_order() -> None:
    made = rebuilt(
        *ACKED,
        gro(10, 9, 1),
        poll(15, 1),
        back(100, 1),
        send(120),
        wait(130),
        gro(135, 9, 1),  # repeated: nothing is ready
        poll(140, 1),
        gro(145, 9, 2),
        poll(150, 1),
        back(160, 1),
        send(170),
        wait(180),
        gro(190, 9, 3),
        poll(195, 1),
        back(200, 1),
        send(210),
        wait(220),
    )
    assert served(made) == [(0, 120), (2, 170), (3, 210)]
    assert column(made, "service_ns", REQUEST)[1] is None


def test_a_limited_return_leaves_the_others_for_the_next() -> None:
    made = rebuilt(
        *ACKED,
        gro(10, 9, 1),
        gro(11, 9, 2),
        gro(12, 9, 3),
        poll(15, 3),
        wait(20, limit=2),
        back(100, 2),
        send(110),
        send(120),
        wait(125, limit=2),
        back(130, 1),
        send(140),
        wait(145, limit=2),
    )
    assert served(made) == [(0, 110), (1, 120), (2, 140)]


def test_a_batch_without_responses_serves_nobody() -> None:
    made = rebuilt(
        *ACKED,
        gro(10),
        poll(15, 1),
        back(100, 1),
        wait(110),
        back(120, 0),
        back(125, 1),
        send(130, 55),
        wait(140),
    )
    assert served(made) == [(0, 130)]
    assert column(made, "service_ns", REQUEST) == [15]


def test_responses_outside_a_batch_answer_nothing_known() -> None:
    made = rebuilt(*ACKED, gro(10), poll(15, 1), send(20, 55), wait(30), send(40, 55, SPINNER))
    assert served(made) == [(None, 20), (None, 40)]
    assert column(made, "tid", TX) == [WORKER, SPINNER]


def test_without_flows_requests_are_served_in_the_order_of_delivery() -> None:
    made = rebuilt(
        receive(10),
        receive(11),
        poll(15, 2),
        back(100, 1),
        send(120),
        send(130),
        wait(140),
        receive(150),
        receive(151),
        poll(155, 2),
        back(160, 1),
        send(170),
        wait(175),
        receive(180),
        poll(185, 1),
        back(190, 1),
        send(195),
        wait(199),
        receive(200),
        poll(205, 1),
        back(210, 1),
        send(215),
        wait(219),
    )
    # Of the second batch one request stays unanswered; it is not carried on.
    assert served(made) == [(0, 120), (1, 130), (2, 170), (4, 195), (5, 215)]


def test_think_times_and_acks_follow_the_connections_last_response() -> None:
    made = rebuilt(
        *ACKED,
        gro(10, 9, 1),
        poll(15, 1),
        back(100, 1),
        send(120),
        wait(130),
        gro(200, 0, 1),
        poll(205, 1),
        gro(300, 9, 1),
        poll(305, 1),
        gro(310, 9, 2),
        poll(315, 1),
    )
    arrival = column(made, "arrival_ns", REQUEST)
    assert arrival[1] is not None
    assert column(made, "think_ns", REQUEST) == [None, arrival[1] - 120, None]
    rows = made.packets.table().to_pylist()
    first_request = next(row for row, packet in enumerate(rows) if packet["kind"] == REQUEST)
    assert column(made, "reply_to", ACK) == [None, first_request]
    assert column(made, "flow", TX) == [0]


def test_two_workers_take_turns() -> None:
    made = rebuilt(
        *ACKED,
        gro(10, 9, 1),
        gro(11, 9, 2),
        poll(15, 2),
        back(100, 1, 61, cpu=2),
        back(101, 1, 62, cpu=3),
        send(120, tid=62, cpu=3),
        send(121, tid=61, cpu=2),
        wait(130, 61, cpu=2),
        wait(131, 62, cpu=3),
    )
    assert column(made, "tid", REQUEST) == [61, 62]
    assert column(made, "service_ns", REQUEST) == [30, 30]
    assert made.workers == [61, 62]


def test_the_busiest_polled_device_is_chosen() -> None:
    names = ["srv", "cli"]
    seen = events_of(receive(1, device=CLI), receive(2, device=CLI), receive(3), poll(4, 1)).survey
    assert choose_device(seen, names, None) == (SRV, ["cli"])
    assert choose_device(seen, names, "cli") == (CLI, ["srv"])
    unpolled = events_of(receive(1, device=CLI), receive(2, device=CLI), receive(3)).survey
    assert choose_device(unpolled, names, None) == (CLI, ["srv"])
    assert choose_device(events_of(poll(1, 0)).survey, names, None) == (None, [])
    with pytest.raises(TraceError, match="received: none"):
        choose_device(events_of(poll(1, 0)).survey, names, "srv")


def test_packets_are_sorted_by_arrival() -> None:
    rng = np.random.default_rng(3)
    points: list[P] = []
    for time in np.sort(rng.integers(0, 100_000, 200)).tolist():
        points.append(gro(time, int(rng.integers(0, 2)) * 9, int(rng.integers(0, 5))))
        if rng.random() < 0.5:
            points.append(poll(time, 1))
        if rng.random() < 0.3:
            points.append(send(time))
    made = rebuilt(*points)
    arrival = made.packets.table()["arrival_ns"].to_numpy()
    assert (np.diff(arrival) >= 0).all()
    assert len(made.packets.table()) == made.requests + made.acks + made.sent
