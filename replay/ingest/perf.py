"""A perf.data file with tracepoints, read directly."""

from __future__ import annotations

import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from replay.errors import TraceError
from replay.ingest import perf_header
from replay.ingest.ingested import Ingested, source_entry
from replay.ingest.little_endian import Bytes
from replay.ingest.perf_header import PerfHeader, read_header
from replay.ingest.perf_points import read_points
from replay.ingest.perf_walk import COMPRESSED, COMPRESSED2, SAMPLE, Walked, walk
from replay.ingest.rebuild import rebuild
from replay.ingest.recording import Recording
from replay.ingest.tracepoint_formats import Format, read_formats
from replay.ingest.tracepoints import choose_slots


def read_perf(
    path: str | os.PathLike[str],
    *,
    device: str | None = None,
    facts: dict[str, Any] | None = None,
) -> Ingested:
    """Read a perf.data file of `perf record -e ...` with tracepoints of the receive path.

    device, facts: as for `rebuild`.

    Raises TraceError where the file is none, of a kind that is not read, damaged, without a
    tracepoint that is known, or where `device` received nothing.
    """
    place = Path(path)
    with ThreadPoolExecutor(1) as beside:
        hashed = beside.submit(source_entry, place)
        read = rebuild(read_recording(place), device=device, facts=facts)
        return replace(read, manifest={"sources": [hashed.result()], **read.manifest})


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


def read_recording(path: Path) -> Recording:
    """Read the frame, the tracepoints' formats, and all samples of known tracepoints.

    Raises TraceError where the file is none, of a kind that is not read, damaged, or without a
    tracepoint that is known.
    """
    data = _map(path)
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
    return Recording(
        points=read.points,
        origin=read.origin,
        devices=read.devices,
        threads=read.threads,
        clock=_clock(header)[1],
        losses=read.losses,
        cut=f"byte {read.walked.end}" if header.cut or not read.walked.whole else None,
        facts=_facts(data, header, read.origin),
        left_out=_left_out(read.unknown, formats, lacking),
    )


def _clock(header: PerfHeader) -> tuple[int | None, str]:
    """Return the clock of all events and its name; None where it is perf's own, or they differ."""
    clocks = {attr.clockid for attr in header.attrs if attr.type == perf_header.TRACEPOINT}
    clock = clocks.pop() if len(clocks) == 1 else None
    if clock is None:
        return None, "perf's own (sched_clock)"
    return clock, perf_header.CLOCKS.get(clock, f"clock {clock}")


def _facts(data: Bytes, header: PerfHeader, origin: int) -> dict[str, Any]:
    """Return what the file says of its host, its recorder and the wall clock."""
    view = data.data
    known: dict[str, Any] = {
        "host": {
            "hostname": perf_header.feature_text(view, header, perf_header.HOSTNAME),
            "kernel": perf_header.feature_text(view, header, perf_header.OSRELEASE),
            "cpu": perf_header.feature_text(view, header, perf_header.CPUDESC),
            "cpus": perf_header.online_cpus(view, header),
        },
        "recorded_by": perf_header.command_line(view, header),
    }
    reference = perf_header.clock_reference(view, header)
    if reference is not None and reference[0] == _clock(header)[0]:
        known["wall_origin_ns"] = reference[1] - reference[2] + origin
    return known


def _left_out(unknown: dict[int, int], formats: dict[int, Format], lacking: list[str]) -> list[str]:
    """Return what of the file is not used."""
    lines = []
    if lacking:
        lines.append(f"tracepoints that lack a field: {', '.join(lacking)}")
    if unknown:
        names = [
            formats[number].name if number in formats else f"number {number}" for number in unknown
        ]
        total = sum(unknown.values())
        lines.append(f"{total:,} samples of other tracepoints left out: {', '.join(names[:8])}")
    return lines


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
