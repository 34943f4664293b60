"""A perf.data file with tracepoints, read directly: events, and the packets rebuilt from them."""

from __future__ import annotations

import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.errors import TraceError
from replay.ingest import perf_header
from replay.ingest.ingested import Ingested, source_entry
from replay.ingest.perf_formats import Format, read_formats
from replay.ingest.perf_header import PerfHeader, read_header
from replay.ingest.perf_points import PerfPoints, read_points
from replay.ingest.perf_tracepoints import choose_slots
from replay.ingest.perf_walk import COMPRESSED, COMPRESSED2, SAMPLE, Walked, walk
from replay.ingest.reconstruct import Reconstruction, choose_device, reconstruct
from replay.ingest.reconstruct_events import Events, events_table, make_events
from replay.ingest.reconstruct_points import Point
from replay.trace.schema import GAPS, EventKind

_MONOTONIC = 1


def read_perf(
    path: str | os.PathLike[str],
    *,
    device: str | None = None,
    facts: dict[str, Any] | None = None,
) -> Ingested:
    """Read a perf.data file of `perf record -e ...` with tracepoints of the receive path.

    device: whose packets to rebuild; the busiest where it is not named. facts: what is known of
    the recording, merged into the manifest; of them `irq_lag_ns` (from a packet's arrival to the
    interrupt's handler, or to the wake-up of the NAPI thread) moves the arrivals.

    Raises TraceError where the file is none, of a kind that is not read, damaged, without a
    tracepoint that is known, or where `device` received nothing.
    """
    place = Path(path)
    said = dict(facts or {})
    with ThreadPoolExecutor(1) as beside:
        source = beside.submit(source_entry, place)
        data = _map(place)
        header = read_header(place, data.data)
        walked = walk(data, header.data_start, header.data_end)
        _refuse_compressed(place, walked)
        formats = _formats(place, data, header, walked)
        slots, lacking = choose_slots(formats)
        read = read_points(place, data, header, slots, walked)
        if not len(read.points.time):
            raise TraceError(_nothing_known(place, data, header, formats, read, walked))
        clock = read.origin if _clockid(header) == _MONOTONIC else None
        events = make_events(read.points, len(read.devices), read.threads, clock=clock)
        chosen, others = choose_device(events.columns, read.devices, device)
        rebuilt = None
        if chosen is not None:
            by_gro = bool(np.any((read.points.kind == Point.GRO) & (read.points.device == chosen)))
            lag = int(said.get("irq_lag_ns") or 0)
            rebuilt = reconstruct(events.columns, chosen, lag=lag, by_gro=by_gro)
        entry = source.result()
    gaps = _gaps(read, header, walked)
    tables = {"events": events_table(events.columns), "gaps": gaps}
    if rebuilt is not None:
        tables |= {"packets": rebuilt.packets, "flows": rebuilt.flows}
    manifest = _manifest(data, header, read, events, rebuilt, entry)
    lost = _lost_lines(read, header, walked, lacking, formats)
    manifest["warnings"] = lost
    return Ingested(
        tables=tables,
        manifest=manifest | said,
        found=_found_lines(header, read, events, rebuilt, others),
        inferred=_inferred_lines(read, events, rebuilt),
        lost=lost,
    )


def _map(path: Path) -> npt.NDArray[np.uint8]:
    """Map the file into memory, read-only."""
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise TraceError(f"{path}: is empty")
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None


def _refuse_compressed(path: Path, walked: Walked) -> None:
    if walked.counts[COMPRESSED] or walked.counts[COMPRESSED2]:
        raise TraceError(
            f"{path}: compressed (perf record -z) is not read; perf inject -i {path.name} -o FILE"
            " writes it uncompressed"
        )


def _formats(
    path: Path, data: npt.NDArray[np.uint8], header: PerfHeader, walked: Walked
) -> dict[int, Format]:
    """Read the tracepoints' formats."""
    if perf_header.TRACING_DATA not in header.features:
        if header.cut:
            raise TraceError(
                f"{path}: cut: perf writes the layout of its {walked.counts[SAMPLE]} samples at"
                " the end, which is missing; let perf record end by itself or by Ctrl-C"
            )
        return {}
    start, end = header.features[perf_header.TRACING_DATA]
    return read_formats(path, data[start:end].tobytes())


def _clockid(header: PerfHeader) -> int | None:
    """Return the clock of all events, None where it is perf's own or not the same for all."""
    clocks = {attr.clockid for attr in header.attrs if attr.type == perf_header.TRACEPOINT}
    return clocks.pop() if len(clocks) == 1 else None


def _nothing_known(
    path: Path,
    data: npt.NDArray[np.uint8],
    header: PerfHeader,
    formats: dict[int, Format],
    read: PerfPoints,
    walked: Walked,
) -> str:
    names = [formats[number].name for number in read.unknown if number in formats]
    names = names or perf_header.event_names(data.data, header)
    listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return (
        f"{path}: {walked.counts[SAMPLE]} samples, none of a tracepoint that is known"
        f" (its events: {listed or 'unnamed'}); record napi:napi_poll,"
        " net:napi_gro_receive_entry, net:net_dev_start_xmit and sched:sched_switch at least"
    )


def _gaps(read: PerfPoints, header: PerfHeader, walked: Walked) -> pa.Table:
    """Return what was lost and where the file is cut, as a table of schema GAPS."""
    rows: list[dict[str, Any]] = []
    times, cpus = read.points.time, read.points.cpu
    for loss in read.losses:
        start = None
        if loss.time:
            # The kernel reports a loss with the next record it can store on that CPU.
            before = np.flatnonzero(cpus[: np.searchsorted(times, loss.time)] == loss.cpu)
            start = int(times[before[-1]]) if len(before) else 0
        rows.append(
            {
                "start_ns": start,
                "end_ns": loss.time or None,
                "source": 0,
                "cause": "lost",
                "lost": loss.records,
            }
        )
    if header.cut or not walked.whole:
        last = int(times[-1])
        rows.append({"start_ns": last, "end_ns": None, "source": 0, "cause": "cut", "lost": None})
    return pa.Table.from_pylist(rows, schema=GAPS)


def _manifest(
    data: npt.NDArray[np.uint8],
    header: PerfHeader,
    read: PerfPoints,
    events: Events,
    rebuilt: Reconstruction | None,
    entry: dict[str, Any],
) -> dict[str, Any]:
    view = data.data
    clockid = _clockid(header)
    manifest: dict[str, Any] = {
        "sources": [entry],
        "clock": perf_header.CLOCKS.get(clockid, f"clock {clockid}")
        if clockid is not None
        else "perf (sched_clock)",
        "origin_ns": read.origin,
        "duration_ns": int(read.points.time[-1]) + 1,
        "devices": read.devices,
        "loop": "unknown",
        "losses": sum(loss.records for loss in read.losses),
        "host": {
            "hostname": perf_header.feature_text(view, header, perf_header.HOSTNAME),
            "kernel": perf_header.feature_text(view, header, perf_header.OSRELEASE),
            "cpu": perf_header.feature_text(view, header, perf_header.CPUDESC),
            "cpus": perf_header.online_cpus(view, header),
        },
        "recorded_by": perf_header.command_line(view, header),
        "recorded_events": _recorded_events(read, rebuilt, events),
    }
    reference = perf_header.clock_reference(view, header)
    if reference is not None and reference[0] == clockid:
        manifest["wall_origin_ns"] = reference[1] - reference[2] + read.origin
    if rebuilt is not None:
        manifest["device"] = read.devices[rebuilt.device]
        manifest["workers"] = {str(tid): read.threads.get(tid) for tid in rebuilt.workers}
    return manifest


def _recorded_events(
    read: PerfPoints, rebuilt: Reconstruction | None, events: Events
) -> dict[str, Any]:
    """Count the samples: each took time on its CPU, which calibration removes."""
    per_cpu = np.bincount(read.points.cpu)
    counts: dict[str, Any] = {
        "total": len(read.points.cpu),
        "per_cpu": {str(cpu): int(count) for cpu, count in enumerate(per_cpu) if count},
    }
    if rebuilt is not None and rebuilt.requests:
        columns = events.columns
        mine = (columns.kind == EventKind.RECEIVE) & (columns.device == rebuilt.device)
        server = int(np.argmax(np.bincount(columns.cpu[mine])))
        counts["server_cpu"] = server
        counts["per_request"] = round(int(per_cpu[server]) / rebuilt.requests, 3)
    return counts


def _found_lines(
    header: PerfHeader,
    read: PerfPoints,
    events: Events,
    rebuilt: Reconstruction | None,
    others: list[str],
) -> list[str]:
    seconds = int(read.points.time[-1]) / 1e9
    lines = [f"{len(read.points.time):,} samples of known tracepoints in {seconds:.3f} s"]
    columns = events.columns
    polls = columns.kind == EventKind.POLL
    if rebuilt is None:
        lines.append("no device received a packet")
        return lines
    name = read.devices[rebuilt.device]
    mine = polls & (columns.device == rebuilt.device)
    lines.append(
        f"{name}: {int(mine.sum()):,} polls, {int((columns.value[mine] == 0).sum()):,} of them"
        f" empty; {rebuilt.requests:,} requests, {rebuilt.acks:,} ACKs, {rebuilt.sent:,} sent"
    )
    if others:
        lines.append(f"other receiving devices: {', '.join(others)} (choose with device=)")
    return lines


def _inferred_lines(read: PerfPoints, events: Events, rebuilt: Reconstruction | None) -> list[str]:
    lines = []
    if events.watchdog is not None:
        lines.append("napi_watchdog: the timer that lies within a polled napi_struct")
    if rebuilt is not None:
        lines += rebuilt.inferred
        lines.append(
            f"responses found for {rebuilt.served:,} of {rebuilt.requests:,} requests,"
            f" by {len(rebuilt.workers)} worker thread(s), in the order of delivery"
        )
    return lines


def _lost_lines(
    read: PerfPoints,
    header: PerfHeader,
    walked: Walked,
    lacking: list[str],
    formats: dict[int, Format],
) -> list[str]:
    lines = []
    if read.losses:
        total = sum(loss.records for loss in read.losses)
        lines.append(f"{total:,} records lost in {len(read.losses)} places (perf record -m)")
    if header.cut or not walked.whole:
        lines.append(f"cut at byte {walked.end}: what came before is kept")
    if lacking:
        lines.append(f"tracepoints that lack a field: {', '.join(lacking)}")
    if read.unknown:
        names = [formats[n].name if n in formats else f"number {n}" for n in read.unknown]
        total = sum(read.unknown.values())
        lines.append(f"{total:,} samples of other tracepoints left out: {', '.join(names[:8])}")
    if _clockid(header) != _MONOTONIC:
        lines.append(
            "clock is not CLOCK_MONOTONIC: cannot be joined with a capture; timers'"
            " lengths unknown (perf record -k CLOCK_MONOTONIC)"
        )
    kinds = set(np.unique(read.points.kind).tolist())
    for point, name, what in (
        (Point.POLL, "napi:napi_poll", "polls"),
        (Point.SWITCH, "sched:sched_switch", "which thread had the CPU"),
        (Point.EPOLL_RETURN, "syscalls:sys_exit_epoll_wait", "service times"),
        (Point.GRO, "net:napi_gro_receive_entry", "each packet of a merged one, and flows"),
    ):
        if point not in kinds:
            lines.append(f"no {name}: {what} unknown")
    return lines
