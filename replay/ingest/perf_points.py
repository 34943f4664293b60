"""One perf.data file's samples as Points, with the names of its devices and threads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from replay.errors import TraceError
from replay.ingest import perf_walk, tracepoint_decode
from replay.ingest.little_endian import Bytes, load16, load32, load64
from replay.ingest.perf_header import PerfHeader
from replay.ingest.perf_samples import VARIABLE, sample_layouts
from replay.ingest.perf_walk import COMM, LOST, LOST_SAMPLES, Index, Walked
from replay.ingest.reconstruct_points import Points
from replay.ingest.recording import Loss
from replay.ingest.tracepoints import Slots

_LEAST_RAW = 4 + 8  # a sample's raw data: its length, and a tracepoint's common header
_LEAST_OTHER = 16  # LOST_SAMPLES: header and a count
_LONGEST_TRACE = 1 << 50  # ns: 13 days; leaves room to multiply


@dataclass(frozen=True)
class PerfPoints:
    """What the samples of one file say."""

    walked: Walked
    points: Points
    origin: int  # of the recording's clock, ns, at the trace's zero
    devices: list[str]
    threads: dict[int, str]
    losses: list[Loss]
    slot_counts: dict[str, int]  # samples of each known tracepoint
    unknown: dict[int, int]  # samples of other tracepoints, by number


def read_points(path: Path, data: Bytes, header: PerfHeader, slots: Slots) -> PerfPoints:
    """Decode all samples of known tracepoints. Raises TraceError where one is damaged."""
    identifiers, classes, layouts = sample_layouts(path, header.attrs)
    room = header.data_end - header.data_start
    index = Index.empty(room // int(layouts[:, VARIABLE].min() + _LEAST_RAW) + 1)
    counts = np.zeros(perf_walk.TYPES, np.int64)
    others = np.empty(room // _LEAST_OTHER + 1, np.int64)
    unknown = np.zeros(1 << 16, np.int64)
    found, found_others, end, damaged = perf_walk.index_samples(
        data,
        header.data_start,
        header.data_end,
        identifiers,
        classes,
        layouts,
        slots.by_number,
        slots.needed,
        index,
        counts,
        unknown,
        others,
    )
    if damaged >= 0:
        raise TraceError(f"{path}: the sample at byte {damaged} is shorter than its fields")
    walked = Walked(counts, end, end == header.data_end)
    index, others = index.first(found), others[:found_others]
    order, origin = _time_order(path, index)
    points = Points.empty(found)
    devices = np.zeros((tracepoint_decode.MOST_DEVICES, 2), np.int64)
    threads = np.zeros((tracepoint_decode.MOST_THREADS, 3), np.int64)
    seen = np.zeros(tracepoint_decode.HIGHEST_TID + 1, np.uint8)
    named, started, problem, sample = tracepoint_decode.decode(
        data, index, order, origin, slots.kind, slots.fields, points, devices, threads, seen
    )
    if problem != tracepoint_decode.GOOD:
        what = tracepoint_decode.PROBLEMS[problem]
        raise TraceError(f"{path}: the sample at byte {index.raw[sample]} has {what}")
    names = {int(tid): _text(data[place : place + size]) for tid, place, size in threads[:started]}
    per_slot = np.bincount(index.slot, minlength=len(slots.names))
    return PerfPoints(
        walked,
        points,
        origin,
        [_text(name.view(np.uint8)) for name in devices[:named]],
        _thread_names(data, others) | names,
        _losses(data, others, layouts, origin),
        {name: int(count) for name, count in zip(slots.names, per_slot, strict=True) if count},
        {int(number): int(unknown[number]) for number in np.flatnonzero(unknown)},
    )


def _time_order(path: Path, index: Index) -> tuple[np.ndarray, int]:
    """Return the samples' order in time (ties as in the file) and the first's time."""
    times = index.time
    if not len(times):
        return np.zeros(0, np.int64), 0
    origin, last = int(times.min()), int(times.max())
    if origin < 0 or last - origin > _LONGEST_TRACE:
        raise TraceError(f"{path}: its samples' times, {origin} to {last} ns, are damaged")
    if np.all(times[1:] >= times[:-1]):
        return np.arange(len(times)), origin
    return np.argsort(times, kind="stable"), origin


def _losses(data: Bytes, others: np.ndarray, layouts: np.ndarray, origin: int) -> list[Loss]:
    losses = []
    for at in others:
        kind, size = load32(data, at), load16(data, at + 6)
        body = {LOST: 16, LOST_SAMPLES: 8}.get(kind, 0)  # LOST counts after an event's id
        if not body or size < 8 + body:
            continue
        records = int(load64(data, at + body))
        time = int(perf_walk.record_time(data, at, layouts, 0))
        cpu = int(perf_walk.record_cpu(data, at, layouts, 0))
        within = origin <= time <= origin + _LONGEST_TRACE
        losses.append(Loss(time - origin if within else 0, cpu, max(records, 0)))
    return losses


def _thread_names(data: Bytes, others: np.ndarray) -> dict[int, str]:
    """Return the names of threads from COMM records: pid, tid, name."""
    names = {}
    for at in others:
        size = load16(data, at + 6)
        if load32(data, at) == COMM and size > 16:
            names[int(load32(data, at + 12))] = _text(data[at + 16 : at + min(size, 32)])
    return names


def _text(raw: np.ndarray) -> str:
    return raw.tobytes().split(b"\0")[0].decode("utf-8", "replace")
