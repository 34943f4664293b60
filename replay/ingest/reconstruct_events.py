"""The events table, from the points of any recorder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay import mapped
from replay.ingest.batches import Batches, batches
from replay.ingest.column_files import ColumnFiles
from replay.ingest.points_order import BLOCK, in_order
from replay.ingest.reconstruct_events_numba import end_all, find_events
from replay.ingest.reconstruct_points import NO_CPU, NO_DEVICE, NO_TID, NULL, Point, Points
from replay.ingest.reconstruct_state import (
    NO_BUDGET,
    NO_CAUSE,
    NO_DURATION,
    NO_NAPI,
    Block,
    Columns,
    Cpu,
    Known,
    Napi,
    PacketEvents,
)
from replay.ingest.reconstruct_survey import Counting, Survey
from replay.trace.schema import EVENTS

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """The events of one recording, and what was found out on the way."""

    columns: Columns
    packets: PacketEvents
    survey: Survey
    napis: Int64s  # id of each NAPI, by what the napi column holds; several may have the same

    def by_gro(self, device: int) -> bool:
        """Whether a device's receive events are GRO's, one a packet."""
        return bool(self.survey.by_device(Point.GRO)[device])


def make_events(
    points: Points,
    devices: int,
    threads: dict[int, str],
    *,
    runs: Int64s | None = None,
    clock: int | None = None,
    watchdog: int | None = None,
    counted: Counting | None = None,
) -> Events:
    """Return the events that `points` make.

    runs: as for `in_order`; None: they are sorted by time. devices: how many there are. threads:
    names of threads by id; those that begin with "napi/" are NAPI threads. clock: what to take from
    CLOCK_MONOTONIC for trace time, where the recording has that clock. watchdog: the address of
    napi_watchdog(), or whatever number stands for it in
    `other`; sought among the timers where it is not given. counted: the points, where they were
    counted as they were read.
    """
    if counted is None:
        counted = Counting()
        counted.count(points)
    seen = counted.survey(devices, watchdog)
    napi_threads = np.zeros(seen.highest_tid + 1, np.uint8)
    for tid, name in threads.items():
        if name.startswith("napi/") and tid <= seen.highest_tid:
            napi_threads[tid] = 1
    known = Known(
        napis=seen.napis,
        timers=seen.napis + seen.timer_offset,
        watchdog=NULL if seen.watchdog is None else seen.watchdog,
        clock=NULL if clock is None else clock,
        gro_devices=(seen.by_device(Point.GRO) > 0).astype(np.uint8),
        sent_by=_sent_by(seen),
        wake=int(Point.WAKING if seen.of(Point.WAKING) else Point.WAKEUP),
        napi_threads=napi_threads,
        raises=seen.of(Point.SOFTIRQ_RAISE) > 0,
        softirqs=seen.of(Point.SOFTIRQ_ENTRY) > 0,
    )
    cpus = Cpu(
        *(
            np.full(len(seen.per_cpu), 0 if name in _ZERO_AT_FIRST else -1, np.int64)
            for name in Cpu._fields
        )
    )
    napis = Napi(*(np.zeros(len(seen.napis), np.int64) for _ in Napi._fields))
    in_epoll = np.zeros(seen.highest_tid + 1, np.uint8)
    woken = np.zeros(seen.highest_tid + 1, np.uint8)
    found: ColumnFiles[Columns] = ColumnFiles(Columns.empty(0))
    packets: ColumnFiles[PacketEvents] = ColumnFiles(PacketEvents.empty(0))
    late: list[Int64s] = []
    of_late = np.empty((2 * BLOCK, 3), np.int64)
    filled = np.zeros(3, np.int64)
    for number, part in enumerate(in_order(points, runs)):
        room = found.room(len(part.time)), packets.room(len(part.time))
        block = Block(*room, found.rows, of_late, filled)
        filled[:] = 0
        find_events(part, known, cpus, in_epoll, woken, napis, block)
        found.add(int(filled[0]))
        packets.add(int(filled[2]))
        late.append(of_late[: filled[1]].copy())
        if number % _LOOK == 0:
            mapped.make_room()
    filled[:] = 0
    end_all(cpus, Block(found.room(0), packets.room(0), found.rows, of_late, filled))
    columns = found.whole()
    for one in (*late, of_late[: filled[1]]):
        lasts, caused = one[one[:, 1] >= 0], one[one[:, 1] < 0]
        columns.duration[lasts[:, 0]] = lasts[:, 1]
        columns.cause[caused[:, 0]] = caused[:, 2]
        mapped.make_room()
    if len(seen.per_cpu) > NO_CPU:
        _forget_without_cpu(columns)
    # Ids begin above the number of CPUs, so places never look like one of them.
    ids = np.where(napis.id > 0, napis.id, np.arange(len(seen.napis)))
    return Events(columns, packets.whole(), seen, ids)


#: Blocks between two looks at memory.
_LOOK = 8

_ZERO_AT_FIRST = ("softirq_cause", "irq_seen", "raised", "gro_napi")


#: What stands for null in a column of events while they are made, by its name in EVENTS.
_NONE = {
    "cpu": NO_CPU,
    "tid": NO_TID,
    "device": NO_DEVICE,
    "napi": NO_NAPI,
    "value": NULL,
    "budget": NO_BUDGET,
    "cause": NO_CAUSE,
    "duration_ns": NO_DURATION,
}


def event_batches(events: Events) -> Batches:
    """Return the events as a table of schema EVENTS."""
    columns = {field.name: getattr(events.columns, _column(field.name)) for field in EVENTS}
    called = np.append(events.napis, NO_NAPI)

    def part(name: str, rows: slice) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = columns[name][rows]
        return called[values] if name == "napi" else values

    return batches(EVENTS, len(events.columns.time), part, _NONE)


def _column(name: str) -> str:
    """Return what Columns call a column of EVENTS."""
    return name.removesuffix("_ns")


def table_events(table: pa.Table) -> tuple[Columns, Int64s]:
    """Return an events table's columns, and the ids of its NAPIs; as in Events."""
    columns = {}
    for field in EVENTS:
        column = table[field.name].cast(pa.int64() if field.name == "napi" else field.type)
        if column.null_count:
            column = column.fill_null(_NONE[field.name])
        columns[_column(field.name)] = column.to_numpy()
    ids = np.unique(columns["napi"][columns["napi"] >= 0])
    places = np.searchsorted(ids, columns["napi"]).astype(np.int32)
    columns["napi"] = np.where(columns["napi"] >= 0, places, np.int32(NO_NAPI))
    return Columns(**columns), ids


def _forget_without_cpu(columns: Columns) -> None:
    """Forget what was concluded from the order of events on one CPU where it is not known."""
    for part in mapped.steps(len(columns.cpu)):
        unknown = columns.cpu[part] == NO_CPU
        columns.cause[part][unknown] = NO_CAUSE
        columns.duration[part][unknown] = NO_DURATION


def _sent_by(seen: Survey) -> npt.NDArray[np.uint8]:
    """Return, by device, which of its points to take for a packet sent: the best there is."""
    chosen = np.full(len(seen.counts[0]) - 1, Point.XMIT_QUEUED, np.uint8)
    for kind in (Point.XMIT_DONE, Point.XMIT):
        chosen[seen.by_device(kind) > 0] = kind
    return chosen
