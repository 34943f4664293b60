"""Recordings with holes are noticed: what was removed from a sound one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.ingest.ingested import Ingested
from replay.ingest.perf import read_perf
from tests.ingest.perf_builder import NAPI_TID, SPINNER, WORKER, Scene


def recorded(tmp_path: Path, made: Scene) -> Ingested:
    return read_perf(made.write(tmp_path / "perf.data"))


def exchanges(count: int = 20, idle: int = SPINNER, **leave_out: bool) -> Scene:
    """A server that waits in the idle task between requests; some events are left out."""
    made = Scene()
    time = 0
    for number in range(count):
        skipped = number % 4 == 0
        if not (skipped and leave_out.get("wakes")):
            made.wake(time + 1_000, NAPI_TID, 0, 70)
        if not (skipped and leave_out.get("switches")):
            made.switch(time + 2_000, idle, NAPI_TID)
        made.receive(time + 3_000)
        made.wake(time + 4_000, WORKER, 1, NAPI_TID)
        made.poll(time + 5_000, 1)
        made.switch(time + 6_000, NAPI_TID, WORKER)
        made.epoll_return(time + 7_000, 1)
        made.send(time + 10_000, 121, "srv", WORKER)
        made.epoll_wait(time + 12_000)
        made.switch(time + 13_000, WORKER, idle)
        time += 60_000
    return made


@pytest.mark.parametrize("idle", [0, SPINNER])
def test_a_sound_recording_has_no_holes(tmp_path: Path, idle: int) -> None:
    read = recorded(tmp_path, exchanges(idle=idle))
    assert read.manifest["holes"] == []
    assert read.tables["gaps"].num_rows == 0


def test_missing_switches_are_counted_and_placed(tmp_path: Path) -> None:
    read = recorded(tmp_path, exchanges(idle=0, switches=True))
    [hole] = read.manifest["holes"]
    # Of 60 switches 5 are gone; nothing shows that the first was.
    assert hole["share"] == pytest.approx(4 / (55 + 4))
    assert "switches between threads were not recorded" in hole["cause"]
    gaps = read.tables["gaps"].to_pylist()
    assert [gap["cause"] for gap in gaps] == ["unrecorded"] * 4
    # Between the poll in the thread that had not got the CPU and its giving it away.
    assert gaps[0]["end_ns"] - gaps[0]["start_ns"] == 1_000
    assert any("6.78% of the switches" in line for line in read.lost)


def test_missing_wake_ups_are_counted(tmp_path: Path) -> None:
    read = recorded(tmp_path, exchanges(idle=0, wakes=True))
    [hole] = read.manifest["holes"]
    assert hole["share"] == pytest.approx(4 / 19)
    assert "wake-ups" in hole["cause"]
    # Threads that take the CPU from another thread may have been put off it before.
    assert recorded(tmp_path, exchanges(wakes=True)).manifest["holes"] == []


def test_lost_records_and_cuts_are_holes(tmp_path: Path) -> None:
    made = exchanges()
    made.lost(made.origin + 100_000, 1, len(made.records))
    made.records.append(b"\xff\0\0\0\0\0\0\0")
    holes = recorded(tmp_path, made).manifest["holes"]
    assert [(hole["cause"], hole["share"]) for hole in holes] == [
        ("the records were lost", 0.5),
        ("the recording's end is missing", None),
    ]


def test_a_cpu_that_was_not_recorded_is_named(tmp_path: Path) -> None:
    made = exchanges()
    made.features = {7: made.pack("II", 4, 4)}
    ids = [(9, cpu, cpu, 0) for cpu in (0, 1, 3)]
    made.add(69, made.pack("Q", 3) + b"".join(made.pack("4Q", *entry) for entry in ids))
    read = recorded(tmp_path, made)
    [hole] = read.manifest["holes"]
    assert (hole["cause"], hole["share"]) == ("the CPUs were not recorded (2)", 0.25)
    # Without that record nobody can say so of a short recording.
    made.records.pop()
    assert recorded(tmp_path, made).manifest["holes"] == []
