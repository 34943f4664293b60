"""The events table, from the points of any recorder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.ingest.reconstruct_events_numba import find_events
from replay.ingest.reconstruct_points import NO_DEVICE, NULL, Point, Points
from replay.ingest.reconstruct_state import (
    NO_BUDGET,
    NO_CAUSE,
    NO_DURATION,
    NO_NAPI,
    Columns,
    Cpu,
    Known,
    Napi,
)
from replay.trace.schema import EVENTS

#: napi_struct is shorter than this; its timer lies within.
_NAPI_STRUCT = 1024
_HIGHEST_TID = 1 << 22


@dataclass(frozen=True)
class Events:
    """The events of one recording, and what was found out on the way."""

    columns: Columns
    watchdog: int | None  # address of napi_watchdog(), where its timers were told apart
    napis: int  # NAPIs that were polled
    gro_devices: frozenset[int]  # devices whose receive events are GRO's, one a packet


def make_events(
    points: Points,
    devices: int,
    threads: dict[int, str],
    *,
    clock: int | None = None,
    watchdog: int | None = None,
) -> Events:
    """Return the events that `points` (sorted by time) make.

    devices: how many there are. threads: names of threads by id; those that begin with "napi/"
    are NAPI threads. clock: what to take from CLOCK_MONOTONIC for trace time, where the recording
    has that clock. watchdog: the address of napi_watchdog(), or whatever number stands for it in
    `other`; sought among the timers where it is not given.
    """
    kinds = np.bincount(points.kind, minlength=len(Point))
    napis = np.unique(points.object[points.kind == Point.POLL])
    offset = 0
    if watchdog is None:
        watchdog, offset = _find_watchdog(points, napis)
    highest = max((int(points.tid.max(initial=0)), *(t for t in threads if t <= _HIGHEST_TID)))
    for kind in (Point.SWITCH, Point.WAKEUP, Point.WAKING):
        if kinds[kind]:
            highest = max(highest, int(points.value[points.kind == kind].max()))
    napi_threads = np.zeros(highest + 1, np.uint8)
    for tid, name in threads.items():
        if name.startswith("napi/") and tid <= highest:
            napi_threads[tid] = 1
    known = Known(
        napis=napis,
        watchdog=NULL if watchdog is None else watchdog,
        timer_offset=offset,
        clock=NULL if clock is None else clock,
        gro_devices=_seen_devices(points, devices, Point.GRO).astype(np.uint8),
        sent_by=_sent_by(points, devices),
        wake=int(Point.WAKING if kinds[Point.WAKING] else Point.WAKEUP),
        napi_threads=napi_threads,
        raises=bool(kinds[Point.SOFTIRQ_RAISE]),
        softirqs=bool(kinds[Point.SOFTIRQ_ENTRY]),
    )
    cpus = int(points.cpu.max(initial=0)) + 1
    state = Cpu(
        *(np.full(cpus, 0 if name in _ZERO_AT_FIRST else -1, np.int64) for name in Cpu._fields)
    )
    columns = _empty(len(points.time))
    by_napi = Napi(*(np.zeros(len(napis), np.int64) for _ in Napi._fields))
    rows = find_events(
        points,
        known,
        state,
        np.zeros(highest + 1, np.uint8),
        np.zeros(highest + 1, np.uint8),
        by_napi,
        columns,
    )
    columns = columns.first(rows)
    # Ids begin above the number of CPUs, so places never look like one of them.
    gro = frozenset(np.flatnonzero(known.gro_devices).tolist())
    names = np.append(np.where(by_napi.id > 0, by_napi.id, np.arange(len(napis))), NO_NAPI)
    return Events(columns._replace(napi=names[columns.napi]), watchdog, len(napis), gro)


_ZERO_AT_FIRST = ("softirq_cause", "irq_seen", "raised", "gro_napi")


def events_table(columns: Columns) -> pa.Table:
    """Return the events as a table of schema EVENTS."""
    none = {
        "device": columns.device == NO_DEVICE,
        "napi": columns.napi == NO_NAPI,
        "value": columns.value == NULL,
        "budget": columns.budget < 0,
        "cause": columns.cause == NO_CAUSE,
        "duration": columns.duration < 0,
    }
    arrays = [
        arrow_array(getattr(columns, field.name.removesuffix("_ns")), field.type, missing)
        for field in EVENTS
        for missing in [none.get(field.name.removesuffix("_ns"))]
    ]
    return pa.table(arrays, schema=EVENTS)


def table_columns(table: pa.Table) -> Columns:
    """Return an events table's columns; without `detail`, which a bundle does not hold."""
    none = {"device": NO_DEVICE, "napi": NO_NAPI, "value": NULL, "budget": NO_BUDGET}
    none |= {"cause": NO_CAUSE, "duration_ns": NO_DURATION, "tid": 0}
    wide = {"napi": pa.int64()}
    columns = {}
    for field in EVENTS:
        column = table[field.name].cast(wide.get(field.name, field.type))
        if column.null_count:
            column = column.fill_null(none[field.name])
        columns[field.name.removesuffix("_ns")] = column.to_numpy()
    return Columns(**columns, detail=np.full(len(table), NULL, np.int64))


def arrow_array(
    values: npt.NDArray[np.generic], kind: pa.DataType, missing: npt.NDArray[np.bool_] | None
) -> pa.Array:
    """Return `values` as an Arrow array without a copy; null where `missing`."""
    values = np.ascontiguousarray(values, kind.to_pandas_dtype())
    validity = None
    if missing is not None and missing.any():
        validity = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(values)])


def _find_watchdog(points: Points, napis: npt.NDArray[np.int64]) -> tuple[int | None, int]:
    """Return napi_watchdog's address and the offset of the timer in a NAPI.

    A recording holds the addresses of functions, not their names; but a NAPI's timer lies within
    its napi_struct, whose address each poll names.
    """
    timers = (points.kind == Point.TIMER_START) | (points.kind == Point.TIMER_FIRE)
    addresses, functions = points.object[timers], points.other[timers]
    best: tuple[int | None, int] = (None, _NAPI_STRUCT)
    if not len(napis):
        return None, 0
    for function in np.unique(functions):
        mine = np.unique(addresses[functions == function])
        before = np.searchsorted(napis, mine, side="right") - 1
        distance = mine - napis[np.maximum(before, 0)]
        inside = (before >= 0) & (distance > 0) & (distance < _NAPI_STRUCT)
        # The timers of NAPIs that were never polled lie in none that is known.
        if inside.any() and np.ptp(distance[inside]) == 0 and distance[inside][0] < best[1]:
            best = int(function), int(distance[inside][0])
    return best if best[0] is not None else (None, 0)


def _seen_devices(points: Points, devices: int, kind: Point) -> npt.NDArray[np.bool_]:
    """Return, by device, whether it has a point of that kind."""
    found = np.bincount(points.device[points.kind == kind], minlength=NO_DEVICE + 1)
    return found[:devices] > 0


def _sent_by(points: Points, devices: int) -> npt.NDArray[np.uint8]:
    """Return, by device, which of its points to take for a packet sent: the best there is."""
    chosen = np.full(devices, Point.XMIT_QUEUED, np.uint8)
    for kind in (Point.XMIT_DONE, Point.XMIT):
        chosen[_seen_devices(points, devices, kind)] = kind
    return chosen


def _empty(rows: int) -> Columns:
    return Columns(
        time=np.empty(rows, np.int64),
        cpu=np.empty(rows, np.uint16),
        kind=np.empty(rows, np.uint8),
        device=np.empty(rows, np.uint16),
        napi=np.empty(rows, np.int64),
        tid=np.empty(rows, np.int32),
        value=np.empty(rows, np.int64),
        budget=np.empty(rows, np.int32),
        cause=np.empty(rows, np.uint8),
        duration=np.empty(rows, np.int64),
        detail=np.empty(rows, np.int64),
    )
