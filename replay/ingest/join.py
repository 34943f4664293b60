"""A capture and a recording of the same minutes: one bundle on the recording's clock.

Captures are stamped by the wall clock. A recording says where that stood on its own clock (perf's
CLOCK_DATA), or a person does.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay import mapped
from replay.errors import TraceError
from replay.ingest.capture_summary import NO_SERVICE
from replay.ingest.ingested import Ingested, Made, ignore, reading, source_entry
from replay.ingest.join_packets import Seen
from replay.ingest.rebuild import rebuild
from replay.ingest.recording import Recording
from replay.ingest.sniff import PERF, sniff
from replay.ingest.stream import Stream
from replay.trace.bundle import Trace
from replay.trace.holes import Hole
from replay.trace.schema import GAPS
from replay.units import SECOND

#: Link types of captures on all interfaces at once (tcpdump -i any).
_COOKED = (113, 276)
#: Below this share of the capture's packets something is wrong with the pair.
_FEW = 0.5

_OFFSET = re.compile(r"\s*([+-]?)(\d{1,24}(?:\.\d{1,12})?)\s*(ns|us|µs|ms|s)?\s*")
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": SECOND}


def parse_offset(text: str) -> int:
    """Return ns for `1795364177.598320199s` or a bare number of ns, its sign kept.

    Raises TraceError for other text.
    """
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise TraceError(f"clock offset {text!r}: a number with ns, us, ms or s is expected")
    value = int(Decimal(match[2]) * _UNITS[match[3] or "ns"])
    if value >= 1 << 62:
        raise TraceError(f"clock offset {text!r} is beyond 146 years")
    return -value if match[1] == "-" else value


def read_joined(
    recording: Path,
    capture: Path,
    *,
    server: str | None = None,
    device: str | None = None,
    clock_offset: int | None = None,
    place: Path,
    made: Made = ignore,
) -> Ingested:
    """Read a recording of kernel events and a capture and join them; see `join_sources`.

    `server` is as for captured, `device` as for read_perf, `made` as for rebuild. `place` is a
    folder for the capture's tables meanwhile. Raises TraceError, and OSError where there is no
    room in it.
    """
    from replay.ingest.pcap import captured

    with captured(capture, server=server, place=place) as (seen, trace), reading(recording):
        mapped.trim()
        recorded, entry = _open_recording(recording)
        read = join_sources(
            recorded,
            seen,
            trace,
            paths=(recording, capture),
            device=device,
            clock_offset=clock_offset,
            made=made,
        )
    return replace(read, manifest={"sources": [entry, *seen.manifest["sources"]], **read.manifest})


def _open_recording(path: Path) -> tuple[Recording, dict[str, Any]]:
    """Return a recording and its entry in the manifest."""
    kind = sniff(path)
    if kind == PERF:
        from replay.ingest.perf import read_recording
        from replay.ingest.perf_files import open_perf

        files = open_perf(path)
        entry = source_entry(path, *files.contents)
        return read_recording(path, files), {**entry, "format": kind}
    from replay.ingest.recordings import read_recording as read_other

    with Stream(path) as stream:
        return read_other(stream, kind), {**stream.entry(), "format": kind}


def join_sources(
    recording: Recording,
    capture: Ingested,
    trace: Trace,
    *,
    paths: tuple[Path, Path],
    device: str | None,
    clock_offset: int | None,
    made: Made = ignore,
) -> Ingested:
    """Return the recording's events and packets, these with the identities of the capture's.

    `trace` has the capture's tables; `paths` are those of the recording and the capture;
    `clock_offset` is what to add to the recording's clock to get the capture's, ns, where a person
    says it. Raises TraceError where the clocks' relation is not known, where the two do not
    overlap, or have no packet in common.
    """
    own, other = paths
    wall = _wall_origin(recording, own, clock_offset)
    origin = capture.manifest["origin_ns"]
    if origin is None:
        raise TraceError(f"{other}: its packets have no times: it cannot be joined")
    shift = origin - wall
    duration = recording.duration
    lasts = int(capture.manifest["duration_ns"])
    if shift >= duration or shift + lasts <= 0:
        raise TraceError(
            f"{other}: its packets come {shift / SECOND:.6g} to {(shift + lasts) / SECOND:.6g} s"
            f" after the start of {own}, which lasts {duration / SECOND:.6g} s: they do not overlap"
            " (--clock-offset says how far the clocks are apart)"
        )
    place, cooked = _of_device(capture, recording, device, other)
    seen = Seen.of(trace, shift, duration, keeps=not cooked, device=place)
    read = rebuild(recording, device=device, seen=seen, made=made)
    joined = read.manifest.get("joined")
    if not joined:
        raise TraceError(f"{own}: no device received a packet: {other} cannot be joined to it")
    if not joined["matched"]:
        raise TraceError(
            f"{other}: none of its {joined['captured']:,} packets in the time of {own} is one of"
            f" {read.manifest['device']}'s {joined['recorded']:,}, by direction, length and time:"
            " another device (--device), host (--server) or clock (--clock-offset)?"
        )
    lost, holes = _lost(read, capture)
    if joined["matched"] < _FEW * joined["captured"]:
        lost.insert(0, "most of the capture's packets are not in the recording: see above")
    gaps = _moved(trace.gaps, shift, duration)
    said: dict[str, Any] = {
        "wall_origin_ns": wall,
        "loop": capture.manifest["loop"],
        "server": capture.manifest["server"],
        "warnings": lost,
        "holes": holes,
        "capture_losses": capture.manifest["losses"],
    }
    return replace(
        read,
        tables={**read.tables, "gaps": pa.concat_tables([read.tables["gaps"], gaps])},
        manifest={**read.manifest, **said},
        found=[*read.found, *capture.found],
        inferred=[*read.inferred, *capture.inferred],
        lost=lost,
    )


def _wall_origin(recording: Recording, path: Path, clock_offset: int | None) -> int:
    """Return the wall clock at the trace's zero, ns since 1970."""
    if clock_offset is not None:
        return recording.origin + clock_offset
    if recording.clock == "CLOCK_REALTIME":
        return recording.origin
    said = recording.facts.get("wall_origin_ns")
    if said is None:
        raise TraceError(
            f"{path}: does not say how its clock ({recording.clock}) and a capture's wall clock are"
            " related: record with perf record -k CLOCK_MONOTONIC, or give --clock-offset"
        )
    return int(said)


def _lost(read: Ingested, capture: Ingested) -> tuple[list[str], list[dict[str, Any]]]:
    """Return what both lack, for people and for the manifest.

    Arrivals and service times are the recording's: what a capture lacks makes other things less
    certain than it does where the capture is all there is.
    """
    alone = [Hole(**hole) for hole in capture.manifest["holes"]]
    here = [replace(hole, affects="flows, payloads and kinds") for hole in alone]
    again = {str(one): str(other) for one, other in zip(alone, here, strict=True)}
    lost = [again.get(line, line) for line in capture.lost if line != NO_SERVICE]
    holes = [*read.manifest["holes"], *(hole.to_dict() for hole in here)]
    return [*read.lost, *lost], holes


def _of_device(
    capture: Ingested, recording: Recording, device: str | None, path: Path
) -> tuple[int | None, bool]:
    """Return the device's number in the capture, and whether others' packets may be among its own.

    Where a capture has several interfaces it is the one that the recording knows by name; where it
    has one, whatever its name, the number is None.
    """
    listed = capture.manifest["devices"]
    cooked = any(it["link_type"] in _COOKED for it in listed)
    if len(listed) < 2:
        return None, cooked
    wanted = [device] if device else recording.devices
    mine = [place for place, it in enumerate(listed) if it["name"] in wanted]
    if len(mine) != 1:
        names = ", ".join(str(it["name"]) for it in listed[:8])
        raise TraceError(
            f"{path}: {len(mine)} of its {len(listed)} interfaces ({names}) are devices of the"
            " recording: choose one with --device"
        )
    return mine[0], cooked


def _moved(gaps: pa.Table, shift: int, duration: int) -> pa.Table:
    """Return a capture's gaps on the trace's clock, as those of the second source."""
    rows = []
    for row in gaps.to_pylist():
        times = {
            name: None if row[name] is None else min(max(row[name] + shift, 0), duration)
            for name in ("start_ns", "end_ns")
        }
        rows.append({**row, **times, "source": 1})
    return pa.Table.from_pylist(rows, schema=GAPS)
