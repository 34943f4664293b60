"""The samples of one recording as Points, with the names of its devices and threads."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.errors import TraceError
from replay.ingest import perf_walk
from replay.ingest.little_endian import Bytes
from replay.ingest.perf_samples import Layouts
from replay.ingest.perf_stream import Block, Stream
from replay.ingest.perf_turn import turn_bodies
from replay.ingest.perf_walk import COMM, ID_INDEX, LOST, LOST_SAMPLES, Tally, read_samples
from replay.ingest.point_files import PointFiles
from replay.ingest.points_order import BLOCK, LONGEST
from replay.ingest.reconstruct_points import Points
from replay.ingest.reconstruct_survey import Counting
from replay.ingest.recording import Loss
from replay.ingest.tracepoint_decode import Names
from replay.ingest.tracepoints import Slots

Int64s = npt.NDArray[np.int64]

_OTHERS = 1 << 12
_STEP = 1 << 23  # bytes of records between two looks at memory


@dataclass
class PerfPoints:
    """What the samples of one recording say."""

    tally: Tally = field(default_factory=Tally.empty)
    points: Points = field(default_factory=lambda: Points.empty(0))
    counted: Counting = field(default_factory=Counting)
    runs: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))  # see points_order
    origin: int = 0  # of the recording's clock, ns, at the trace's zero
    devices: list[str] = field(default_factory=list)
    threads: dict[int, str] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    cpus: set[int] = field(default_factory=set)  # that were recorded, where that is said

    @property
    def samples(self) -> int:
        """All samples, of tracepoints or not."""
        return int(self.tally.records[perf_walk.SAMPLE])

    @property
    def unknown(self) -> dict[int, int]:
        """Samples of tracepoints that are not used, by number."""
        counts = self.tally.unknown
        return {int(number): int(counts[number]) for number in np.flatnonzero(counts)}


def read_points(path: Path, streams: list[Stream], layouts: Layouts, slots: Slots) -> PerfPoints:
    """Decode all samples of known tracepoints; those that are damaged are left out and counted.

    Raises TraceError where their times cannot be.
    """
    found = PerfPoints()
    reader = _Reader(found, layouts, slots)
    for stream in streams:
        for block in stream.blocks():
            if stream.big:
                turn_bodies(block.data, block.at, block.end, layouts, slots.by_number, slots.fields)
            reader.read(block)
    found.runs = np.concatenate([np.zeros(0, np.int64), *reader.runs])
    found.threads |= reader.threads
    found.devices = reader.devices()
    if reader.file.rows:
        _from_zero(path, found, reader.file)
    return found


class _Reader:
    """Reads block by block; what blocks hold is copied before the next one takes its place."""

    def __init__(self, found: PerfPoints, layouts: Layouts, slots: Slots) -> None:
        self.found, self.layouts, self.slots = found, layouts, slots
        self.names = Names.empty()
        self.file = PointFiles()
        self.runs: list[Int64s] = []
        self.threads: dict[int, str] = {}  # as the scheduler's events name them
        self._runs = np.empty(BLOCK, np.int64)
        self._others = np.empty(_OTHERS, np.int64)
        self._looked = _STEP  # the first block loads functions

    def read(self, block: Block) -> None:
        """Take all whole records of `block` up to one that is packed."""
        while True:
            before = block.at
            at, count, runs, others = read_samples(
                block.data,
                block.at,
                block.end,
                self.layouts,
                self.slots,
                self.names,
                self.found.tally,
                self.file.room(BLOCK),
                self.file.rows,
                self._runs,
                self._others,
            )
            block.at = int(at)
            if block.at == before:
                return
            if runs:
                self.runs.append(self._runs[:runs].copy())
            self.file.add(count)
            for place in self._others[:others].tolist():
                self._take(block.data, place)
            self._name_threads(block.data)
            self._looked += block.at - before
            if self._looked > _STEP:
                mapped.make_room()
                self._looked = 0

    def devices(self) -> list[str]:
        """Return the names of devices."""
        count = int(self.names.found[0])
        return [_text(name.view(np.uint8)) for name in self.names.devices[:count]]

    def _name_threads(self, data: Bytes) -> None:
        """Copy the names of threads that were met in this block."""
        for tid, place, size in self.names.threads[: int(self.names.found[1])].tolist():
            self.threads[tid] = _text(data[place : place + size])
        self.names.found[1] = 0

    def _take(self, data: Bytes, at: int) -> None:
        """Take a record that is no sample."""
        kind, size = struct.unpack_from("<I2xH", data.data, at)
        rows = self.layouts.rows
        if kind == COMM and size > 16:
            tid = struct.unpack_from("<I", data.data, at + 12)[0]
            self.found.threads[tid] = _text(data[at + 16 : at + min(size, 32)])
        elif kind == ID_INDEX:
            self.found.cpus |= _cpus(data, at, size)
        body = {LOST: 16, LOST_SAMPLES: 8}.get(kind, 0)  # LOST counts after an event's id
        if body and size >= 8 + body:
            records = struct.unpack_from("<q", data.data, at + body)[0]
            time = int(perf_walk.record_time(data, at, rows, 0))
            cpu = int(perf_walk.record_cpu(data, at, rows, 0))
            self.found.losses.append(Loss(time, cpu, max(records, 0)))


def _cpus(data: Bytes, at: int, size: int) -> set[int]:
    """Return the CPUs of an ID_INDEX record: how many events, then id, index, cpu, thread each."""
    count = struct.unpack_from("<q", data.data, at + 8)[0]
    entries = range(at + 16, at + size - 31, 32)[: max(count, 0)]
    cpus = {struct.unpack_from("<q", data.data, entry + 16)[0] for entry in entries}
    return {cpu for cpu in cpus if 0 <= cpu < 1 << 16}


def _from_zero(path: Path, found: PerfPoints, file: PointFiles) -> None:
    """Count times from the first point's on."""
    found.points, origin, last = file.whole(found.runs)
    found.counted = file.counted
    if last - origin > LONGEST:
        raise TraceError(f"{path}: its samples' times, {origin} to {last} ns, are damaged")
    within = range(origin, origin + LONGEST)
    found.origin = origin
    found.losses = [
        replace(loss, time=loss.time - origin if loss.time in within else 0)
        for loss in found.losses
    ]


def _text(raw: Bytes) -> str:
    return raw.tobytes().split(b"\0")[0].decode("utf-8", "replace")
