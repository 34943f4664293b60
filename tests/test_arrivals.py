from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from replay.arrivals import Offered, offered
from replay.errors import TraceError
from replay.trace import schema
from replay.trace.bundle import Trace, write_trace
from replay.trace.schema import PacketKind
from tests.tiny import ANSWER, GAP, HOST, tiny_trace


def packet(kind: PacketKind, at: int, flow: int | None = 0, **more: Any) -> dict[str, Any]:
    return {"arrival_ns": at, "flow": flow, "kind": int(kind), "status": 0, "payload": 1} | more


def bundle(folder: Path, packets: list[dict[str, Any]], **manifest: Any) -> Trace:
    table = pa.Table.from_pylist(packets, schema=schema.PACKETS)
    return write_trace(folder / "some.trace", manifest, {"packets": table})


def offer(trace: Trace, load: float = 1.0, arrivals: str = "auto") -> Offered:
    return offered(trace, HOST, load=load, arrivals=arrivals)


def test_what_the_host_sent_is_not_offered_and_only_requests_are_served(tmp_path: Path) -> None:
    work = offer(tiny_trace(tmp_path)).workload
    assert work.arrival_ns[:4].tolist() == [0, ANSWER + 5_000, GAP, GAP + ANSWER + 5_000]
    assert work.service_ns[:4].tolist() == [HOST.request_ns, -1, 4_000, -1]
    assert not work.closed


def test_load_compresses_time_and_leaves_service_as_it_was(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    once, twice = offer(trace).workload, offer(trace, load=2).workload
    assert np.array_equal(twice.arrival_ns, np.rint(once.arrival_ns / 2))
    assert np.array_equal(twice.service_ns, once.service_ns)
    assert twice.duration_ns == once.duration_ns // 2


def test_arrivals_as_recorded_are_not_copied(tmp_path: Path) -> None:
    packets = [packet(PacketKind.REQUEST, 5), packet(PacketKind.REQUEST, 9)]
    trace = bundle(tmp_path, packets)
    assert offer(trace).workload.duration_ns == 10  # no duration recorded: until the last one
    assert offer(trace).services_seen == 0


def test_closed_packets_follow_the_last_answer_on_their_connection(tmp_path: Path) -> None:
    trace = bundle(
        tmp_path,
        [
            packet(PacketKind.REQUEST, 0, 0),
            packet(PacketKind.REQUEST, 10, 2),
            packet(PacketKind.TX, 20, 1, reply_to=0),
            packet(PacketKind.REQUEST, 20, 0),  # at the answer's own instant: thinks nothing
            packet(PacketKind.TX, 30, 3, reply_to=1),
            packet(PacketKind.ACK, 35, 2, payload=0),
            packet(PacketKind.REQUEST, 90, 2, think_ns=50),  # the recording knows better
            packet(PacketKind.CONTROL, 95, None),  # of no connection
        ],
        loop="closed",
    )
    work = offer(trace).workload
    assert work.parent is not None
    assert work.think_ns is not None
    assert work.parent.tolist() == [-1, -1, 0, 1, 1, -1]
    assert work.think_ns.tolist() == [0, 0, 0, 5, 50, 0]
    assert offer(trace, load=5).workload.think_ns.tolist() == [0, 0, 0, 1, 10, 0]  # type: ignore[union-attr]
    assert offer(trace, arrivals="open").mode == "open"


def test_an_acknowledgement_is_no_answer(tmp_path: Path) -> None:
    trace = bundle(
        tmp_path,
        [
            packet(PacketKind.REQUEST, 0),
            packet(PacketKind.TX, 5, 1, reply_to=0, payload=0),
            packet(PacketKind.ACK, 6),
            packet(PacketKind.TX, 7, 1, reply_to=2),
            packet(PacketKind.REQUEST, 9),
        ],
        loop="closed",
    )
    assert offer(trace).mode == "open"
    with pytest.raises(TraceError, match="both directions"):
        offer(trace, arrivals="closed")


def test_the_loop_is_the_recordings_unless_asked_otherwise(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    assert offer(trace).mode == "open"
    assert offer(trace, arrivals="closed").mode == "closed"


def test_a_recording_of_what_the_host_sent_has_nothing_to_replay(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="nothing to replay"):
        offer(bundle(tmp_path, [packet(PacketKind.TX, 0)]))


def test_sizes_are_there_where_asked_for(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    assert offer(trace).workload.size is None
    sized = offered(trace, HOST, load=1.0, arrivals="open", sizes=True).workload.size
    assert sized is not None
    assert sized[:4].tolist() == [96, 66, 96, 66]


def test_years_are_refused(tmp_path: Path) -> None:
    packets = pa.Table.from_pylist(
        [{"arrival_ns": time, "kind": 0, "status": 0} for time in (0, 10**17)], schema.PACKETS
    )
    trace = write_trace(tmp_path / "years.trace", {}, {"packets": packets})
    with pytest.raises(TraceError, match="lasts 100,000,000 s; a replay lasts 2 ns to 86,400 s"):
        offered(trace, HOST, load=1.0, arrivals="auto")


@pytest.mark.parametrize(
    ("packets", "manifest", "message"),
    [
        ([(5, {}), (4, {})], {}, "arrival_ns is not sorted from 0 on"),
        ([(-1, {}), (4, {})], {}, "arrival_ns is not sorted from 0 on"),
        ([(0, {"service_ns": 1 << 62})], {}, "packet 0: service_ns = .* is outside 0 to"),
        ([(0, {}), (1 << 60, {})], {"duration_ns": 9}, "packet 1: arrival_ns = .* is outside"),
        ([(0, {}), (1 << 60, {})], {}, "lasts .* s; a replay lasts 2 ns to 86,400 s"),
        ([(0, {})], {}, "lasts 1 ns, all packets at one instant: .* a replay lasts 2 ns to"),
        ([(0, {}), (0, {})], {"duration_ns": 1}, "some: lasts 1 ns, all packets at one instant"),
        ([(0, {})], {"duration_ns": "long"}, "duration_ns = 'long' is no number from 0 to"),
        ([(0, {})], {"duration_ns": -1}, "json: duration_ns = -1 is no number from 0 to 1e18"),
        ([(0, {})], {"duration_ns": True}, "json: duration_ns = True is no number from 0 to 1e18"),
    ],
)
def test_what_no_recording_holds_is_refused(
    tmp_path: Path,
    packets: list[tuple[int, dict[str, int]]],
    manifest: dict[str, Any],
    message: str,
) -> None:
    rows = [packet(PacketKind.REQUEST, at, **more) for at, more in packets]
    with pytest.raises(TraceError, match=message):
        offer(bundle(tmp_path, rows, **manifest))


def test_an_answer_to_nothing_that_was_recorded_is_none(tmp_path: Path) -> None:
    rows = [packet(PacketKind.TX, 1, 1, reply_to=1 << 40), packet(PacketKind.REQUEST, 2)]
    assert offer(bundle(tmp_path, rows, loop="closed")).mode == "open"
