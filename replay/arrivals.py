"""From a bundle's packets to what the host was offered: arrivals, services, who awaits whom.

Open arrivals come as recorded. Closed arrivals follow answers: a packet of a connection arrives its
recorded think time after the answer that came before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.engine.workload import Workload
from replay.errors import TraceError
from replay.host import Host
from replay.trace.bundle import Trace
from replay.trace.facts import number
from replay.trace.schema import PacketKind
from replay.units import SECOND

Int64s = npt.NDArray[np.int64]
Mode = Literal["open", "closed"]
LoadBy = Literal["compression", "superposition"]
LOADS_BY: tuple[LoadBy, ...] = ("compression", "superposition")

#: A day. Timers run all the while, and a clock that jumped would keep them busy for years.
LONGEST_NS = 86_400 * SECOND

#: One instant lasts 1 ns, and has no rate.
SHORTEST_NS = 2


@dataclass(frozen=True)
class Offered:
    """All packets that the host received, in order of arrival; shape (packets,)."""

    workload: Workload
    row: Int64s  # of the bundle's packets table
    services_seen: int  # requests whose service time was recorded
    load: float  # factor on the recorded arrival rate
    load_by: LoadBy = "compression"
    copy: Int64s | None = None  # which copy of the recording it is of; None: there is one

    @property
    def mode(self) -> Mode:
        """Whether arrivals follow answers."""
        return "closed" if self.workload.closed else "open"


def offered(
    trace: Trace, host: Host, *, load: float, arrivals: str, sizes: bool = False
) -> Offered:
    """Return what the recorded host was offered, arrivals and thinking `load` times as fast.

    `arrivals` is open, closed, or auto: as the manifest says, open where it does not.
    A request whose service was not recorded takes host.request_ns; service does not depend on
    load. With `sizes` the packets' bytes are there too, 0 where not recorded. Raises TraceError
    where there is nothing to replay, or no answer to wait for.
    """
    packets = trace.packets
    kind = _int64(packets["kind"], null=PacketKind.CONTROL)
    row = np.flatnonzero(kind != PacketKind.TX)
    if not len(row):
        raise TraceError(f"{trace.name}: holds no received packet: nothing to replay")
    last = packets["arrival_ns"][-1].as_py() or 0
    duration = int(number(trace, "duration_ns") or last + 1)
    if duration > LONGEST_NS:
        raise TraceError(
            f"{trace.name}: lasts {duration // SECOND:,} s; a replay lasts {SHORTEST_NS} ns to"
            f" {LONGEST_NS // SECOND:,} s: cut the capture to the time of interest"
        )
    recorded = _times(trace, "arrival_ns")
    if recorded[0] < 0 or np.any(recorded[1:] < recorded[:-1]):
        raise TraceError(f"{trace.name}: arrival_ns is not sorted from 0 on")
    request = kind[row] == PacketKind.REQUEST
    seen = _times(trace, "service_ns")[row]
    if duration < SHORTEST_NS:
        raise TraceError(
            f"{trace.name}: lasts {duration} ns, all packets at one instant: there is no rate to"
            f" replay; a replay lasts {SHORTEST_NS} ns to {LONGEST_NS // SECOND:,} s"
        )
    own = np.maximum(seen - host.recorded_ns, 0)
    service = np.where(request, np.where(seen >= 0, own, host.request_ns), -1)
    parent = think = None
    if arrivals == "closed" or (arrivals == "auto" and trace.manifest.get("loop") == "closed"):
        parent, think = _answers_awaited(trace, row)
        if not np.any(parent >= 0):
            if arrivals == "closed":
                raise TraceError(
                    f"{trace.name}: no packet follows an answer: closed arrivals need a recording"
                    " of both directions"
                )
            parent = think = None
    work = Workload(
        arrival_ns=_faster(recorded[row], load),
        service_ns=service,
        duration_ns=max(1, round(duration / load)),
        parent=parent,
        think_ns=None if think is None else _faster(think, load),
        size=_int64(packets["length"], null=0)[row] if sizes else None,
    )
    return Offered(work, row, int(np.count_nonzero(request & (seen >= 0))), load)


def requests_of(work: Workload) -> int:
    """Return the number of requests that arrive, as recorded, within the duration."""
    return int(np.count_nonzero((work.service_ns >= 0) & (work.arrival_ns < work.duration_ns)))


def _answers_awaited(trace: Trace, row: Int64s) -> tuple[Int64s, Int64s]:
    """Return for each received packet the request it follows (-1: none) and its think time, ns.

    It follows the request whose answer was the last one sent on its connection before it came.
    """
    packets = trace.packets
    kind = _int64(packets["kind"], null=PacketKind.CONTROL)
    time = _int64(packets["arrival_ns"], null=-1)
    reply_to = _int64(packets["reply_to"], null=-1)
    flow = _int64(packets["flow"], null=-1)
    answer = (kind == PacketKind.TX) & (reply_to >= 0) & (_int64(packets["payload"], null=1) > 0)
    answer &= reply_to < len(kind)
    answer[answer] = kind[reply_to[answer]] == PacketKind.REQUEST
    # Answers take their request's flow: the two directions of a connection are two flows.
    connection = np.where(answer, flow[np.where(answer, reply_to, 0)], flow)
    received = np.full(len(kind), -1, np.int64)  # row of the bundle -> received packet
    received[row] = np.arange(len(row))
    # Each connection in order of time, an answer before what comes at the same instant: the last
    # answer before a packet is the running maximum of the answers' places.
    order = np.lexsort((~answer, time, connection))
    place = np.maximum.accumulate(np.where(answer[order], np.arange(len(order)), -1))
    last = np.empty(len(order), np.int64)
    last[order] = np.where(place >= 0, order[place], -1)
    last = last[row]
    known = (last >= 0) & (flow[row] >= 0)
    known[known] = connection[last[known]] == flow[row[known]]
    parent = np.where(known, received[reply_to[last]], -1)
    known &= (parent >= 0) & (parent < np.arange(len(row)))
    parent = np.where(known, parent, -1)
    recorded = _times(trace, "think_ns")[row]
    think = np.where(recorded >= 0, recorded, time[row] - time[last])
    return parent, np.where(known, think, 0)


def _times(trace: Trace, name: str) -> Int64s:
    """Return a column of times in ns, nulls as -1. Raises TraceError beyond the longest replay."""
    times = _int64(trace.packets[name], null=-1)
    beyond = np.flatnonzero(times > LONGEST_NS)
    if len(beyond):
        raise TraceError(
            f"{trace.name}: packet {beyond[0]}: {name} = {times[beyond[0]]} is outside 0 to"
            f" {LONGEST_NS} ns"
        )
    return times


def _int64(column: pa.ChunkedArray, null: int) -> Int64s:
    """Return a column as int64, its nulls as `null`."""
    if column.null_count:
        column = column.cast(pa.int64()).fill_null(null)
    values: Int64s = column.to_numpy().astype(np.int64, copy=False)
    return values


def _faster(times: Int64s, load: float) -> Int64s:
    """Divide by `load`, to the nearest ns."""
    return times if load == 1.0 else np.rint(times / load).astype(np.int64)
