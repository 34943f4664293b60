"""What a recording amounts to: its manifest, its gaps, lines for the summary."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from replay.ingest.join_summary import join_lines
from replay.ingest.rebuild_holes import Holes
from replay.ingest.reconstruct import Reconstruction
from replay.ingest.reconstruct_events import Events
from replay.ingest.reconstruct_points import Point
from replay.ingest.reconstruct_state import last_time
from replay.ingest.recording import CLOCK_MONOTONIC, Recording
from replay.trace.schema import GAPS

#: Points without which something is unknown.
_WANTED = (
    (Point.POLL, "napi:napi_poll", "polls"),
    (Point.SWITCH, "sched:sched_switch", "which thread had the CPU"),
    (Point.EPOLL_RETURN, "syscalls:sys_exit_epoll_wait", "service times"),
    (Point.GRO, "net:napi_gro_receive_entry", "flows, and each packet of a merged one"),
    (Point.XMIT, "net:net_dev_start_xmit", "when responses were sent"),
)


def gaps(read: Recording, events: Events, missing: Holes) -> pa.Table:
    """Return what was lost and where the file is cut, as a table of schema GAPS."""
    rows: list[dict[str, Any]] = []
    for loss in read.losses:
        start = None
        if loss.time:
            # The kernel reports a loss with the next record it can store on that CPU.
            columns = events.columns
            start = int(last_time(columns.time, columns.cpu, loss.cpu, loss.time))
        row = {"start_ns": start, "end_ns": loss.time or None, "lost": loss.records}
        rows.append({**row, "source": 0, "cause": "lost"})
    if read.cut is not None:
        row = {"start_ns": read.duration - 1, "end_ns": None, "lost": None}
        rows.append({**row, "source": 0, "cause": "cut"})
    return pa.Table.from_pylist(rows + missing.gaps, schema=GAPS)


def manifest(
    read: Recording, events: Events, rebuilt: Reconstruction | None, missing: Holes
) -> dict[str, Any]:
    """Return what is known of the recording and its host."""
    known: dict[str, Any] = {
        "clock": read.clock,
        "origin_ns": read.origin,
        "duration_ns": read.duration,
        "devices": read.devices,
        "loop": "unknown",
        "losses": sum(loss.records for loss in read.losses),
        "holes": [hole.to_dict() for hole in missing.holes],
        **read.facts,
        "recorded_events": recorded_events(read, events, rebuilt),
    }
    if rebuilt is not None:
        known["device"] = read.devices[rebuilt.device]
        known["received_by"] = "napi_gro_receive" if rebuilt.by_gro else "netif_receive_skb"
        known["irq_lag_ns"] = rebuilt.lag
        known["workers"] = {str(tid): read.threads.get(tid) for tid in rebuilt.workers}
    return known


def recorded_events(
    read: Recording, events: Events, rebuilt: Reconstruction | None
) -> dict[str, Any]:
    """Count the samples: each took time on its CPU, which calibration takes off.

    per_request: those on the CPU that polls the device, for each of its requests.
    """
    per_cpu = events.survey.per_cpu
    counts: dict[str, Any] = {
        "total": len(read.points.cpu),
        "per_cpu": {str(cpu): int(count) for cpu, count in enumerate(per_cpu) if count},
    }
    if rebuilt is not None and rebuilt.requests:
        server = rebuilt.cpu
        counts["server_cpu"] = server
        counts["per_request"] = round(int(per_cpu[server]) / rebuilt.requests, 3)
    return counts


def found_lines(
    read: Recording, events: Events, rebuilt: Reconstruction | None, others: list[str]
) -> list[str]:
    """Return what the file holds."""
    seconds = read.duration / 1e9
    lines = [f"{len(read.points.time):,} samples of known tracepoints in {seconds:.3f} s"]
    if rebuilt is None:
        return [*lines, "no device received a packet"]
    polls = int(events.survey.by_device(Point.POLL)[rebuilt.device])
    lines.append(
        f"{read.devices[rebuilt.device]}: {polls:,} polls; {rebuilt.requests:,} requests,"
        f" {rebuilt.acks:,} ACKs, {rebuilt.sent:,} packets sent"
    )
    if others:
        lines.append(f"other receiving devices: {', '.join(others)} (choose with --device)")
    return lines


def inferred_lines(
    read: Recording,
    events: Events,
    rebuilt: Reconstruction | None,
    joined: dict[str, Any] | None,
) -> list[str]:
    """Return what was concluded from the file; `joined` are the facts of a join."""
    lines = []
    if read.watchdog is None and events.survey.watchdog is not None:
        lines.append("napi_watchdog is the timer that lies within a polled napi_struct")
    if rebuilt is None:
        return lines
    lines.append(
        "arrivals lie between the last look at the ring and the packet's own event;"
        f" interrupts come {rebuilt.lag:,} ns after the arrival"
    )
    if joined is not None:
        lines += join_lines(joined)
    elif rebuilt.acks:
        lines.append("packets of a pure ACK's length are ACKs, the others requests")
    lines.append(
        f"responses found for {rebuilt.served:,} of {rebuilt.requests:,} requests,"
        f" by {len(rebuilt.workers)} worker thread(s)"
    )
    if len(rebuilt.workers) > 1:
        lines.append("which worker served which request is a guess: they share the device")
    return lines


def lost_lines(read: Recording, events: Events, missing: Holes) -> list[str]:
    """Return what is missing."""
    lines = []
    if read.losses:
        total = sum(loss.records for loss in read.losses)
        lines.append(
            f"{total:,} records lost in {len(read.losses)} places"
            " (larger buffers: perf record -m, trace-cmd record -b)"
        )
    if read.cut is not None:
        lines.append(f"cut at {read.cut}: what came before is kept")
    said = ("the records were lost", "the recording's end is missing")  # above, in more words
    lines += [str(hole) for hole in missing.holes if hole.cause not in said]
    lines += read.left_out
    if read.clock != CLOCK_MONOTONIC:
        lines.append(
            "not on CLOCK_MONOTONIC: timers' lengths are unknown, and a capture cannot be joined"
            " (perf record -k CLOCK_MONOTONIC, trace-cmd record -C mono)"
        )
    seen = events.survey
    return lines + [
        f"no {name}: {what} unknown" for kind, name, what in _WANTED if not seen.of(kind)
    ]
