"""What must hold of perf.data with any content."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from replay.errors import TraceError
from replay.ingest.perf import read_recording
from replay.ingest.perf_files import open_contents
from replay.ingest.rebuild import rebuild
from tests.ingest.perf_builder import CALLCHAIN, READ, USUAL, WORKER, PerfBuilder, Scene

_USED = (
    "napi:napi_poll",
    "net:napi_gro_receive_entry",
    "net:net_dev_start_xmit",
    "sched:sched_switch",
    "sched:sched_wakeup",
    "syscalls:sys_enter_epoll_wait",
    "syscalls:sys_exit_epoll_wait",
)
_MAGICS = (b"PERFILE2", b"2ELIFREP")


def recordings() -> list[bytes]:
    """Small recordings of every shape and byte order."""
    found = []
    for order in "<>":
        for shape in ("file", "pipe", "packed", "packed pipe"):
            made = _recording(order, USUAL)
            if "packed" in shape:
                made.records = made.compressed(83 if "pipe" in shape else 81)
            found.append(made.build_pipe() if "pipe" in shape else made.build())
        found.append(_recording(order, USUAL | READ | CALLCHAIN).build())
    return found


def _recording(order: str, sample_type: int) -> PerfBuilder:
    made = Scene(order=order, sample_type=sample_type, read_format=8)
    made.events = _USED  # the fewer, the more inputs a second
    end = made.exchange(1_000)
    made.comm(WORKER, "worker")
    made.lost(made.origin + end, 1, 3)
    made.add(69, made.pack("5Q", 1, 9, 0, 1, 0))
    made.exchange(end - 500)
    return made


def recordings_of(data: bytes) -> list[bytes]:
    """Return `data` where it is perf.data."""
    return [data] if data[:8] in _MAGICS else []


def run(data: bytes) -> str:
    """Read a recording and rebuild its packets: in order, within their bounds."""
    path = Path("made.data")
    try:
        recording = read_recording(path, open_contents(path, np.frombuffer(data, np.uint8)))
        read = rebuild(recording)
    except TraceError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return "refused"
    count = len(recording.points.time)
    assert count == sum(len(block.time) for block in recording.blocks())
    times = read.table("events")["time_ns"].to_numpy()
    assert (times[1:] >= times[:-1]).all()
    assert (times >= 0).all()
    if "packets" in read.large:
        packets = read.table("packets")
        arrival = packets["arrival_ns"].to_numpy()
        assert (arrival >= 0).all()
        assert (arrival[1:] >= arrival[:-1]).all()
        for name, sign in (("earliest_ns", 1), ("latest_ns", -1)):
            bound = packets[name].combine_chunks()
            known = bound.is_valid().to_numpy(zero_copy_only=False)
            assert (sign * (arrival - bound.fill_null(0).to_numpy())[known] >= 0).all()
    return "read in part" if recording.cut or recording.left_out else "read"
