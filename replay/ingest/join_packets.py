"""Packets of a recording with the identities of a capture: their flows, payloads and kinds.

When a packet came, which poll took it and what its request cost stays the recording's; what it was
is the capture's. What only one of the two has seen is kept as that one has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay import mapped
from replay.engine.accelerate import jit_in_place
from replay.ingest.flow_totals import flow_totals
from replay.ingest.hashed_flows import hashed_flows, with_totals
from replay.ingest.join_match import NONE, Captured, Matched, Recorded, match
from replay.ingest.reconstruct_packets import Packets
from replay.ingest.reconstruct_points import NULL
from replay.layout.queues import receive_rows
from replay.trace.bundle import Trace, int64s
from replay.trace.schema import FLOWS, PacketKind

Int64s = npt.NDArray[np.int64]

#: What stands for null in a column of packets while it is made, where that is not -1.
NULLS = dict.fromkeys(("earliest_ns", "latest_ns", "payload"), NULL)

#: Gives the values of some packets, by the name of a column and their numbers; None: all null.
ValuesOf = Callable[[str, Int64s], npt.NDArray[Any] | None]

_REQUEST, _DATA = int(PacketKind.REQUEST), int(PacketKind.DATA)


@dataclass(frozen=True)
class Seen:
    """The packets of a capture on the trace's clock; all of shape (packets,), NONE for null."""

    packets: Captured
    think: Int64s
    status: npt.NDArray[np.uint8]
    flows: pa.Table  # schema FLOWS
    duration: int  # ns, of the recording
    keeps: bool  # whether packets that only the capture has seen are the device's

    @classmethod
    def of(
        cls,
        trace: Trace,
        shift: int,
        duration: int,
        *,
        keeps: bool,
        device: int | None = None,
    ) -> Seen:
        """Return a capture's packets, of one of its devices alone where that is not None.

        `shift` ns are added to their times.
        """
        count = trace.last_arrival()[0] if device is None else _count(trace, device)
        names = ("arrival_ns", "length", "kind", "flow", "payload", "think_ns", "status")
        kinds = [np.uint8 if name in ("kind", "status") else np.int64 for name in names]
        columns = [mapped.column(count, kind) for kind in kinds]
        filled = 0
        for batch in _batches(trace, *names, "device"):
            mine = slice(None) if device is None else int64s(batch["device"], NONE) == device
            values = [int64s(batch[name], NONE)[mine] for name in names]
            values[0] = values[0] + shift
            for column, value in zip(columns, values, strict=True):
                column[filled : filled + len(value)] = value
            filled += len(values[0])
        *captured, think, status = columns
        return cls(Captured(*captured), think, status, trace.flows, duration, keeps)

    def within(self, rows: slice) -> npt.NDArray[np.bool_]:
        """Return which of its packets are of the recording's time."""
        time = self.packets.time[rows]
        return (time >= 0) & (time < self.duration)


def _count(trace: Trace, device: int) -> int:
    """Return how many packets a device has."""
    parts = (int64s(batch["device"], NONE) == device for batch in _batches(trace, "device"))
    return sum(int(np.count_nonzero(part)) for part in parts)


def _batches(trace: Trace, *names: str) -> Iterator[pa.RecordBatch]:
    """Yield columns of the packets, a step of rows after the other."""
    for chunk in trace.packets_by_chunk(*names):
        for part in mapped.steps(len(chunk)):
            yield chunk.slice(part.start, part.stop - part.start)
        mapped.make_room()


@dataclass(frozen=True)
class Joined:
    """What the capture says of a recording's packets, and those that it alone has seen."""

    seen: Seen
    matched: Matched
    packets: Packets
    alone: Int64s  # packets of the capture that are kept though the recording lacks them

    def connections(self) -> Int64s:
        """Return by packet the flow to the server of its connection, NONE where it has no flow."""
        own = np.arange(len(self.seen.flows), len(self.packets.flow_hash))
        to_server = np.concatenate([receive_rows(self.seen.flows), own, [NONE]])
        found = mapped.column(len(self.packets.flow))
        for part in mapped.steps(len(found)):
            found[part] = to_server[self.packets.flow[part]]
        return found

    def whole(self, arrival: Int64s, values: ValuesOf) -> tuple[Int64s, ValuesOf, pa.Table]:
        """Return the same of all packets, those behind that only the capture has seen; and flows.

        `arrival` and `values` are of `packets`.
        """
        recorded, count = len(arrival), len(arrival) + len(self.alone)
        every = mapped.column(count)
        for part in mapped.steps(recorded):
            every[part] = arrival[part]
        for part in mapped.steps(len(self.alone)):
            behind = slice(recorded + part.start, recorded + part.stop)
            every[behind] = self.seen.packets.time[self.alone[part]]

        def both(name: str, mine: Int64s) -> npt.NDArray[Any] | None:
            there = mine < recorded
            first = self._recorded(name, mine[there], values)
            if first is None:
                return None
            found = np.full(len(mine), NULLS.get(name, NONE), np.int64)
            found[there] = first
            found[~there] = self._alone(name, self.alone[mine[~there] - recorded], values)
            return found

        def part_of(rows: slice) -> tuple[Int64s, Int64s, Int64s]:
            numbers = np.arange(rows.start, rows.stop)
            flow, length = both("flow", numbers), both("length", numbers)
            assert flow is not None
            assert length is not None
            return flow, every[rows], length

        totals = flow_totals(len(self.packets.flow_hash), count, part_of)
        used = np.flatnonzero(totals.packets)
        row_of = np.full(len(totals.packets) + 1, NONE)
        row_of[used] = np.arange(len(used))

        def numbered(name: str, mine: Int64s) -> npt.NDArray[Any] | None:
            found = both(name, mine)
            return row_of[found] if name == "flow" and found is not None else found

        flows = with_totals(self._flows(used), type(totals)(*(it[used] for it in totals)))
        return every, numbered, flows

    def _recorded(self, name: str, mine: Int64s, values: ValuesOf) -> npt.NDArray[Any] | None:
        """Return the values of packets of the recording."""
        found = values(name, mine)
        if name not in ("flow", "status") or found is None:
            return found
        of = self.matched.capture_of[mine]
        there = (self.seen.packets.flow if name == "flow" else self.seen.status)[of]
        # Answers were given their request's flow meanwhile: each direction has its own.
        return np.where((of >= 0) & (there != NONE), there, found)

    def _alone(self, name: str, mine: Int64s, values: ValuesOf) -> npt.NDArray[Any] | int:
        """Return the values of packets of the capture that the recording lacks."""
        packets = self.seen.packets
        if name == "device":
            found = values(name, mine)
            return NONE if found is None else found
        if name == "payload":
            payload = packets.payload[mine]
            return np.where(payload < 0, NULL, payload)
        columns: dict[str, npt.NDArray[Any]] = {
            "arrival_ns": packets.time,
            "latest_ns": packets.time,  # it was stamped after it had arrived
            "flow": packets.flow,
            "length": packets.length,
            "kind": packets.kind,
            "think_ns": self.seen.think,
            "status": self.seen.status,
        }
        return columns[name][mine] if name in columns else NULLS.get(name, NONE)

    def _flows(self, used: Int64s) -> pa.Table:
        """Return these flows, the totals not filled in; those that only a hash names come last."""
        known, named = np.split(used, [np.searchsorted(used, len(self.seen.flows))])
        unnamed = hashed_flows(self.packets.flow_hash[named], self.packets.flow_version[named], 0)
        head = self.seen.flows.take(pa.array(known)).select(FLOWS.names).cast(FLOWS)
        return pa.concat_tables([head, unnamed])


def join(seen: Seen, packets: Packets) -> Joined:
    """Match a capture with the packets of a recording, and name these as the capture does.

    The columns of `packets` are changed.
    """
    recorded = Recorded(packets.time, packets.length, packets.flow)
    matched = match(recorded, packets.received, seen.packets, len(packets.flow_hash))
    flows = len(seen.flows)
    # A hash that no packet of the capture has is a flow of its own, behind the capture's.
    own = flows + np.arange(len(packets.flow_hash))
    by_hash = np.where(matched.flow_of_hash >= 0, matched.flow_of_hash, own)
    columns = packets.length, packets.kind, packets.payload, packets.flow
    for part in mapped.steps(len(packets.row)):
        _name(part.start, part.stop, seen.packets, matched, by_hash, *columns)
    named = replace(
        packets,
        flow_hash=np.concatenate([np.zeros(flows, np.int64), packets.flow_hash]),
        flow_version=np.concatenate([np.zeros(flows, np.uint8), packets.flow_version]),
    )
    return Joined(seen, matched, named, _alone(seen, matched))


def _alone(seen: Seen, matched: Matched) -> Int64s:
    """Return the packets of the capture that are kept though the recording lacks them."""

    def rows(part: slice) -> Int64s:
        mine = seen.within(part) & (matched.recorded_of[part] < 0)
        numbers: Int64s = np.flatnonzero(mine) + part.start
        return numbers

    count = len(seen.packets.time) if seen.keeps else 0
    found = mapped.column(sum(len(rows(part)) for part in mapped.steps(count)))
    filled = 0
    for part in mapped.steps(count):
        mine = rows(part)
        found[filled : filled + len(mine)] = mine
        filled += len(mine)
    return found


@jit_in_place
def _name(
    begin: int,
    end: int,
    captured: Captured,
    matched: Matched,
    by_hash: Int64s,
    length: Int64s,
    kind: npt.NDArray[np.uint8],
    payload: Int64s,
    flow: Int64s,
) -> None:
    """Give the packets from `begin` up to `end` the capture's kinds, payloads and flows."""
    for packet in range(begin, end):
        flow[packet] = by_hash[flow[packet]] if flow[packet] >= 0 else NONE
        of = matched.capture_of[packet]
        if of < 0:
            continue
        kind[packet] = captured.kind[of]
        asks = kind[packet] in (_REQUEST, _DATA)
        if asks and matched.recorded_of[of] != packet:
            kind[packet] = _DATA
        if captured.payload[of] >= 0:
            payload[packet] = length[packet] - (captured.length[of] - captured.payload[of])
        if captured.flow[of] >= 0:
            flow[packet] = captured.flow[of]
