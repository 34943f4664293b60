"""A perf.data recording with tracepoints, read directly."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from replay.errors import TraceError
from replay.ingest import perf_header
from replay.ingest.ingested import Ingested, Made, ignore, source_entry
from replay.ingest.perf_files import PerfFiles, open_perf
from replay.ingest.perf_header import PerfHeader
from replay.ingest.perf_points import PerfPoints, read_points
from replay.ingest.perf_samples import sample_layouts
from replay.ingest.rebuild import rebuild
from replay.ingest.recording import Recording
from replay.ingest.tracepoint_decode import PROBLEMS
from replay.ingest.tracepoint_formats import Format, read_formats
from replay.ingest.tracepoints import choose_slots


def read_perf(
    path: str | os.PathLike[str],
    *,
    device: str | None = None,
    facts: dict[str, Any] | None = None,
    made: Made = ignore,
) -> Ingested:
    """Read a perf.data file of `perf record -e ...` with tracepoints of the receive path.

    device, facts, made: as for `rebuild`.

    Raises TraceError where the file is none, of a kind that is not read, damaged, without a
    tracepoint that is known, or where `device` received nothing.
    """
    place = Path(path)
    files = open_perf(place)
    read = rebuild(read_recording(place, files), device=device, facts=facts, made=made)
    source = source_entry(place, *files.contents)
    return replace(read, manifest={"sources": [source], **read.manifest})


def read_recording(path: Path, files: PerfFiles) -> Recording:
    """Read the tracepoints' formats, and all samples of known tracepoints.

    Raises TraceError where the recording is damaged, or without a tracepoint that is known.
    """
    header = files.header
    section = header.features.get(perf_header.TRACING_DATA)
    formats = {} if section is None else read_formats(path, bytes(section))
    slots, _, lacking = choose_slots(formats)
    read = read_points(path, files.streams, sample_layouts(path, header.attrs), slots)
    if not len(read.points.time):
        raise TraceError(f"{path}: {_nothing_known(files, read, formats)}")
    return Recording(
        points=read.points,
        counted=read.counted,
        runs=read.runs,
        origin=read.origin,
        devices=read.devices,
        threads=read.threads,
        clock=_clock(header)[1],
        losses=read.losses,
        cpus=read.cpus or None,
        cut=files.cut,
        facts=_facts(header, read.origin),
        left_out=_left_out(read, formats, lacking),
    )


def _nothing_known(files: PerfFiles, read: PerfPoints, formats: dict[int, Format]) -> str:
    """Return why no sample could be used."""
    header, count = files.header, f"{read.samples:,} sample{'s'[: read.samples != 1]}"
    blind = perf_header.TRACING_DATA not in header.features
    if blind and (header.cut or header.missing):
        return (
            f"cut: perf writes the layout of its {count} at the end, which is missing; let perf"
            " record end by itself or by Ctrl-C"
        )
    damaged = _damaged(read)
    if damaged and not blind:
        return f"{count}, none whole: {damaged[0]}"
    names = [formats[number].name for number in read.unknown if number in formats]
    names = names or perf_header.event_names(header)
    listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    ends = f"; cut at {files.cut}" if files.cut else ""
    return (
        f"{count}, none of a tracepoint that is known (its events: {listed or 'unnamed'}){ends};"
        " record napi:napi_poll, net:napi_gro_receive_entry, net:net_dev_start_xmit and"
        " sched:sched_switch at least"
    )


def _clock(header: PerfHeader) -> tuple[int | None, str]:
    """Return the clock of all events and its name; None where it is perf's own, or they differ."""
    clocks = {attr.clockid for attr in header.attrs if attr.type == perf_header.TRACEPOINT}
    clock = clocks.pop() if len(clocks) == 1 else None
    if clock is None:
        return None, "perf's own (sched_clock)"
    return clock, perf_header.CLOCKS.get(clock, f"clock {clock}")


def _facts(header: PerfHeader, origin: int) -> dict[str, Any]:
    """Return what the file says of its host, its recorder and the wall clock."""
    known: dict[str, Any] = {
        "host": {
            "hostname": perf_header.feature_text(header, perf_header.HOSTNAME),
            "kernel": perf_header.feature_text(header, perf_header.OSRELEASE),
            "cpu": perf_header.feature_text(header, perf_header.CPUDESC),
            "cpus": perf_header.online_cpus(header),
        },
        "recorded_by": perf_header.command_line(header),
    }
    reference = perf_header.clock_reference(header)
    if reference is not None and reference[0] == _clock(header)[0]:
        known["wall_origin_ns"] = reference[1] - reference[2] + origin
    return known


def _left_out(read: PerfPoints, formats: dict[int, Format], lacking: list[str]) -> list[str]:
    """Return what of the file is not used."""
    lines = _damaged(read)
    if lacking:
        lines.append(f"tracepoints that lack a field: {', '.join(lacking)}")
    if read.unknown:
        names = [
            formats[number].name if number in formats else f"number {number}"
            for number in read.unknown
        ]
        total = sum(read.unknown.values())
        lines.append(f"{total:,} samples of other tracepoints left out: {', '.join(names[:8])}")
    return lines


def _damaged(read: PerfPoints) -> list[str]:
    """Return which samples were damaged."""
    counts = read.tally.problems
    return [
        f"{counts[problem]:,} damaged samples left out: {what}"
        for problem, what in PROBLEMS.items()
        if counts[problem]
    ]
