"""Text against what perf.data says of the same events, and against answers given in mails."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pytest

from replay.ingest.ingested import Ingested
from replay.ingest.perf import read_perf
from replay.ingest.recordings import read_kernel_events
from replay.ingest.sniff import sniff_stream
from replay.ingest.stream import Stream
from replay.ingest.text import read_text
from replay.trace.schema import EventKind
from tests.ingest.perf_builder import Scene
from tests.ingest.perf_prints import printed

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"


def bundled(path: Path) -> Ingested:
    with Stream(path) as stream:
        return read_kernel_events(stream, sniff_stream(stream))


def served(tmp_path: Path, form: list[str]) -> tuple[pa.Table, ...]:
    """The events of a recording, read from perf.data and from perf's own text of it."""
    scene = Scene(edit_format=printed)
    time = 0
    for number in range(40):
        scene.timer_start(time + 40_000, 20_000)
        scene.timer_fire(time + 45_000)
        time = scene.exchange(time + 50_123, flow=number % 3 + 1)
    path = scene.write(tmp_path / "perf.data")
    said = subprocess.run(
        ["perf", "script", "--header", *form, "-i", str(path)],
        capture_output=True,
        check=True,
    ).stdout
    (tmp_path / "a.txt").write_bytes(said)
    return read_perf(path), bundled(tmp_path / "a.txt")


@pytest.mark.skipif(not shutil.which("perf"), reason="perf is not installed")
def test_perf_data_and_its_text_make_the_same_bundle(tmp_path: Path) -> None:
    binary, said = served(tmp_path, ["--ns"])
    assert len(binary.table("packets")) == 80
    assert {*binary.tables, *binary.large} == {"packets", "flows", "gaps", "events"}
    for name in ("packets", "flows", "gaps"):
        assert binary.table(name).equals(said.table(name)), name
    events = binary.table("events")  # perf prints no clock without CLOCK_DATA
    for name in events.column_names:
        one, other = events[name].to_pylist(), said.table("events")[name].to_pylist()
        if name == "value":  # a timer's length needs the clock
            starts = [kind == EventKind.TIMER_START for kind in events["kind"].to_pylist()]
            one = [None if start else it for it, start in zip(one, starts, strict=True)]
        assert one == other, name
    same = ("devices", "device", "received_by", "workers", "origin_ns", "duration_ns")
    assert {it: binary.manifest[it] for it in same} == {it: said.manifest[it] for it in same}


@pytest.mark.skipif(not shutil.which("perf"), reason="perf is not installed")
def test_microseconds_make_the_same_bundle_but_for_the_digits(tmp_path: Path) -> None:
    binary, said = served(tmp_path, [])
    origin = binary.manifest["origin_ns"], said.manifest["origin_ns"]
    assert origin[1] == origin[0] // 1000 * 1000
    one, other = binary.table("events"), said.table("events")
    exact = one["time_ns"].to_numpy() + origin[0]
    assert (exact // 1000 * 1000 == other["time_ns"].to_numpy() + origin[1]).all()
    for name in ("cpu", "kind", "device", "napi", "tid", "budget", "cause"):
        assert one[name].equals(other[name]), name
    for name in ("kind", "flow", "length", "payload", "tid", "reply_to"):
        assert binary.table("packets")[name].equals(said.table("packets")[name]), name
    arrivals = [
        it.table("packets")["arrival_ns"].to_numpy() + start
        for it, start in zip((binary, said), origin, strict=True)
    ]
    assert np.abs(arrivals[0] - arrivals[1]).max() < 1000


def sample(name: str) -> Path:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"{name} is not there")
    return path


def rows(name: str, kind: EventKind) -> pa.Table:
    events = bundled(sample(f"text-excerpts/{name}.txt")).table("events")
    return events.filter(compute.equal(events["kind"], int(kind)))


def test_net_rx_was_raised_909_us_before_ksoftirqd_took_it() -> None:
    name = "ftrace_softirq_909us_delay_v4.14"
    raised, entered = (
        rows(name, kind)["time_ns"][0].as_py() for kind in (EventKind.RAISE, EventKind.SOFTIRQ)
    )
    assert entered - raised == 909_000


def test_ksoftirqd_ran_24_4_ms_after_it_was_woken() -> None:
    name = "ftrace_idle_inject_ksoftirqd_24ms"
    woken, entered = (
        rows(name, kind)["time_ns"][0].as_py() for kind in (EventKind.WAKE, EventKind.SOFTIRQ)
    )
    assert entered - woken == 24_400_000


def test_tg3s_interrupt_waited_4_ms_for_its_poll() -> None:
    name = "ftrace_tg3_napi_4ms_gap"
    last_irq = rows(name, EventKind.IRQ)["time_ns"].to_pylist()[-1]
    poll = rows(name, EventKind.POLL)["time_ns"].to_pylist()[-1]
    assert poll - last_irq == 6_598_771_000 - 6_594_710_000
    assert rows(name, EventKind.POLL)["value"].to_pylist() == [1, 0, 3, 0]


def test_hns3s_backlog_was_not_polled_for_up_to_11_8_s() -> None:
    polls = rows("ftrace_napi_poll_hns3_no_device", EventKind.POLL)
    assert polls["device"].null_count == len(polls) == 10
    longest = {}
    for cpu in (45, 60, 88):
        times = polls.filter(compute.equal(polls["cpu"], cpu))["time_ns"].to_numpy()
        longest[cpu] = round(float(np.diff(times).max()) / 1e9, 1)
    assert longest == {45: 11.8, 60: 6.2, 88: 4.5}


def test_lines_of_trace_cmd_are_all_understood() -> None:
    with Stream(sample("lisa/trace.txt")) as stream:
        found = read_text(stream)
    assert len(found.points.time) == 2_924
    assert found.left_out[0] == "17 lines of other events left out: print, sched_overutilized"
