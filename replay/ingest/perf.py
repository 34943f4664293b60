"""A perf.data file with tracepoints, read directly: events, and the packets rebuilt from them."""

from __future__ import annotations

import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from replay.errors import TraceError
from replay.ingest import perf_header, perf_summary
from replay.ingest.ingested import Ingested, source_entry
from replay.ingest.perf_bytes import Bytes
from replay.ingest.perf_formats import read_formats
from replay.ingest.perf_header import read_header
from replay.ingest.perf_points import PerfPoints, read_points
from replay.ingest.perf_summary import PerfFile
from replay.ingest.perf_tracepoints import choose_slots
from replay.ingest.perf_walk import COMPRESSED, COMPRESSED2, SAMPLE, Walked, walk
from replay.ingest.reconstruct import Reconstruction, choose_device, reconstruct
from replay.ingest.reconstruct_error import interrupt_lag
from replay.ingest.reconstruct_events import Events, events_table, make_events

_CLOCK_MONOTONIC = 1


def read_perf(
    path: str | os.PathLike[str],
    *,
    device: str | None = None,
    facts: dict[str, Any] | None = None,
) -> Ingested:
    """Read a perf.data file of `perf record -e ...` with tracepoints of the receive path.

    device: whose packets to rebuild; the busiest where it is not named. facts: what is known of
    the recording, merged into the manifest. Two of them are used: `irq_lag_ns`, from a packet's
    arrival to the interrupt's handler or the wake-up of the NAPI thread; and `peer_device`, the
    other end of a virtual pair recorded as well, by which that lag is measured where it is not
    given.

    Raises TraceError where the file is none, of a kind that is not read, damaged, without a
    tracepoint that is known, or where `device` received nothing.
    """
    place = Path(path)
    said = dict(facts or {})
    data = _map(place)
    with ThreadPoolExecutor(1) as beside:
        hashed = beside.submit(source_entry, place)
        file, read = _decode(place, data)
        monotonic = perf_summary.common_clock(file.header) == _CLOCK_MONOTONIC
        events = make_events(
            read.points,
            len(read.devices),
            read.threads,
            clock=read.origin if monotonic else None,
        )
        chosen, others = choose_device(events.survey, read.devices, device)
        rebuilt = None if chosen is None else _rebuild(read, events, chosen, said)
        source = hashed.result()
    tables = {"events": events_table(events.columns), "gaps": perf_summary.gaps(file, read)}
    if rebuilt is not None:
        tables |= {"packets": rebuilt.packets, "flows": rebuilt.flows}
    lost = perf_summary.lost_lines(file, read, events)
    manifest = perf_summary.manifest(file, read, events, rebuilt, source)
    return Ingested(
        tables=tables,
        manifest=manifest | {"warnings": lost} | said,
        found=perf_summary.found_lines(read, events, rebuilt, others),
        inferred=perf_summary.inferred_lines(events, rebuilt),
        lost=lost,
    )


def _map(path: Path) -> Bytes:
    """Map the file into memory, read-only."""
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise TraceError(f"{path}: is empty")
            # All pages at once: a fault for each costs more than reading what is in it.
            flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_POPULATE", 0)
            mapped = mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ)
            return np.frombuffer(mapped, np.uint8)
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None


def _decode(path: Path, data: Bytes) -> tuple[PerfFile, PerfPoints]:
    """Read the frame, the tracepoints' formats, and all samples of known tracepoints."""
    header = read_header(path, data.data)
    if perf_header.TRACING_DATA not in header.features:
        walked = walk(data, header.data_start, header.data_end)
        _refuse_compressed(path, walked)
        if header.cut or header.missing:
            raise TraceError(
                f"{path}: cut: perf writes the layout of its {walked.counts[SAMPLE]} samples at"
                " the end, which is missing; let perf record end by itself or by Ctrl-C"
            )
        names = perf_header.event_names(data.data, header)
        raise TraceError(_nothing_known(path, walked, names))
    start, end = header.features[perf_header.TRACING_DATA]
    formats = read_formats(path, data[start:end].tobytes())
    slots, lacking = choose_slots(formats)
    read = read_points(path, data, header, slots)
    _refuse_compressed(path, read.walked)
    if not len(read.points.time):
        names = [formats[number].name for number in read.unknown if number in formats]
        names = names or perf_header.event_names(data.data, header)
        raise TraceError(_nothing_known(path, read.walked, names))
    return PerfFile(data, header, read.walked, formats, lacking), read


def _refuse_compressed(path: Path, walked: Walked) -> None:
    if walked.counts[COMPRESSED] or walked.counts[COMPRESSED2]:
        raise TraceError(
            f"{path}: compressed (perf record -z) is not read; perf inject -i {path.name} -o FILE"
            " writes it uncompressed"
        )


def _nothing_known(path: Path, walked: Walked, names: list[str]) -> str:
    listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return (
        f"{path}: {walked.counts[SAMPLE]} samples, none of a tracepoint that is known"
        f" (its events: {listed or 'unnamed'}); record napi:napi_poll,"
        " net:napi_gro_receive_entry, net:net_dev_start_xmit and sched:sched_switch at least"
    )


def _rebuild(read: PerfPoints, events: Events, device: int, said: dict[str, Any]) -> Reconstruction:
    """Rebuild the packets of `device`."""
    columns = events.columns
    by_gro = events.by_gro(device)
    lag = said.get("irq_lag_ns")
    peer = said.get("peer_device")
    if lag is None and peer in read.devices:
        lag = interrupt_lag(columns, device, events.napis, read.devices.index(peer), by_gro=by_gro)
    return reconstruct(columns, device, events.napis, lag=int(lag or 0), by_gro=by_gro)
