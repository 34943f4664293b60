"""Kernel events and a capture of the same minutes become one bundle on one clock."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from replay.errors import TraceError
from replay.ingest.ingest import ingest
from replay.ingest.join import parse_offset
from replay.trace.bundle import Trace, open_trace
from replay.trace.schema import PacketKind
from replay.whatif import what_if
from tests.ingest.captures import ACK, PSH, Conversation, Packet, Pcapng, pcap
from tests.ingest.perf_builder import Scene
from tests.ingest.perf_prints import printed
from tests.ingest.tracedat_builder import TraceDatBuilder

WALL = 1_700_000_000 * 10**9  # at Scene.origin
LATE = 7_000  # the capture's stamp after the recording's event
GAP = 300_000
EXCHANGES = 12


def clock(wall: int = WALL) -> dict[int, bytes]:
    return {29: struct.pack("<IIQQ", 1, 1, wall, Scene.origin)}


class Told(Scene):
    """A scene that says again what happened."""

    def sample(self, event: str, time: int, cpu: int, tid: int, /, **values: Any) -> None:
        self.told: list[tuple[str, int, int, int, dict[str, Any]]] = getattr(self, "told", [])
        self.told.append((event, time, cpu, tid, values))
        super().sample(event, time, cpu, tid, **values)


class Pair:
    """Requests on four connections, seen by both."""

    def __init__(self, features: dict[int, bytes] | None = None) -> None:
        self.scene = Told(features=clock() if features is None else features)
        self.talks = [Conversation(50_000 + i) for i in range(4)]
        self.packets: list[Packet] = []
        for number in range(EXCHANGES):
            self.exchange((number + 1) * GAP, number % 4)

    def exchange(self, time: int, which: int, size: int = 9) -> None:
        """One request of `size` bytes and an answer of twice that; what perf_builder's does."""
        scene, talk = self.scene, self.talks[which]
        scene.wake(time, 50, 0, 70)
        scene.switch(time + 1_000, 80, 50)
        scene.receive(time + 2_000, 40 + size, flow=1_000 + which)
        self.captured(time + 2_000, talk.segment(True, size, ACK | PSH))
        scene.poll(time + 3_000, 1)
        scene.wake(time + 4_000, 60, 1, 50)
        scene.switch(time + 5_000, 50, 60)
        scene.epoll_return(time + 6_000, 1)
        scene.send(time + 20_000, 54 + 2 * size, device="srv", tid=60)
        self.captured(time + 20_000, talk.segment(False, 2 * size, ACK | PSH))
        scene.epoll_wait(time + 22_000)
        scene.switch(time + 23_000, 60, 80)

    def captured(self, time: int, frame: bytes) -> None:
        self.packets.append(Packet(WALL + time + LATE, frame))

    def write(self, folder: Path) -> list[Path]:
        """Write both, in an order that does not matter."""
        capture = folder / "talk.pcap"
        capture.write_bytes(pcap(self.packets))
        return [capture, self.scene.write(folder / "perf.data")]


def joined(folder: Path, pair: Pair, **options: Any) -> Trace:
    return open_trace(ingest(pair.write(folder), folder / "x.trace", **options).path)


def test_times_are_the_recording_s_and_identities_the_capture_s(tmp_path: Path) -> None:
    summary = ingest(Pair().write(tmp_path), tmp_path / "x.trace")
    trace = open_trace(summary.path)
    said = trace.manifest["joined"]
    assert (said["matched"], said["captured"], said["recorded"]) == (24, 24, 24)
    assert said["captured_only"] == said["recorded_only"] == 0
    assert said["difference_ns"] == {"q1": LATE, "median": LATE, "q3": LATE}
    assert trace.manifest["clock"] == "CLOCK_MONOTONIC"
    assert trace.manifest["wall_origin_ns"] == WALL + GAP
    assert [source["format"] for source in trace.manifest["sources"]] == ["perf", "pcap"]
    assert trace.manifest["server"]["port"] == 8080
    rows = trace.packets.to_pylist()
    requests = [row for row in rows if row["kind"] == PacketKind.REQUEST]
    answers = [row for row in rows if row["kind"] == PacketKind.TX]
    assert len(requests) == len(answers) == EXCHANGES
    assert {row["payload"] for row in requests} == {9}
    assert {row["service_ns"] for row in requests} == {16_000}
    flows = trace.flows.to_pylist()
    assert [flows[row["flow"]]["source_port"] for row in requests[:5]] == [
        *range(50_000, 50_004),
        50_000,
    ]
    assert [flows[row["flow"]]["destination_port"] for row in answers[:2]] == [50_000, 50_001]
    assert [rows[row["reply_to"]] for row in answers] == requests
    assert sum(flow["packets"] for flow in flows) == len(rows)
    assert all(flow["first_ns"] <= flow["last_ns"] for flow in flows)
    assert trace.events.num_rows > 0
    assert any("24 of the capture's 24 packets" in line for line in summary.inferred)
    assert what_if(trace, ["defer20"]).rows


def test_what_one_alone_has_seen_is_kept_and_counted(tmp_path: Path) -> None:
    pair = Pair()
    del pair.packets[4]  # a request that the capture lost
    extra = pair.talks[0].segment(True, 33, ACK | PSH)
    pair.packets.insert(9, Packet(WALL + 5 * GAP + 100_000, extra))  # one that perf lost
    pair.packets.append(Packet(WALL + 10**9, pair.talks[1].segment(True, 9, ACK | PSH)))
    trace = joined(tmp_path, pair)
    said = trace.manifest["joined"]
    assert (said["matched"], said["captured_only"], said["recorded_only"]) == (23, 1, 1)
    assert said["captured_before_or_after"] == 1
    rows = trace.packets.to_pylist()
    assert len(rows) == 25
    (alone,) = [row for row in rows if row["payload"] == 33]
    assert (alone["arrival_ns"], alone["latest_ns"]) == (4 * GAP + 100_000,) * 2
    assert alone["earliest_ns"] is alone["service_ns"] is alone["tid"] is None
    # the hash still says whose the request is that the capture lost
    flows = trace.flows.to_pylist()
    ports = [flows[row["flow"]]["source_port"] for row in rows if row["kind"] == PacketKind.REQUEST]
    assert ports.count(50_002) == EXCHANGES // 4


def test_what_either_lacks_is_a_hole_and_lowers_the_confidence(tmp_path: Path) -> None:
    pair = Pair()
    removed = [pair.packets.pop(2) for _ in range(4)]
    assert len(removed) == 4
    for number in range(3):
        extra = pair.talks[0].segment(True, 33, ACK | PSH)
        pair.packets.append(Packet(WALL + 10 * GAP + number, extra))
    summary = ingest(pair.write(tmp_path), tmp_path / "x.trace")
    trace = open_trace(summary.path)
    assert trace.manifest["holes"] == [
        {
            "cause": "the captured packets are not in the recording",
            "share": 3 / 23,
            "affects": "their arrivals, polls and service times",
        },
        {
            "cause": "the recorded packets are not in the capture",
            "share": 4 / 24,
            "affects": "their flows, payloads and kinds",
        },
    ]
    assert any("16.7% of the recorded packets are not in" in line for line in summary.lost)
    result = what_if(trace, ["base"])
    assert [it.share for it in result.holes] == [3 / 23, 4 / 24]
    assert "confidence low" in str(result.about["holes"])


def test_the_capture_s_own_holes_are_the_bundle_s(tmp_path: Path) -> None:
    pair = Pair()
    made = Pcapng().interface(options={2: b"srv", 9: bytes([9])})
    for number, (time, frame, _) in enumerate(pair.packets):
        drops = 6 * (number == 5)
        made.packet(time, frame, options={4: drops.to_bytes(8, "little")})
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(made.data + made.data[-100:-20])
    perf = pair.scene.write(tmp_path / "perf.data")
    summary = ingest([perf, cut], tmp_path / "x.trace")
    trace = open_trace(summary.path)
    affects = "flows, payloads and kinds"
    assert trace.manifest["holes"] == [
        {"cause": "the packets were dropped by the capture", "share": 0.2, "affects": affects},
        {"cause": "the capture's end is missing", "share": None, "affects": affects},
    ]
    gaps = trace.gaps.to_pylist()
    assert [(it["cause"], it["source"], it["lost"]) for it in gaps] == [
        ("cut", 1, None),
        ("lost", 1, 6),
    ]
    assert str(what_if(trace, ["base"]).about["holes"]).startswith("confidence low: 20% of")


def test_a_capture_of_one_direction(tmp_path: Path) -> None:
    pair = Pair()
    pair.packets = pair.packets[::2]
    trace = joined(tmp_path, pair)
    causes = {hole["cause"]: hole for hole in trace.manifest["holes"]}
    one = causes["the TCP packets are of connections captured in one direction"]
    assert (one["share"], one["affects"]) == (1.0, "flows, payloads and kinds")
    assert causes["the recorded packets are not in the capture"]["share"] == 0.5


def test_an_answer_goes_to_its_own_connection(tmp_path: Path) -> None:
    pair = Pair()
    time, scene = (EXCHANGES + 1) * GAP, pair.scene
    scene.wake(time, 50, 0, 70)
    scene.switch(time + 1_000, 80, 50)
    for place, which in enumerate((0, 1)):
        scene.receive(time + 2_000 + place, 49, flow=1_000 + which)
        pair.captured(time + 2_000 + place, pair.talks[which].segment(True, 9, ACK | PSH))
    scene.poll(time + 3_000, 2)
    scene.wake(time + 4_000, 60, 1, 50)
    scene.switch(time + 5_000, 50, 60)
    scene.epoll_return(time + 6_000, 2)
    for place, which in enumerate((1, 0)):  # the second connection is served first
        sent = time + 20_000 + 5_000 * place
        scene.send(sent, 72, device="srv", tid=60)
        pair.captured(sent, pair.talks[which].segment(False, 18, ACK | PSH))
    scene.epoll_wait(time + 30_000)
    scene.switch(time + 31_000, 60, 80)
    rows = joined(tmp_path, pair).packets.to_pylist()
    first, second = [row for row in rows if row["kind"] == PacketKind.REQUEST][-2:]
    one, other = [row for row in rows if row["kind"] == PacketKind.TX][-2:]
    assert rows[one["reply_to"]] == second
    assert rows[other["reply_to"]] == first
    assert (second["service_ns"], first["service_ns"]) == (14_000, 10_000)


def test_the_clocks_must_be_known_and_overlap(tmp_path: Path) -> None:
    silent = Pair(features={})
    with pytest.raises(TraceError, match=r"does not say how its clock .* or give --clock-offset"):
        joined(tmp_path, silent)
    trace = joined(tmp_path, silent, clock_offset=f"{WALL - Scene.origin}ns")
    assert trace.manifest["joined"]["matched"] == 24
    (tmp_path / "late").mkdir()
    with pytest.raises(TraceError, match=r"-3600 to -3600 s after the start of .*not overlap"):
        joined(tmp_path / "late", Pair(clock(WALL + 3600 * 10**9)))
    (tmp_path / "off").mkdir()
    shifted = Pair()
    shifted.packets = [it._replace(frame=it.frame + bytes(300)) for it in shifted.packets]
    with pytest.raises(TraceError, match="none of its 23 packets in the time of"):
        joined(tmp_path / "off", shifted)


@pytest.mark.skipif(not shutil.which("perf"), reason="perf is not installed")
def test_a_text_joins_as_the_recording_that_it_was_printed_of_does(tmp_path: Path) -> None:
    pair = Pair(features={})
    pair.scene.edit_format = printed
    capture, perf = pair.write(tmp_path)
    text, command = tmp_path / "perf.txt", ["perf", "script", "--ns", "-i", str(perf)]
    printed_lines = subprocess.run(command, capture_output=True, check=True).stdout
    text.write_bytes(printed_lines)
    offset = f"{WALL - Scene.origin}ns"
    with pytest.raises(TraceError, match=r"does not say how its clock .* or give --clock-offset"):
        ingest([text, capture], tmp_path / "no.trace")
    one, other = (
        open_trace(
            ingest(
                [it, capture], tmp_path / f"{it.stem}.{it.suffix[1:]}.trace", clock_offset=offset
            ).path
        )
        for it in (text, perf)
    )
    assert one.manifest["sources"][0]["format"] == "text"
    assert one.manifest["joined"] == other.manifest["joined"]
    assert one.manifest["joined"]["matched"] == 24
    for name in ("arrival_ns", "flow", "length", "payload", "kind", "service_ns", "reply_to"):
        assert one.packets[name].equals(other.packets[name]), name


@pytest.mark.parametrize("version", [6, 7])
def test_a_trace_dat_joins_as_perf_data_does(tmp_path: Path, version: int) -> None:
    pair = Pair(features={})
    capture, perf = pair.write(tmp_path)
    dat = TraceDatBuilder(version=version)
    for event, time, cpu, tid, values in pair.scene.told:
        dat.at(event, time, cpu, tid, **values)
    with pytest.raises(TraceError, match=r"does not say how its clock .* or give --clock-offset"):
        ingest([dat.write(tmp_path / "trace.dat"), capture], tmp_path / "no.trace")
    assert not (tmp_path / "no.trace").exists()
    offset = f"{WALL - Scene.origin}ns"
    one, other = (
        open_trace(ingest([it, capture], tmp_path / f"{it.stem}.trace", clock_offset=offset).path)
        for it in (tmp_path / "trace.dat", perf)
    )
    assert [it["format"] for it in one.manifest["sources"]] == ["trace.dat", "pcap"]
    assert one.manifest["joined"] == other.manifest["joined"]
    assert one.manifest["joined"]["matched"] == 24
    for name in ("arrival_ns", "flow", "length", "payload", "kind", "service_ns", "reply_to"):
        assert one.packets[name].equals(other.packets[name]), name


def test_a_retis_recording_joins_by_the_clock_it_names(tmp_path: Path) -> None:
    pair = Pair()
    wall = WALL - Scene.origin
    offset = {"sec": wall // 10**9, "nsec": wall % 10**9}
    lines: list[dict[str, Any]] = [
        {"common": {"timestamp": 1}, "startup": {"clock_monotonic_offset": offset}}
    ]
    for event, time, cpu, tid, values in pair.scene.told:
        symbols = {
            "net:napi_gro_receive_entry": ("net:netif_receive_skb", 14),
            "net:net_dev_start_xmit": ("net:net_dev_start_xmit", 0),
        }
        if event in symbols:
            symbol, header = symbols[event]
            task = {"pid": tid, "tgid": tid, "comm": "x"}
            lines.append(
                {
                    "common": {"timestamp": time, "smp_id": cpu, "task": task},
                    "kernel": {"probe_type": "raw_tracepoint", "symbol": symbol},
                    "packet": {"len": int(values["len"]) + header},
                    "dev": {"name": values["name"]},
                }
            )
    retis = tmp_path / "retis.data"
    retis.write_text("\n".join(map(json.dumps, lines)))
    capture, _ = pair.write(tmp_path)
    trace = open_trace(ingest([capture, retis], tmp_path / "x.trace").path)
    assert [it["format"] for it in trace.manifest["sources"]] == ["retis", "pcap"]
    assert (trace.manifest["joined"]["matched"], trace.manifest["holes"]) == (24, [])
    rows = trace.packets.to_pylist()
    requests = [row for row in rows if row["kind"] == PacketKind.REQUEST]
    assert [row["arrival_ns"] for row in requests] == [GAP * it for it in range(EXCHANGES)]
    assert {row["payload"] for row in requests} == {9}
    assert trace.manifest["server"]["port"] == 8080


def test_options_and_pairs_that_cannot_be(tmp_path: Path) -> None:
    capture, perf = Pair().write(tmp_path)
    out = tmp_path / "out.trace"
    for sources, options, reason in (
        ([perf], {"clock_offset": "1s"}, "--clock-offset needs a second source"),
        ([perf, perf], {}, "2 recordings: one, or kernel events and a capture"),
        ([perf, capture, capture], {}, "3 recordings"),
        ([perf, capture], {"clock_offset": "soon"}, "clock offset 'soon'"),
        ([perf, capture], {"device": "eth9"}, "device 'eth9' received nothing"),
    ):
        with pytest.raises(TraceError, match=reason):
            ingest(sources, out, **options)
    assert not out.exists()


def test_the_interface_of_several_is_the_recorded_device(tmp_path: Path) -> None:
    pair = Pair()
    frames = [(it.time, it.frame) for it in pair.packets]
    made = multi_interface(frames, ["eth7", "srv"], tmp_path / "two.pcapng")
    perf = pair.scene.write(tmp_path / "perf.data")
    trace = open_trace(ingest([perf, made], tmp_path / "x.trace").path)
    assert trace.manifest["joined"]["matched"] == 24
    other = multi_interface(frames, ["eth7", "eth8"], tmp_path / "other.pcapng")
    with pytest.raises(TraceError, match=r"0 of its 2 interfaces \(eth7, eth8\) are devices"):
        ingest([perf, other], tmp_path / "y.trace")


def multi_interface(frames: list[tuple[int, bytes]], names: list[str], path: Path) -> Path:
    """A pcapng whose last interface has the packets, and its first one the same again."""
    made = Pcapng()
    for name in names:
        made.interface(options={2: name.encode(), 9: bytes([9])})
    for time, frame in frames:
        for interface in range(len(names)):
            made.packet(time, frame, interface=interface)
    path.write_bytes(made.data)
    return path


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("1795364177598320199", 1_795_364_177_598_320_199),
        ("1795364177.598320199s", 1_795_364_177_598_320_199),
        ("-1.5ms", -1_500_000),
        ("+2 us", 2_000),
    ],
)
def test_offsets_are_exact(text: str, offset: int) -> None:
    assert parse_offset(text) == offset


@pytest.mark.parametrize("text", ["", "x", "1h", "1e9", "9" * 24 + "s"])
def test_other_offsets_are_refused(text: str) -> None:
    with pytest.raises(TraceError, match="clock offset"):
        parse_offset(text)
