"""What a capture did not see is said, kept in the manifest and in gaps, and lowers confidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from replay.host import GENERIC
from replay.ingest.ingest import ingest
from replay.trace.bundle import Trace, open_trace
from replay.whatif import what_if
from tests.ingest.captures import ACK, PSH, SYN, Conversation, Packet, Pcapng, pcap

START = 1_700_000_000 * 10**9
END = ACK | PSH


def _bundle(folder: Path, data: bytes) -> tuple[Trace, list[str]]:
    file = folder / "made.pcap"
    file.write_bytes(data)
    summary = ingest([file], folder / "made.trace")
    return open_trace(summary.path), summary.lost


def _talk(count: int, *sides: bool, port: int = 40_000) -> list[bytes]:
    talk = Conversation(port)
    both = [(side, talk.segment(side, 10, END)) for side in (True, False) * count]
    return [frame for side, frame in both if side in sides]


def _pcap(frames: list[bytes]) -> bytes:
    return pcap([Packet(START + 1000 * i, frame) for i, frame in enumerate(frames)])


def _holes(trace: Trace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trace.manifest["holes"]
    return found


def test_nothing_is_missing_where_both_directions_are(tmp_path: Path) -> None:
    trace, lost = _bundle(tmp_path, _pcap(_talk(20, True, False)))
    assert _holes(trace) == []
    assert trace.gaps.num_rows == 0
    assert not any("direction" in line for line in lost)
    assert what_if(trace, policies=["base"], host=GENERIC).holes == ()


@pytest.mark.parametrize(
    ("side", "affects"), [(True, "answers and think times"), (False, "arrivals")]
)
def test_one_direction_is_a_hole(tmp_path: Path, side: bool, affects: str) -> None:
    trace, lost = _bundle(tmp_path, _pcap(_talk(20, side)))
    cause = "the TCP packets are of connections captured in one direction"
    assert _holes(trace) == [{"cause": cause, "share": 1.0, "affects": affects}]
    (gap,) = trace.gaps.to_pylist()
    assert gap["cause"] == "unrecorded"
    assert (gap["start_ns"], gap["end_ns"]) == (0, trace.manifest["duration_ns"])
    assert f"100% of {cause} ({affects} less certain)" in lost


def test_confidence_falls_with_the_share_of_packets(tmp_path: Path) -> None:
    trace, _ = _bundle(tmp_path, _pcap(_talk(20, True, False) + _talk(10, True, port=40_001)))
    assert _holes(trace)[0]["share"] == 0.2
    shown = what_if(trace, policies=["base"], host=GENERIC).to_dict()
    assert (shown["confidence"], len(shown["holes"])) == ("low", 1)


def test_a_connection_that_nobody_accepts_is_whole(tmp_path: Path) -> None:
    calls = [Conversation(50_000 + i).segment(True, flags=SYN) for i in range(5)]
    trace, _ = _bundle(tmp_path, _pcap(_talk(20, True, False) + calls))
    assert _holes(trace) == []


def test_a_packet_alone_is_the_edge_of_a_capture(tmp_path: Path) -> None:
    last = [Conversation(50_000 + i).segment(i % 2 == 0, 10, END) for i in range(6)]
    assert _holes(_bundle(tmp_path, _pcap(last))[0]) == []


def test_the_hosts_other_traffic_is_not_asked(tmp_path: Path) -> None:
    away = Conversation(41_000, "10.7.7.7")
    away.ends = (away.ends[0], ("10.7.7.8", 9999))
    others = [away.segment(True, 10, END) for _ in range(10)]
    frames = _talk(20, True, False) + _talk(3, True, False, port=40_001) + others
    assert _holes(_bundle(tmp_path, _pcap(frames))[0]) == []


def test_a_cut_end_and_dropped_packets_are_holes(tmp_path: Path) -> None:
    file = Pcapng().interface(1, 96, {2: b"eth0"})
    for i, frame in enumerate(_talk(10, True, False)):
        file.packet(START // 1000 + i, frame, options={4: (i == 3).to_bytes(8, "little")})
    trace, _ = _bundle(tmp_path, file.data[:-3])
    dropped, cut = _holes(trace)
    assert dropped["cause"] == "the packets were dropped by the capture"
    assert dropped["share"] == pytest.approx(1 / 20)
    assert (cut["cause"], cut["share"]) == ("the capture's end is missing", None)
