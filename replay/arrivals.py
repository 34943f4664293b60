"""From a bundle's packets to what the host was offered: arrivals, services, who awaits whom.

Open arrivals come as recorded. Closed arrivals follow answers: a packet of a connection arrives its
recorded think time after the answer that came before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from replay.engine.workload import Workload
from replay.errors import TraceError
from replay.host import Host
from replay.mapped import require_memory, zeros
from replay.progress import step
from replay.trace.bundle import Trace, int64s
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

#: Memory that finding who awaits whom takes, for each packet.
_CLOSED_BYTES = 200


@dataclass(frozen=True)
class Offered:
    """All packets that the host received, in order of arrival; shape (packets,)."""

    workload: Workload
    trace: Trace
    services_seen: int  # requests whose service time was recorded
    load: float  # factor on the recorded arrival rate
    load_by: LoadBy = "compression"
    copy: Int64s | None = None  # which copy of the recording it is of; None: there is one
    picked: Int64s | None = None  # which packet that the recorded host received; None: all, in turn

    @property
    def mode(self) -> Mode:
        """Whether arrivals follow answers."""
        return "closed" if self.workload.closed else "open"

    @cached_property
    def row(self) -> Int64s:
        """Each packet's row in the bundle's packets table."""
        whole = np.concatenate(
            [base + _received(kind) for base, (kind,) in _by_chunk(self.trace, {})]
        )
        return whole if self.picked is None else whole[self.picked]

    def chunks(self, name: str, null: int) -> Iterator[Int64s]:
        """Yield a column of the packets that the recorded host received, chunk by chunk."""
        for _, (kind, values) in _by_chunk(self.trace, {name: null}):
            yield _chosen(values, kind)

    def column(
        self, name: str, null: int, change: Callable[[Int64s], Int64s] | None = None
    ) -> Int64s:
        """Return a column of the bundle's packets table, or `change` of it, for each packet."""
        count = len(self.workload.arrival_ns) if self.picked is None else 0
        parts = self.chunks(name, null)
        if self.picked is not None:
            whole = np.concatenate(list(parts))[self.picked]
            return whole if change is None else change(whole)
        found, end = zeros(count), 0
        for part in parts:
            end += len(part)
            found[end - len(part) : end] = part if change is None else change(part)
        return found


def offered(
    trace: Trace, host: Host, *, load: float, arrivals: str, sizes: bool = False
) -> Offered:
    """Return what the recorded host was offered, arrivals and thinking `load` times as fast.

    `arrivals` is open, closed, or auto: as the manifest says, open where it does not.
    A request whose service was not recorded takes host.request_ns; service does not depend on
    load. With `sizes` the packets' bytes are there too, 0 where not recorded. Raises TraceError
    where there is nothing to replay, or no answer to wait for.
    """
    rows, last = trace.last_arrival()
    duration = int(number(trace, "duration_ns") or last + 1)
    if duration > LONGEST_NS:
        raise TraceError(
            f"{trace.name}: lasts {duration // SECOND:,} s; a replay lasts {SHORTEST_NS} ns to"
            f" {LONGEST_NS // SECOND:,} s: cut the capture to the time of interest"
        )
    arrival, service = zeros(rows), zeros(rows)
    size = zeros(rows) if sizes else None
    columns = {"arrival_ns": -1, "service_ns": -1} | ({"length": 0} if sizes else {})
    before = end = services_seen = 0
    for base, (kind, at, seen, *length) in _by_chunk(trace, columns):
        step("reading", base, rows)
        _check_times(trace, "arrival_ns", at, base)
        if at[0] < before or np.any(at[1:] < at[:-1]):
            raise TraceError(f"{trace.name}: arrival_ns is not sorted from 0 on")
        _check_times(trace, "service_ns", seen, base)
        before = int(at[-1])
        kind, at, seen, *length = (_chosen(it, kind) for it in (kind, at, seen, *length))
        start, end = end, end + len(at)
        request, known = kind == PacketKind.REQUEST, seen >= 0
        services_seen += int(np.count_nonzero(request & known))
        own = np.where(known, np.maximum(seen - host.recorded_ns, 0), host.request_ns)
        arrival[start:end] = _faster(at, load)
        service[start:end] = np.where(request, own, -1)
        if size is not None:
            size[start:end] = length[0]
    if not end:
        raise TraceError(f"{trace.name}: holds no received packet: nothing to replay")
    if duration < SHORTEST_NS:
        raise TraceError(
            f"{trace.name}: lasts {duration} ns, all packets at one instant: there is no rate to"
            f" replay; a replay lasts {SHORTEST_NS} ns to {LONGEST_NS // SECOND:,} s"
        )
    parent = think = None
    if arrivals == "closed" or (arrivals == "auto" and trace.manifest.get("loop") == "closed"):
        parent, think = _answers_awaited(trace, rows)
        if not np.any(parent >= 0):
            if arrivals == "closed":
                raise TraceError(
                    f"{trace.name}: no packet follows an answer: closed arrivals need a recording"
                    " of both directions"
                )
            parent = think = None
    work = Workload(
        arrival_ns=arrival[:end],
        service_ns=service[:end],
        duration_ns=max(1, round(duration / load)),
        parent=parent,
        think_ns=None if think is None else _faster(think, load),
        size=None if size is None else size[:end],
    )
    return Offered(work, trace, services_seen, load)


def requests_of(work: Workload) -> int:
    """Return the number of requests that arrive, as recorded, within the duration."""
    return work.requests


def _answers_awaited(trace: Trace, rows: int) -> tuple[Int64s, Int64s]:
    """Return for each received packet the request it follows (-1: none) and its think time, ns.

    It follows the request whose answer was the last one sent on its connection before it came.
    """
    require_memory(rows, _CLOSED_BYTES, "closed arrivals", "--arrivals open, or a shorter capture")
    nulls = {"arrival_ns": -1, "reply_to": -1, "flow": -1, "payload": 1, "think_ns": -1}
    columns = zip(*(parts for _, parts in _by_chunk(trace, nulls)), strict=True)
    kind, time, reply_to, flow, payload, recorded = (np.concatenate(parts) for parts in columns)
    _check_times(trace, "think_ns", recorded, 0)
    row = _received(kind)
    answer = (kind == PacketKind.TX) & (reply_to >= 0) & (payload > 0)
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
    recorded = recorded[row]
    think = np.where(recorded >= 0, recorded, time[row] - time[last])
    return parent, np.where(known, think, 0)


def _by_chunk(trace: Trace, nulls: Mapping[str, int]) -> Iterator[tuple[int, list[Int64s]]]:
    """Yield the packets by chunk: the first one's row, their kinds, and columns without nulls."""
    row = 0
    for part in trace.packets_by_chunk("kind", *nulls):
        values = zip(part.columns, (PacketKind.CONTROL, *nulls.values()), strict=True)
        yield row, [int64s(column, null) for column, null in values]
        row += len(part)


def _received(kind: Int64s) -> Int64s:
    """Return which packets the host received."""
    return np.flatnonzero(kind != PacketKind.TX)


def _chosen(values: Int64s, kind: Int64s) -> Int64s:
    """Return the values of packets that the host received."""
    received = kind != PacketKind.TX
    return values if received.all() else values[received]


def _check_times(trace: Trace, name: str, times: Int64s, base: int) -> None:
    """Raise TraceError where one is beyond the longest replay; the first is row `base`'s."""
    if times.max() > LONGEST_NS:
        first = int(np.argmax(times > LONGEST_NS))
        raise TraceError(
            f"{trace.name}: packet {base + first}: {name} = {times[first]} is outside 0 to"
            f" {LONGEST_NS} ns"
        )


def _faster(times: Int64s, load: float) -> Int64s:
    """Divide by `load`, to the nearest ns."""
    return times if load == 1.0 else np.rint(times / load).astype(np.int64)
