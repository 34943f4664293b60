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
from replay.ingest.hashed_flows import hashed_flows
from replay.ingest.join_packets import NULLS, Joined, Seen, join
from replay.ingest.reconstruct_arrivals import find_arrivals
from replay.ingest.reconstruct_events import arrow_array
from replay.ingest.reconstruct_packets import Packets, find_packets, messages
from replay.ingest.reconstruct_points import NULL, Point
from replay.ingest.reconstruct_service import find_service, follow_connections
from replay.ingest.reconstruct_state import Columns
from replay.ingest.reconstruct_survey import Survey
from replay.trace.schema import PACKETS, PacketKind

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
    joined: Joined | None = None


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
    events: Columns,
    device: int,
    napis: Int64s,
    *,
    lag: int = 0,
    by_gro: bool = True,
    seen: Seen | None = None,
) -> Reconstruction:
    """Rebuild the packets of `device`: arrivals, kinds, service times, connections.

    napis: all that the napi column holds, sorted.
    lag: ns from an arrival to its interrupt (or the wake-up of the NAPI thread). by_gro: whether
    the device's receive events are GRO's, one a packet. seen: the same packets in a capture, which
    says what they were.
    """
    arrivals = find_arrivals(events, device, napis, lag=lag, by_gro=by_gro)
    packets = find_packets(events, device, arrivals)
    joined = None if seen is None else join(seen, packets, events.time[packets.row])
    if joined is not None:
        packets = joined.packets
    count, received = len(packets.row), packets.received
    request = packets.kind == PacketKind.REQUEST
    response = (packets.kind == PacketKind.TX) & (packets.payload != 0)
    weight, counted = messages(packets)
    connection = packets.flow if joined is None else joined.connection
    service = find_service(
        events,
        packets.row,
        request,
        response,
        connection,
        weight,
        counted=counted,
        answers_known=joined is not None,
    )
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
    nothing = np.full(count - received, NULL, np.int64)
    columns: dict[str, npt.NDArray[Any]] = {
        "arrival_ns": arrival,
        "earliest_ns": np.concatenate([arrivals.earliest, nothing]),
        "latest_ns": np.concatenate([arrivals.latest, nothing]),
        "flow": packets.flow,
        "length": packets.length,
        "payload": packets.payload,
        "kind": packets.kind,
        "tid": service.tid,
        "service_ns": service.service,
        "reply_to": service.reply_to,
        "think_ns": think,
    }
    if joined is None:
        flows = _flows_table(packets, arrival)
    else:
        columns, flows = joined.whole(columns)
    return Reconstruction(
        device=device,
        packets=_packets_table(columns, device),
        flows=flows,
        requests=int(np.count_nonzero(request)),
        served=served,
        acks=int(np.count_nonzero(packets.kind == PacketKind.ACK)),
        sent=count - received,
        workers=[int(tid) for tid in workers],
        cpu=int(np.argmax(np.bincount(events.cpu[arrivals.row]))),
        lag=lag,
        by_gro=by_gro,
        joined=joined,
    )


def _packets_table(columns: dict[str, npt.NDArray[Any]], device: int) -> pa.Table:
    """Sort by arrival and translate packet numbers to rows; a column left out is null, status 0."""
    arrival, reply_to = columns["arrival_ns"], columns["reply_to"]
    count = len(arrival)
    order = np.argsort(arrival, kind="stable")
    row_of = np.empty(count, np.int64)
    row_of[order] = np.arange(count)
    whole: dict[str, npt.NDArray[Any]] = {
        "device": np.full(count, device, np.uint16),
        "status": np.zeros(count, np.uint8),
        **columns,
        "reply_to": np.where(reply_to >= 0, row_of[reply_to], -1),
    }
    arrays = []
    for field in PACKETS:
        column = whole.get(field.name)
        if column is None:
            arrays.append(pa.nulls(count, field.type))
            continue
        column, missing = column[order], None
        if field.nullable:
            missing = column == NULLS.get(field.name, -1)
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
    return hashed_flows(
        packets.flow_hash,
        packets.flow_version,
        _TCP if packets.tcp else 0,
        first=first,
        last=last,
        packets=np.bincount(flow, minlength=flows).astype(np.int64),
        size=size,
    )
