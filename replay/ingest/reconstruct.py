"""What one device received, rebuilt from the events of the host that recorded them.

Only events of the receiving side are used, which is all that a real NIC gives.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay import mapped
from replay.errors import TraceError, nearest
from replay.ingest.batches import Batches, batches
from replay.ingest.flow_totals import flow_totals
from replay.ingest.hashed_flows import hashed_flows, with_totals
from replay.ingest.join_packets import NULLS, Joined, Seen, ValuesOf, join
from replay.ingest.reconstruct_arrivals import find_arrivals
from replay.ingest.reconstruct_packets import Packets, find_packets, messages
from replay.ingest.reconstruct_points import Point
from replay.ingest.reconstruct_service import find_service, follow_connections
from replay.ingest.reconstruct_state import Columns, PacketEvents
from replay.ingest.reconstruct_survey import Survey
from replay.ingest.sorting import order_of
from replay.trace.schema import PACKETS, PacketKind

Int64s = npt.NDArray[np.int64]

_TCP = 6


@dataclass(frozen=True)
class Reconstruction:
    """The packets of one device."""

    device: int
    packets: Batches  # schema PACKETS
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
    packet_events: PacketEvents,
    device: int,
    napis: Int64s,
    *,
    lag: int = 0,
    by_gro: bool = True,
    seen: Seen | None = None,
) -> Reconstruction:
    """Rebuild the packets of `device`: arrivals, kinds, service times, connections.

    napis: the id of each NAPI, by what the napi column holds.
    lag: ns from an arrival to its interrupt (or the wake-up of the NAPI thread). by_gro: whether
    the device's receive events are GRO's, one a packet. seen: the same packets in a capture, which
    says what they were.
    """
    packets = find_packets(packet_events, device)
    rows = packets.row[: packets.received]
    with ThreadPoolExecutor(1) as beside:
        found = beside.submit(find_arrivals, events, device, napis, rows, lag=lag, by_gro=by_gro)
        joined = None if seen is None else join(seen, packets)
        if joined is not None:
            packets = joined.packets
        weight, counted = messages(packets)
        service = find_service(
            events,
            packets,
            packets.flow if joined is None else joined.connections(),
            weight,
            counted=counted,
            answers_known=joined is not None,
        )
    count, received, arrivals = len(packets.row), packets.received, found.result()
    arrival, bounds = _before(arrivals.arrival, packets.time), (arrivals.earliest, arrivals.latest)
    tid, took, reply_to = service.tid, service.service, service.reply_to
    del service, weight, arrivals, found, rows  # what is not needed any more makes room
    columns: dict[str, npt.NDArray[Any]] = {
        "arrival_ns": arrival,
        "earliest_ns": bounds[0],
        "latest_ns": bounds[1],
        "flow": packets.flow,
        "length": packets.length,
        "payload": packets.payload,
        "kind": packets.kind,
        "tid": tid,
        "service_ns": took,
        "reply_to": reply_to,
        "think_ns": mapped.column(count),
    }
    _follow(packets, columns)
    served = 0
    workers = np.zeros(0, np.int64)
    kinds = np.zeros(len(PacketKind), np.int64)
    for part in mapped.steps(count):
        kind = packets.kind[part]
        kinds += np.bincount(kind, minlength=len(kinds))
        request = kind == PacketKind.REQUEST
        served += int(np.count_nonzero(took[part][request] >= 0))
        workers = np.union1d(workers, tid[part][request])
    values = _values_of(columns, device)
    if joined is None:
        flows = _flows_table(packets, arrival)
    else:
        arrival, values, flows = joined.whole(arrival, values)
    return Reconstruction(
        device=device,
        packets=_packets_table(arrival, values),
        flows=flows,
        requests=int(kinds[PacketKind.REQUEST]),
        served=served,
        acks=int(kinds[PacketKind.ACK]),
        sent=count - received,
        workers=[int(tid) for tid in workers if tid >= 0],
        cpu=packets.cpu,
        lag=lag,
        by_gro=by_gro,
        joined=joined,
    )


def _before(received: Int64s, time: Int64s) -> Int64s:
    """Return all packets' arrivals: packets that were sent have the time of their event."""
    arrival = mapped.column(len(time))
    for part in mapped.steps(len(time)):
        arrival[part] = time[part]
        mine = received[part]
        arrival[part.start : part.start + len(mine)] = mine
    return arrival


def _follow(packets: Packets, columns: dict[str, npt.NDArray[Any]]) -> None:
    """Fill think times, and what is known of a connection by its packets before."""
    flows = len(packets.flow_hash)
    at = np.array([0, packets.received], np.int64)
    answered, response_time = np.full(flows, -1, np.int64), np.full(flows, -1, np.int64)
    think = columns["think_ns"]
    for part in mapped.steps(len(think)):
        think[part] = -1
    for part in mapped.steps(len(think)):
        follow_connections(
            packets.row,
            packets.received,
            at,
            part.stop - part.start,
            packets.time,
            columns["arrival_ns"],
            columns["kind"],
            columns["flow"],
            columns["reply_to"],
            answered,
            response_time,
            think,
        )


def _values_of(columns: dict[str, npt.NDArray[Any]], device: int) -> ValuesOf:
    """Return what gives the values of some packets by their numbers, a column at a time.

    A column left out is null, and so are those of packets behind its end; status is 0.
    """

    def values(name: str, mine: Int64s) -> npt.NDArray[Any] | None:
        if name in ("device", "status"):
            return np.full(len(mine), device if name == "device" else 0, np.int64)
        column = columns.get(name)
        if column is None:
            return None
        if len(column) == len(columns["arrival_ns"]):
            return column[mine]
        there = mine < len(column)
        found = np.full(len(mine), NULLS.get(name, -1), np.int64)
        found[there] = column[mine[there]]
        return found

    return values


def _packets_table(arrival: Int64s, values: ValuesOf) -> Batches:
    """Sort by arrival and translate packet numbers to rows."""
    order = order_of(arrival)
    row_of = mapped.column(len(arrival))
    for part in mapped.steps(len(arrival)):
        row_of[order[part]] = np.arange(part.start, part.stop)

    def part_of(name: str, rows: slice) -> npt.NDArray[Any] | None:
        found = values(name, order[rows])
        if found is None or name != "reply_to":
            return found
        return np.where(found >= 0, row_of[found], -1)

    return batches(PACKETS, len(arrival), part_of, NULLS)


def _flows_table(packets: Packets, arrival: Int64s) -> pa.Table:
    """One row a flow hash: what the tracepoints name of a connection."""
    totals = flow_totals(
        len(packets.flow_hash),
        packets.received,
        lambda rows: (packets.flow[rows], arrival[rows], packets.length[rows]),
    )
    protocol = _TCP if packets.tcp else 0
    return with_totals(hashed_flows(packets.flow_hash, packets.flow_version, protocol), totals)
