"""A trace-cmd trace.dat as a Recording, read directly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.errors import TraceError
from replay.ingest.little_endian import Bytes
from replay.ingest.perf_walk import Tally
from replay.ingest.point_files import PointFiles
from replay.ingest.points_order import BLOCK, LONGEST
from replay.ingest.recording import CLOCK_MONOTONIC, Loss, Recording
from replay.ingest.stream import Stream
from replay.ingest.tracedat_file import CpuPages, TraceDat, read_trace_dat
from replay.ingest.tracedat_walk import DAMAGED, EVENTS, LEAST_RECORD, LOSSES, read_pages
from replay.ingest.tracepoint_decode import PROBLEMS, Names
from replay.ingest.tracepoints import Slots, choose_slots

Int64s = npt.NDArray[np.int64]

#: trace_clock's names of clocks of nanoseconds.
_CLOCKS = {
    "mono": CLOCK_MONOTONIC,
    "mono_raw": "CLOCK_MONOTONIC_RAW",
    "boot": "CLOCK_BOOTTIME",
    "tai": "CLOCK_TAI",
    "": "ftrace's local (sched_clock)",
    "local": "ftrace's local (sched_clock)",
    "global": "ftrace's global",
    "perf": "perf's own (sched_clock)",
    "uptime": "ftrace's uptime (jiffies)",
}


def read_trace_dat_stream(stream: Stream) -> Recording:
    """Read a trace.dat. Raises TraceError where it is damaged, or without a known tracepoint."""
    with stream.as_file() as path:
        try:
            data = np.frombuffer(mapped.read_only(path), np.uint8)
        except OSError as error:
            raise TraceError(f"{stream.name}: cannot be read: {error.strerror}") from None
        return recording_of(Path(stream.name), data)


class _Reader:
    """Reads the pages of one CPU after the other."""

    def __init__(self, file: TraceDat, slots: Slots) -> None:
        self.file, self.slots = file, slots
        self.names, self.tally = Names.empty(), Tally.empty()
        self.whole = PointFiles()
        self.runs: list[Int64s] = [np.zeros(0, np.int64)]
        self.losses: list[Loss] = []
        self.threads: dict[int, str] = {}
        self.counts = np.zeros(3, np.int64)
        most = file.page_size // LEAST_RECORD
        self._pages = max(BLOCK // most, 1)  # at a time
        self._runs = np.empty(self._pages * most, np.int64)
        self._losses = np.empty((self._pages, 3), np.int64)

    def read(self, part: CpuPages) -> None:
        """Take all pages of a CPU."""
        for data in self.file.blocks(part):
            step = self._pages * self.file.page_size
            for at in range(0, len(data), step):
                self._take(data, at, min(at + step, len(data)), part.cpu)
            mapped.make_room()

    def _take(self, data: Bytes, at: int, end: int, cpu: int) -> None:
        self.counts[LOSSES] = 0
        count, runs = read_pages(
            data,
            at,
            end,
            self.file.page_size,
            self.file.long_size,
            cpu,
            self.slots,
            self.names,
            self.tally,
            self.whole.room(len(self._runs)),
            self.whole.rows,
            self._runs,
            self._losses,
            self.counts,
        )
        self.runs.append(self._runs[: int(runs)].copy())
        self.whole.add(int(count))
        for time, where, records in self._losses[: int(self.counts[LOSSES])].tolist():
            self.losses.append(Loss(time, where, records))
        for tid, place, size in self.names.threads[: int(self.names.found[1])].tolist():
            self.threads[tid] = _text(data[place : place + size])
        self.names.found[1] = 0


def recording_of(path: Path, data: Bytes) -> Recording:
    """Return the recording in the file whose bytes are `data`; raises as read_trace_dat_stream."""
    file = read_trace_dat(path, data)
    if file.clock not in _CLOCKS:
        raise TraceError(
            f"{file.path}: recorded with trace clock {file.clock!r}, which does not count"
            f" nanoseconds; record with -C mono (read: {', '.join(filter(None, _CLOCKS))})"
        )
    slots, _, lacking = choose_slots(file.formats)
    reader = _Reader(file, slots)
    for part in file.pages:
        reader.read(part)
    if not reader.whole.rows:
        raise TraceError(f"{file.path}: {_nothing_known(file, reader)}")
    runs = np.concatenate(reader.runs)
    points, origin, last = reader.whole.whole(runs)
    if last - origin > LONGEST:
        raise TraceError(f"{file.path}: its times, {origin} to {last} ns, are damaged")
    overwritten = [Loss(0, cpu, count) for cpu, count in sorted(file.overwritten.items())]
    found = int(reader.names.found[0])
    end = max((part.at + part.size for part in file.pages), default=0)
    return Recording(
        points=points,
        counted=reader.whole.counted,
        runs=runs,
        origin=origin,
        devices=[_text(name.view(np.uint8)) for name in reader.names.devices[:found]],
        threads={**file.threads, **reader.threads},
        clock=_CLOCKS[file.clock],
        losses=overwritten
        + [Loss(max(loss.time - origin, 0), loss.cpu, loss.records) for loss in reader.losses],
        cut=f"byte {len(file.data)}" if end > len(file.data) else None,
        watchdog=file.watchdog,
        facts=_facts(file),
        left_out=list(_left_out(file, reader, lacking)),
    )


def _facts(file: TraceDat) -> dict[str, Any]:
    """Return what the file says of its host."""
    words = file.uname.split()  # Linux NAME RELEASE ...
    host = {"hostname": words[1], "kernel": words[2]} if len(words) > 2 else {}
    return {
        "host": {**host, "cpus": file.cpus},
        "recorded_by": "trace-cmd record",
        "trace_clock": file.clock or "local",
    }


def _left_out(file: TraceDat, reader: _Reader, lacking: list[str]) -> Iterator[str]:
    """Yield what of the file is not used."""
    yield from file.damage
    counts = reader.tally.problems
    for problem, what in PROBLEMS.items():
        if counts[problem]:
            yield f"{counts[problem]:,} damaged records left out: {what}"
    if reader.counts[DAMAGED]:
        yield f"{reader.counts[DAMAGED]:,} ring buffer pages end in damage"
    if lacking:
        yield f"tracepoints that lack a field: {', '.join(lacking)}"
    total = int(reader.tally.unknown.sum())
    if total:
        yield f"{total:,} records of other events left out: {', '.join(_others(file, reader))}"
    if file.instances:
        yield f"other trace instances left out: {', '.join(map(ascii, file.instances[:8]))}"


def _others(file: TraceDat, reader: _Reader) -> list[str]:
    """Return the names of events that are not used."""
    numbers = [int(number) for number in np.flatnonzero(reader.tally.unknown)]
    names = [
        file.formats[number].name if number in file.formats else f"number {number}"
        for number in numbers
    ]
    return [*names[:8], "..."] if len(names) > 8 else names


def _nothing_known(file: TraceDat, reader: _Reader) -> str:
    """Return why no record could be used."""
    others = ", ".join(_others(file, reader)) or "none"
    return (
        f"{reader.counts[EVENTS]:,} records, none of a tracepoint that is known (its events:"
        f" {others}); record napi:napi_poll, net:napi_gro_receive_entry, net:net_dev_start_xmit"
        " and sched:sched_switch at least"
    )


def _text(raw: Bytes) -> str:
    return raw.tobytes().split(b"\0")[0].decode("utf-8", "replace")
