"""From a recording's points to a bundle's tables: events, and the packets rebuilt from them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from replay import mapped
from replay.ingest import rebuild_summary
from replay.ingest.ingested import Ingested, Made, ignore
from replay.ingest.join_packets import Seen
from replay.ingest.join_summary import join_facts, join_holes
from replay.ingest.rebuild_holes import find_holes
from replay.ingest.reconstruct import Reconstruction, choose_device, reconstruct
from replay.ingest.reconstruct_error import interrupt_lag
from replay.ingest.reconstruct_events import Events, event_batches, make_events
from replay.ingest.reconstruct_points import Point, Points
from replay.ingest.recording import CLOCK_MONOTONIC, Recording


def rebuild(
    recording: Recording,
    *,
    device: str | None = None,
    facts: dict[str, Any] | None = None,
    seen: Seen | None = None,
    made: Made = ignore,
) -> Ingested:
    """Make events, packets and a manifest (without `sources`) of what a recorder saw.

    device: whose packets to rebuild; the busiest where it is not named. facts: what is known of
    the recording, merged into the manifest. Two of them are used: `irq_lag_ns`, from a packet's
    arrival to the interrupt's handler or the wake-up of the NAPI thread; and `peer_device`, the
    other end of a virtual pair recorded as well, by which that lag is measured where it is not
    given. seen: the device's packets in a capture, on the trace's clock. made: is told of the
    events as soon as they are made.

    Raises TraceError where `device` received nothing.
    """
    if len(recording.points.time) > mapped.STEP:
        _load()
        mapped.trim()
    said = dict(facts or {})
    events = make_events(
        recording.points,
        len(recording.devices),
        recording.threads,
        runs=recording.runs,
        clock=recording.origin if recording.clock == CLOCK_MONOTONIC else None,
        watchdog=recording.watchdog,
        counted=recording.counted,
    )
    chosen, others = choose_device(events.survey, recording.devices, device)
    table = event_batches(events)
    made("events", table)
    with ThreadPoolExecutor(1) as beside:
        holes = beside.submit(find_holes, recording, events)
        rebuilt = None if chosen is None else _rebuild(recording, events, chosen, said, seen)
    missing, joined = holes.result(), None
    if rebuilt is not None and rebuilt.joined is not None:
        joined = join_facts(rebuilt.joined)
        missing.holes.extend(join_holes(joined))
    tables = {"gaps": rebuild_summary.gaps(recording, events, missing)}
    large = {"events": table}
    if rebuilt is not None:
        tables["flows"] = rebuilt.flows
        large["packets"] = rebuilt.packets
    lost = rebuild_summary.lost_lines(recording, events, missing)
    manifest = rebuild_summary.manifest(recording, events, rebuilt, missing)
    if joined is not None:
        manifest["joined"] = joined
    return Ingested(
        tables=tables,
        large=large,
        manifest=manifest | {"warnings": lost} | said,
        found=rebuild_summary.found_lines(recording, events, rebuilt, others),
        inferred=rebuild_summary.inferred_lines(recording, events, rebuilt, joined),
        lost=lost,
    )


def _load() -> None:
    """Load all compiled functions, which takes the compiler, before memory is needed for more."""
    points = Points.empty(2)
    for column in points:
        column[:] = 0
    points.time[:] = 1, 0
    points.kind[:] = Point.POLL, Point.GRO
    rebuild(Recording(points, 0, ["device"], {}, CLOCK_MONOTONIC, runs=np.ones(1, np.int64)))
    mapped.make_room()


def _rebuild(
    recording: Recording, events: Events, device: int, said: dict[str, Any], seen: Seen | None
) -> Reconstruction:
    """Rebuild the packets of `device`."""
    columns = events.columns
    by_gro = events.by_gro(device)
    lag = said.get("irq_lag_ns")
    peer = said.get("peer_device")
    if lag is None and peer in recording.devices:
        other = recording.devices.index(peer)
        lag = interrupt_lag(columns, device, events.napis, other, by_gro=by_gro)
    return reconstruct(
        columns,
        events.packets,
        device,
        events.napis,
        lag=int(lag or 0),
        by_gro=by_gro,
        seen=seen,
    )
