"""What one device received, rebuilt from the events of the host that recorded them.

Only events of the receiving side are used, which is all that a real NIC gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.errors import TraceError, nearest
from replay.ingest.reconstruct_arrivals import find_arrivals
from replay.ingest.reconstruct_events import arrow_array
from replay.ingest.reconstruct_matching import Matches
from replay.ingest.reconstruct_packets import Packets, find_packets, messages
from replay.ingest.reconstruct_points import NULL, Point
from replay.ingest.reconstruct_service import find_service, follow_connections
from replay.ingest.reconstruct_state import Columns
from replay.ingest.reconstruct_survey import Survey
from replay.trace.schema import FLOWS, PACKETS, PacketKind

Int64s = npt.NDArray[np.int64]

_TCP = 6


@dataclass(frozen=True)
class Reconstruction:
    """The packets of one device."""

    device: int
    packets: pa.Table  # schema PACKETS
    flows: pa.Table  # schema FLOWS; addresses are :: and ports 0, for tracepoints name neither
    requests: int
    served: int  # requests whose response was found
    acks: int
    sent: int
    workers: list[int]  # thread ids
    cpu: int  # that received most
    lag: int
    by_gro: bool


def choose_device(
    seen: Survey, devices: list[str], wanted: str | None
) -> tuple[int | None, list[str]]:
    """Return the device that received most in its own polls, and the names of the others.

    None where no device did. Raises TraceError where `wanted` received nothing.
    """
    received = np.maximum(seen.by_device(Point.GRO), seen.by_device(Point.RECEIVE))
    polled = seen.by_device(Point.POLL)
    if wanted is not None:
        if wanted not in devices or not received[devices.index(wanted)]:
            known = [name for name, count in zip(devices, received, strict=True) if count]
            raise TraceError(
                f"device {wanted!r} received nothing in this recording{nearest(wanted, known)}"
                f" (received: {', '.join(known) or 'none'})"
            )
        chosen = devices.index(wanted)
    elif received.sum():
        # A device without polls of its own hands its packets to the CPU's backlog.
        busy = received * (polled > 0)
        chosen = int(np.argmax(busy if busy.any() else received))
    else:
        return None, []
    others = [name for number, name in enumerate(devices) if received[number] and number != chosen]
    return chosen, others


def reconstruct(
    events: Columns, device: int, napis: Int64s, *, lag: int = 0, by_gro: bool = True
) -> Reconstruction:
    """Rebuild the packets of `device`: arrivals, kinds, service times, connections.

    napis: all that the napi column holds, sorted.
    lag: ns from an arrival to its interrupt (or the wake-up of the NAPI thread). by_gro: whether
    the device's receive events are GRO's, one a packet.
    """
    arrivals = find_arrivals(events, device, napis, lag=lag, by_gro=by_gro)
    packets = find_packets(events, device, arrivals)
    count, received = len(packets.row), packets.received
    request = packets.kind == PacketKind.REQUEST
    response = (packets.kind == PacketKind.TX) & (packets.payload != 0)
    weight, counted = messages(packets)
    service = find_service(events, packets.row, request, response, packets.flow, weight, counted)
    time = events.time[packets.row]
    arrival = np.concatenate([arrivals.arrival, time[received:]])
    think = np.full(count, -1, np.int64)
    flows = len(packets.flow_hash)
    follow_connections(
        np.argsort(packets.row),
        time,
        arrival,
        packets.kind,
        packets.flow,
        service.reply_to,
        np.full(flows, -1, np.int64),
        np.full(flows, -1, np.int64),
        think,
    )
    served = int(np.count_nonzero(service.service[request] >= 0))
    workers = np.unique(service.tid[request & (service.tid >= 0)])
    return Reconstruction(
        device=device,
        packets=_packets_table(
            device, packets, arrivals.earliest, arrivals.latest, arrival, service, think
        ),
        flows=_flows_table(packets, arrival),
        requests=int(np.count_nonzero(request)),
        served=served,
        acks=int(np.count_nonzero(packets.kind == PacketKind.ACK)),
        sent=count - received,
        workers=[int(tid) for tid in workers],
        cpu=int(np.argmax(np.bincount(events.cpu[arrivals.row]))),
        lag=lag,
        by_gro=by_gro,
    )


def _packets_table(
    device: int,
    packets: Packets,
    earliest: Int64s,
    latest: Int64s,
    arrival: Int64s,
    service: Matches,
    think: Int64s,
) -> pa.Table:
    """Sort by arrival and translate packet numbers to rows."""
    count = len(arrival)
    order = np.argsort(arrival, kind="stable")
    row_of = np.empty(count, np.int64)
    row_of[order] = np.arange(count)
    reply_to = np.where(service.reply_to >= 0, row_of[service.reply_to], -1)
    nothing = np.full(count - len(earliest), NULL, np.int64)
    values: dict[str, tuple[npt.NDArray[np.generic], int | None]] = {
        "arrival_ns": (arrival, None),
        "earliest_ns": (np.concatenate([earliest, nothing]), NULL),
        "latest_ns": (np.concatenate([latest, nothing]), NULL),
        "flow": (packets.flow, -1),
        "device": (np.full(count, device, np.uint16), None),
        "queue": (np.full(count, -1), -1),
        "length": (packets.length, None),
        "payload": (packets.payload, NULL),
        "kind": (packets.kind, None),
        "tid": (service.tid, -1),
        "service_ns": (service.service, -1),
        "reply_to": (reply_to, -1),
        "think_ns": (think, -1),
        "status": (np.zeros(count, np.uint8), None),
    }
    arrays = []
    for field in PACKETS:
        column, none = values[field.name]
        column = column[order]
        missing = None if none is None else column == none
        if missing is not None:
            column = np.where(missing, 0, column)
        arrays.append(arrow_array(column, field.type, missing))
    return pa.table(arrays, schema=PACKETS)


def _flows_table(packets: Packets, arrival: Int64s) -> pa.Table:
    """One row a flow hash: what the tracepoints name of a connection."""
    flows = len(packets.flow_hash)
    mine = packets.flow[: packets.received]
    seen = mine >= 0
    flow, time, length = (
        mine[seen],
        arrival[: packets.received][seen],
        packets.length[: packets.received][seen],
    )
    first, last = np.full(flows, np.iinfo(np.int64).max), np.zeros(flows, np.int64)
    np.minimum.at(first, flow, time)
    np.maximum.at(last, flow, time)
    size = np.zeros(flows, np.int64)
    np.add.at(size, flow, length)
    unspecified = pa.array([bytes(16)] * flows, pa.binary(16))
    known: dict[str, Any] = {
        "source": unspecified,
        "destination": unspecified,
        "source_port": np.zeros(flows, np.uint16),
        "destination_port": np.zeros(flows, np.uint16),
        "protocol": np.full(flows, _TCP if packets.tcp else 0, np.uint8),
        "version": packets.flow_version,
        "rss_hash": packets.flow_hash.astype(np.uint32),
        "first_ns": first,
        "last_ns": last,
        "packets": np.bincount(flow, minlength=flows).astype(np.int64),
        "bytes": size,
    }
    return pa.table(
        [
            pa.array(known[field.name], field.type)
            if field.name in known
            else pa.nulls(flows, field.type)
            for field in FLOWS
        ],
        schema=FLOWS,
    )
