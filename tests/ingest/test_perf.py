"""From a perf.data file to a bundle: what is found, what is lost, what is refused in one line."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay import mapped
from replay.errors import TraceError
from replay.ingest import column_files
from replay.ingest.perf import read_perf
from replay.trace.bundle import write_trace
from replay.trace.schema import TABLES, EventKind, PacketKind
from tests.ingest.perf_builder import WORKER, PerfBuilder, Scene, text_feature


def scene(exchanges: int = 3, **options: object) -> Scene:
    made = Scene(**options)  # type: ignore[arg-type]
    time = 0
    for number in range(exchanges):
        time = made.exchange(time + 50_000, flow=number % 2)
    return made


def test_a_recording_becomes_a_bundle(tmp_path: Path) -> None:
    made = scene(
        features={
            3: text_feature("box"),
            4: text_feature("6.18.0"),
            7: struct.pack("<II", 2, 2),
            8: text_feature("Some CPU"),
            11: struct.pack("<I", 2) + text_feature("perf") + text_feature("record"),
            29: struct.pack("<IIQQ", 1, 1, 7_000_000_000_000, 1_000_000_000_000),
        }
    )
    read = read_perf(made.write(tmp_path / "perf.data"), facts={"policy": "base"})
    tables = read.in_memory()
    for name, table in tables.items():
        assert table.schema == TABLES[name]
    trace = write_trace(tmp_path / "a.trace", read.manifest, tables)
    assert trace.manifest["policy"] == "base"
    assert trace.manifest["clock"] == "CLOCK_MONOTONIC"
    assert trace.manifest["origin_ns"] == made.origin + 50_000
    assert trace.manifest["wall_origin_ns"] == 7_000_000_050_000
    assert trace.manifest["duration_ns"] == 139_001
    assert trace.manifest["devices"] == ["cli", "srv"]
    assert trace.manifest["device"] == "srv"
    assert trace.manifest["host"] == {
        "hostname": "box",
        "kernel": "6.18.0",
        "cpu": "Some CPU",
        "cpus": 2,
    }
    assert trace.manifest["recorded_by"] == "perf record"
    assert trace.manifest["recorded_events"] == {
        "total": 33,
        "per_cpu": {"0": 6, "1": 27},
        "server_cpu": 1,
        "per_request": 9.0,
    }
    assert trace.manifest["workers"] == {str(WORKER): f"thread{WORKER}"}
    assert trace.manifest["sources"][0]["name"] == "perf.data"
    assert trace.manifest["losses"] == 0
    kinds = trace.packets["kind"].to_pylist()
    assert kinds == [PacketKind.REQUEST, PacketKind.TX] * 3
    assert trace.packets["service_ns"].to_pylist() == [5_000, None] * 3
    assert trace.packets["reply_to"].to_pylist() == [None, 0, None, 2, None, 4]
    assert trace.packets["flow"].to_pylist() == [0, 0, 1, 1, 0, 0]
    # The third request is on the first connection, whose response was sent 126,000 ns before.
    assert trace.packets["think_ns"].to_pylist() == [None] * 4 + [127_000 - 10_000, None]
    assert trace.flows["packets"].to_pylist() == [2, 1]
    assert trace.gaps.num_rows == 0
    assert read.lost == []
    assert "responses found for 3 of 3 requests, by 1 worker thread(s)" in read.inferred


def test_facts_of_the_lag_move_arrivals(tmp_path: Path) -> None:
    path = scene().write(tmp_path / "perf.data")
    read = read_perf(path, facts={"irq_lag_ns": 400})
    assert read.table("packets")["arrival_ns"].to_pylist()[::2] == [600, 63_600, 126_600]
    # The peer's own events give the lag: every wake-up came 1,000 ns after the packet was sent.
    read = read_perf(path, facts={"peer_device": "cli"})
    assert read.manifest["irq_lag_ns"] == 1_000
    assert read.table("packets")["arrival_ns"].to_pylist()[::2] == [0, 63_000, 126_000]


def test_the_device_can_be_chosen(tmp_path: Path) -> None:
    made = scene()
    made.at("net:netif_receive_skb", 300_000, 0, 1, name="cli", len=107)
    made.at("net:netif_receive_skb", 300_001, 0, 1, name="cli", len=107)
    path = made.write(tmp_path / "perf.data")
    read = read_perf(path)
    assert read.manifest["device"] == "srv"
    assert "other receiving devices: cli (choose with --device)" in read.found
    read = read_perf(path, device="cli")
    assert read.manifest["device"] == "cli"
    assert read.manifest["received_by"] == "netif_receive_skb"
    assert read.table("packets")["length"].to_pylist()[-2:] == [121, 121]
    written = []
    with pytest.raises(TraceError, match=r"'srw' received nothing.*did you mean srv.*cli, srv"):
        read_perf(path, device="srw", made=lambda name, _: written.append(name))
    assert written == []  # which would take long


def test_a_recording_without_packets_has_events_alone(tmp_path: Path) -> None:
    made = Scene(clockid=None)
    made.poll(5, 0)
    read = read_perf(made.write(tmp_path / "perf.data"))
    assert set(read.large) == {"events"}
    assert read.table("events")["kind"].to_pylist() == [EventKind.POLL]
    assert read.manifest["clock"] == "perf's own (sched_clock)"
    assert "no device received a packet" in read.found
    assert any("not on CLOCK_MONOTONIC" in line for line in read.lost)
    assert any("no sched:sched_switch" in line for line in read.lost)


def test_another_clock_is_named(tmp_path: Path) -> None:
    for clock, name in ((4, "CLOCK_MONOTONIC_RAW"), (99, "clock 99")):
        path = scene(clockid=clock).write(tmp_path / f"{clock}.data")
        assert read_perf(path).manifest["clock"] == name


def test_lost_records_become_gaps(tmp_path: Path) -> None:
    made = scene()
    start = made.origin + 50_000
    made.lost(start + 100_000, 1, 12)
    made.lost(start, 0, 1)
    made.add(13, struct.pack("<Q", 3))
    read = read_perf(made.write(tmp_path / "perf.data"))
    assert read.tables["gaps"].to_pylist() == [
        {"start_ns": 76_000, "end_ns": 100_000, "source": 0, "cause": "lost", "lost": 12},
        {"start_ns": None, "end_ns": None, "source": 0, "cause": "lost", "lost": 1},
        {"start_ns": None, "end_ns": None, "source": 0, "cause": "lost", "lost": 3},
    ]
    assert read.manifest["losses"] == 16
    told = "16 records lost in 3 places (larger buffers: perf record -m, trace-cmd record -b)"
    assert told in read.lost


def test_a_damaged_record_cuts_the_recording(tmp_path: Path) -> None:
    made = scene()
    made.records.insert(22, struct.pack("<IHH", 9, 0, 0))
    read = read_perf(made.write(tmp_path / "perf.data"))
    assert read.tables["gaps"].to_pylist() == [
        {"start_ns": 76_000, "end_ns": None, "source": 0, "cause": "cut", "lost": None}
    ]
    assert read.table("packets").num_rows == 4
    assert any(line.startswith("cut at byte") for line in read.lost)


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    made = scene()
    made.sample("kmem:kmalloc", made.origin, 0, 1, bytes_req=1)
    made.raw_sample(made.origin, 0, 1, 0, struct.pack("<H", 9999) + bytes(14))
    made.edit_format = lambda _, text: text.replace("int ret;", "int rat;")
    read = read_perf(made.write(tmp_path / "perf.data"))
    left_out = "2 samples of other tracepoints left out: kmem:kmalloc, number 9999"
    assert left_out in read.lost
    made.edit_format = lambda _, text: text.replace("long ret", "long rat")
    read = read_perf(made.write(tmp_path / "perf.data"))
    assert "tracepoints that lack a field: syscalls:sys_exit_epoll_wait" in read.lost
    assert any("service times unknown" in line for line in read.lost)


def test_several_workers_are_said_to_be_guessed(tmp_path: Path) -> None:
    made = scene(2)
    time = 200_000
    for step, worker in ((0, 61), (60_000, 62)):
        made.receive(time + step, flow=worker)
        made.poll(time + step + 1_000, 1)
        made.epoll_return(time + step + 2_000, 1, worker)
        made.send(time + step + 3_000, 121, "srv", worker)
        made.epoll_wait(time + step + 4_000, worker)
    read = read_perf(made.write(tmp_path / "perf.data"))
    assert sorted(read.manifest["workers"]) == ["60", "61", "62"]
    assert any("is a guess" in line for line in read.inferred)


@pytest.mark.skipif(shutil.which("perf") is None, reason="perf is not installed")
def test_perf_itself_counts_the_same(tmp_path: Path) -> None:
    path = scene(5).write(tmp_path / "perf.data")
    command = ["perf", "script", "--ns", "-F", "tid,cpu,time,event", "-i", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode or not said.stdout:
        pytest.skip(f"this perf does not read such a file: {said.stderr.strip()[:80]}")
    lines = [line.split() for line in said.stdout.splitlines()]
    events = [line[-1].rstrip(":").split(":")[-1] for line in lines]
    table = read_perf(path).table("events")
    kinds = table["kind"].to_numpy()
    for kind, event in (
        (EventKind.POLL, "napi_poll"),
        (EventKind.RECEIVE, "napi_gro_receive_entry"),
        (EventKind.XMIT, "net_dev_start_xmit"),
        (EventKind.RUN, "sched_switch"),
        (EventKind.EPOLL_RETURN, "sys_exit_epoll_wait"),
    ):
        assert np.count_nonzero(kinds == kind) == events.count(event), event
    cpus = [int(line[1].strip("[]")) for line in lines]
    assert cpus == table["cpu"].to_pylist()


def cut_off(made: PerfBuilder) -> bytes:
    data = made.build()
    return data[: len(data) - len(made.tracing_data())]


def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    unknown = PerfBuilder(events=("kmem:kmalloc",))
    unknown.sample("kmem:kmalloc", 5, 0, 1, bytes_req=1)
    plain = PerfBuilder(tracing=False)
    plain.add(9, bytes(64))
    damaged = PerfBuilder()
    damaged.sample("irq:softirq_entry", 5, 1 << 17, 1, vec=3)
    attrless = PerfBuilder(events=())
    for number, (data, says) in enumerate(
        (
            (b"", "is empty"),
            (unknown.build(), r"1 sample, none .* known \(its events: kmem:kmalloc\)"),
            (plain.build(), r"none of a tracepoint that is known \(its events: unnamed\)"),
            (damaged.build(), "1 sample, none whole: 1 damaged samples left out: a CPU outside"),
            (attrless.build_pipe(), "does not say what events"),
            (cut_off(scene()), "cut: perf writes the layout of its 33 samples"),
        )
    ):
        path = tmp_path / f"{number}.data"
        path.write_bytes(data)
        with pytest.raises(TraceError, match=says) as caught:
            read_perf(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(TraceError, match="cannot be read"):
        read_perf(tmp_path / "absent.data")


def everything() -> bytes:
    """A recording with every kind of event and record in it."""
    made = scene(2, features={3: text_feature("box"), 29: struct.pack("<IIQQ", 1, 1, 9, 9)})
    made.comm(50, "napi/srv-264")
    made.lost(made.origin + 100_000, 1, 5)
    for event, values in (
        ("irq:irq_handler_entry", {"irq": 5, "name": "srv"}),
        ("irq:softirq_raise", {"vec": 3}),
        ("irq:irq_handler_exit", {"irq": 5}),
        ("irq:softirq_entry", {"vec": 3}),
        ("net:netif_receive_skb", {"name": "srv", "len": 61}),
        ("sched:sched_waking", {"pid": WORKER, "target_cpu": 1}),
    ):
        made.at(event, 200_000 + len(made.records), 1, 80, **values)
    made.timer_start(210_000, 20_000)
    made.poll(211_000, 64, tid=80)
    made.poll(212_000, 3, tid=80)
    made.at("irq:softirq_exit", 213_000, 1, 80, vec=3)
    made.timer_fire(230_000)
    made.epoll_return(240_000, 1)
    made.send(241_000, 121, "srv", WORKER)
    made.at("net:net_dev_xmit", 242_000, 1, WORKER, name="srv", len=121)
    made.epoll_wait(243_000)
    made.poll(244_000, 0, tid=WORKER, budget=8)
    made.poll(245_000, 0, tid=WORKER, budget=8)
    made.receive(246_000, 52)
    return made.build()


_WHOLE = everything()


@settings(
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, len(_WHOLE) - 8),
            st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff" * 8, bytes(8)])),
        ),
        min_size=1,
        max_size=4,
    ),
    length=st.one_of(st.just(len(_WHOLE)), st.integers(1, len(_WHOLE))),
)
def test_a_changed_file_is_read_or_refused(
    tmp_path: Path, changes: list[tuple[int, bytes]], length: int
) -> None:
    data = bytearray(_WHOLE)
    for place, new in changes:
        data[place : place + len(new)] = new
    path = tmp_path / "changed.data"
    path.unlink(missing_ok=True)  # the last one may still be mapped
    path.write_bytes(data[:length])
    try:
        read = read_perf(path)
    except TraceError as error:
        said = str(error)
    else:
        said = "read"
        for name in (*read.tables, *read.large):
            table = read.table(name)
            table.validate(full=True)
            assert table.schema == TABLES[name]
        times = read.table("events")["time_ns"].to_numpy()
        assert (times[1:] >= times[:-1]).all()
        if "packets" in read.large:
            arrival = read.table("packets")["arrival_ns"].to_numpy()
            assert (arrival[1:] >= arrival[:-1]).all()
    assert "\n" not in said


def test_however_small_the_steps_the_bundle_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scene(exchanges=40)
    path = made.write(tmp_path / "perf.data")
    whole = read_perf(path)
    monkeypatch.setattr(mapped, "STEP", 13)
    monkeypatch.setattr(mapped, "SMALL_COLUMN", 1)
    monkeypatch.setattr(mapped, "COLUMNS", 0)
    monkeypatch.setattr(column_files, "FEW", 10)
    parts = read_perf(path)
    assert parts.manifest == whole.manifest
    for name in ("packets", "events", "flows", "gaps"):
        assert parts.table(name).to_pylist() == whole.table(name).to_pylist(), name
