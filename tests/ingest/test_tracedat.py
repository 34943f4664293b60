"""trace.dat of both versions, read page by page: times, records, losses, and damage."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay.errors import TraceError
from replay.ingest.reconstruct_points import NO_DEVICE, NULL, Point, Points
from replay.ingest.recording import Recording
from replay.ingest.recordings import read_kernel_events
from replay.ingest.sniff import TEXT, TRACE_DAT, sniff
from replay.ingest.stream import Stream
from replay.ingest.text import read_text
from replay.ingest.tracedat import read_trace_dat_stream
from tests.ingest.tracedat_builder import ADDRESS, Ring, TraceDatBuilder

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
START = 10**12


def read(path: Path) -> Recording:
    with Stream(path) as stream:
        return read_trace_dat_stream(stream)


def ordered(recording: Recording) -> Points:
    blocks = [Points(*(it.copy() for it in block)) for block in recording.blocks()]
    return Points(*(np.concatenate(columns) for columns in zip(*blocks, strict=True)))


def served(**options: object) -> TraceDatBuilder:
    """Two CPUs that take turns; a second without events, which needs a time extend."""
    made = TraceDatBuilder(**options)  # type: ignore[arg-type]
    for number in range(400):
        time = START + number * 10_000 + (10**9 if number > 200 else 0)
        made.at("irq:softirq_entry", time, 1, 0, vec=3)
        made.at("net:netif_receive_skb", time + 100, 1, 0, len=46 + number, name="eth0")
        made.at("napi:napi_poll", time + 200, 1, 0, napi=77, dev_name="eth0", work=1, budget=64)
        made.at("kmem:kmalloc", time + 250, 1, 0, bytes_req=number)
        made.at("sched:sched_wakeup", time + 150, 0, 60, comm="napi/srv-264", pid=50, target_cpu=1)
    return made


FORMS = [
    {"version": 6},
    {"version": 7},
    {"version": 7, "compression": "zlib"},
]


@pytest.mark.parametrize("form", FORMS)
def test_cpus_are_merged_by_time(tmp_path: Path, form: dict[str, object]) -> None:
    path = served(**form).write(tmp_path / "trace.dat")
    assert sniff(path) == TRACE_DAT
    found = read(path)
    points = ordered(found)
    assert len(points.time) == 1600
    assert (np.diff(points.time) >= 0).all()
    assert found.origin == START
    kinds = [Point.SOFTIRQ_ENTRY, Point.RECEIVE, Point.WAKEUP, Point.POLL]
    assert points.kind[:8].tolist() == 2 * kinds
    assert points.time[:5].tolist() == [0, 100, 150, 200, 10_000]
    assert points.time[-1] == 399 * 10_000 + 200 + 10**9
    assert points.cpu[:4].tolist() == [1, 1, 0, 1]
    assert points.value[points.kind == Point.RECEIVE].tolist() == list(range(60, 460))
    assert points.object[3] == 77
    assert points.other[3] == 64
    assert points.device[:4].tolist() == [NO_DEVICE, 0, NO_DEVICE, 0]
    assert found.devices == ["eth0"]
    assert found.threads == {60: "worker", 50: "napi/srv-264"}
    assert found.clock == "CLOCK_MONOTONIC"
    assert found.watchdog == ADDRESS - (1 << 64)
    assert found.facts["host"]["kernel"] == "6.18.0"
    assert found.left_out == ["400 records of other events left out: kmem:kmalloc"]


def test_absolute_times_discarded_records_and_padding(tmp_path: Path) -> None:
    made = TraceDatBuilder()
    made.at("irq:softirq_entry", START, 0, 0, vec=3)
    ring: Ring = made.rings[0]
    raw = made.rings[0].page[4:]
    ring.thrown_away(500)
    ring.add(START + 700, raw)
    ring.add(START + 5 * 10**9, raw, absolute=True)
    ring.end(padded=True)
    ring.add(START + 6 * 10**9, raw)
    found = read(made.write(tmp_path / "trace.dat"))
    assert found.points.time.tolist() == [0, 700, 5 * 10**9, 6 * 10**9]
    assert found.left_out == []


def test_losses_are_said_with_their_place(tmp_path: Path) -> None:
    made = TraceDatBuilder(overrun=12)
    made.at("irq:softirq_entry", START, 1, 0, vec=3)
    made.rings[1].end()
    made.at("irq:softirq_entry", START + 1000, 1, 0, vec=3)
    made.rings[1].end(missed=34)
    found = read(made.write(tmp_path / "trace.dat"))
    assert [(it.time, it.cpu, it.records) for it in found.losses] == [(0, 1, 12), (1000, 1, 34)]


def test_a_cut_file_keeps_what_came_before(tmp_path: Path) -> None:
    data = served().build()
    path = tmp_path / "trace.dat"
    path.write_bytes(data[: -4096 * 3 - 100])
    found = read(path)
    assert 0 < len(found.points.time) < 1600
    assert found.cut == f"byte {len(data) - 4096 * 3 - 100}"
    with Stream(path) as stream:
        assert "cut at" in " ".join(read_kernel_events(stream, TRACE_DAT).lost)


def test_what_is_not_read_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "trace.dat"
    data = served().build()
    for content, reason in (
        (data.replace(b"tracing6", b"tracing9", 1), "of version '9'"),
        (data.replace(b"tracing6\0\0", b"tracing6\0\1", 1), "big-endian"),
        (data[:100], "is cut"),
        (served(clock="x86-tsc").build(), "'x86-tsc', which does not count nanoseconds"),
        (TraceDatBuilder().build(), "0 records, none of a tracepoint"),
        (data.replace(b"flyrecord", b"latency  ", 1), "no ring buffer"),
        (served(version=7, compression="lz0").build(), "packed by 'lz0'"),
    ):
        path.write_bytes(content)
        with pytest.raises(TraceError, match=reason) as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", FORMS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_damage_is_no_crash(tmp_path: Path, form: dict[str, object], data: st.DataObject) -> None:
    made = TraceDatBuilder(**form)  # type: ignore[arg-type]
    for number in range(20):
        made.at("irq:softirq_entry", START + number, number % 2, 0, vec=3)
    content = bytearray(made.build())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(10, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "trace.dat"
    path.write_bytes(content)
    try:
        found = read(path)
    except TraceError:
        return
    assert (found.points.time >= 0).all()


def counted(path: Path) -> int:
    found = read(path)
    others = [line for line in found.left_out if "other events" in line]
    return len(found.points.time) + sum(int(it.split()[0].replace(",", "")) for it in others)


@pytest.mark.parametrize(
    ("name", "events"), [("lisa/sched_load_trace", 3724), ("trappy/raw_trace", 757)]
)
def test_samples_have_the_events_that_trace_cmd_reports(name: str, events: int) -> None:
    path = SAMPLES / f"{name}.dat"
    if not path.exists():
        pytest.skip(f"{name} is not there")
    assert counted(path) == events


needs_trace_cmd = pytest.mark.skipif(
    not shutil.which("trace-cmd"), reason="trace-cmd is not installed"
)


def said(path: Path, folder: Path) -> Recording:
    """What trace-cmd reports of a file."""
    command = ["trace-cmd", "report", "-t", "-i", str(path)]
    text = subprocess.run(command, capture_output=True, check=True).stdout
    (folder / "report.txt").write_bytes(text)
    assert sniff(folder / "report.txt") == TEXT
    with Stream(folder / "report.txt") as stream:
        return read_text(stream)


@needs_trace_cmd
@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_version_7_is_what_version_6_was(tmp_path: Path, compression: str) -> None:
    path = SAMPLES / "lisa/sched_load_trace.dat"
    if not path.exists():
        pytest.skip("lisa's file is not there")
    other = tmp_path / "7.dat"
    command = ["trace-cmd", "convert", "-i", str(path), "-o", str(other)]
    done = subprocess.run(
        [*command, "--file-version", "7", "--compression", compression],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"trace-cmd cannot write it: {done.stderr.decode()[:60]}")
    one, two = read(path), read(other)
    for column, same in zip(one.points, two.points, strict=True):
        np.testing.assert_array_equal(column, same)
    assert (one.threads, one.clock, one.left_out) == (two.threads, two.clock, two.left_out)


@needs_trace_cmd
def test_points_are_those_of_trace_cmds_report(tmp_path: Path) -> None:
    path = SAMPLES / "lisa/sched_load_trace.dat"
    if not path.exists():
        pytest.skip("lisa's file is not there")
    binary, text = read(path), said(path, tmp_path)
    assert binary.origin == text.origin
    one, two = ordered(binary), ordered(text)
    for name in ("time", "cpu", "kind", "tid", "value"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), name)
    others = one.other != NULL
    np.testing.assert_array_equal(one.other[others], two.other[others])
