"""Packets of a recording with the identities of a capture: their flows, payloads and kinds.

When a packet came, which poll took it and what its request cost stays the recording's; what it was
is the capture's. What only one of the two has seen is kept as that one has it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.ingest.hashed_flows import hashed_flows
from replay.ingest.join_match import NONE, Matched, Side, match
from replay.ingest.reconstruct_packets import Packets
from replay.ingest.reconstruct_points import NULL
from replay.layout.queues import receive_rows
from replay.trace.bundle import int64s
from replay.trace.schema import FLOWS, PacketKind

Int64s = npt.NDArray[np.int64]

#: What stands for null in a column of packets while it is made, where that is not -1.
NULLS = dict.fromkeys(("earliest_ns", "latest_ns", "payload"), NULL)


@dataclass(frozen=True)
class Seen:
    """The packets of a capture on the trace's clock; all of shape (packets,), NONE for null."""

    time: Int64s
    length: Int64s
    payload: Int64s
    kind: Int64s  # PacketKind
    flow: Int64s
    think: Int64s
    status: Int64s
    flows: pa.Table  # schema FLOWS
    duration: int  # ns, of the recording
    keeps: bool  # whether packets that only the capture has seen are the device's

    @classmethod
    def of(
        cls, packets: pa.Table, flows: pa.Table, shift: int, duration: int, *, keeps: bool
    ) -> Seen:
        """Return a capture's packets, `shift` ns added to their times."""

        def column(name: str) -> Int64s:
            return int64s(packets[name].combine_chunks(), NONE)

        return cls(
            column("arrival_ns") + shift,
            column("length"),
            column("payload"),
            column("kind"),
            column("flow"),
            column("think_ns"),
            column("status"),
            flows,
            duration,
            keeps,
        )


@dataclass(frozen=True)
class Joined:
    """What the capture says of a recording's packets, and those that it alone has seen."""

    seen: Seen
    matched: Matched
    packets: Packets
    differences: Int64s  # of each pair: the capture's stamp less the recording's, ns

    @cached_property
    def alone(self) -> Int64s:
        """Packets of the capture that are kept though the recording lacks them."""
        mine = self.within & (self.matched.recorded_of < 0)
        return np.flatnonzero(mine) if self.seen.keeps else np.empty(0, np.int64)

    @property
    def within(self) -> npt.NDArray[np.bool_]:
        """Which packets of the capture are of the recording's time."""
        time = self.seen.time
        return ((time >= 0) & (time < self.seen.duration)) | (self.matched.recorded_of >= 0)

    @property
    def connection(self) -> Int64s:
        """By packet: the flow to the server of its connection, NONE where it has no flow."""
        to_server = np.append(receive_rows(self.seen.flows), NONE)
        flow = self.packets.flow
        captured = flow < len(self.seen.flows)
        return np.where(captured, to_server[np.where(captured, flow, NONE)], flow)

    def whole(
        self, columns: dict[str, npt.NDArray[Any]]
    ) -> tuple[dict[str, npt.NDArray[Any]], pa.Table]:
        """Return the columns with the packets that only the capture has seen, and all flows.

        `columns` are those of a packets table by name, with the flows of `packets`.
        """
        seen, mine = self.seen, self.alone
        of = self.matched.capture_of
        # Answers were given their request's flow meanwhile: each direction has its own.
        there = np.where(of >= 0, seen.flow[np.where(of >= 0, of, 0)], NONE)
        columns = {**columns, "flow": np.where(there >= 0, there, columns["flow"])}
        alone = {
            "arrival_ns": seen.time[mine],
            "latest_ns": seen.time[mine],  # it was stamped after it had arrived
            "flow": seen.flow[mine],
            "length": seen.length[mine],
            "payload": np.where(seen.payload[mine] < 0, NULL, seen.payload[mine]),
            "kind": seen.kind[mine],
            "think_ns": seen.think[mine],
        }
        recorded = len(columns["arrival_ns"])
        both = {}
        for name, column in columns.items():
            null = NULLS.get(name, NONE)
            # Bounds end with the packets that were received.
            short = np.full(recorded - len(column), null)
            both[name] = np.concatenate([column, short, alone.get(name, np.full(len(mine), null))])
        status = np.where(of >= 0, seen.status[np.where(of >= 0, of, 0)], 0)
        both["status"] = np.concatenate([status, seen.status[mine]])
        flows, row_of = self._flows(both["flow"], both["arrival_ns"], both["length"])
        both["flow"] = np.append(row_of, NONE)[both["flow"]]
        return both, flows

    def _flows(self, flow: Int64s, time: Int64s, length: Int64s) -> tuple[pa.Table, Int64s]:
        """Return the flows that packets have, and the row of each flow; NONE for unused ones.

        `flow`, `time` and `length` are all packets'. Flows that only a hash names come last.
        """
        mine = np.flatnonzero(flow >= 0)
        used = np.unique(flow[mine])
        row_of = np.full(len(self.packets.flow_hash), NONE, np.int64)
        row_of[used] = np.arange(len(used))
        row, count = row_of[flow[mine]], len(used)
        first = np.full(count, np.iinfo(np.int64).max)
        last, size = np.zeros(count, np.int64), np.zeros(count, np.int64)
        np.minimum.at(first, row, time[mine])
        np.maximum.at(last, row, time[mine])
        np.add.at(size, row, length[mine])
        known = used[used < len(self.seen.flows)]
        named = used[used >= len(self.seen.flows)]
        zeros = np.zeros(len(named), np.int64)
        unnamed = hashed_flows(
            self.packets.flow_hash[named],
            self.packets.flow_version[named],
            0,
            first=zeros,
            last=zeros,
            packets=zeros,
            size=zeros,
        )
        head = self.seen.flows.take(pa.array(known)).select(FLOWS.names).cast(FLOWS)
        whole = pa.concat_tables([head, unnamed])
        counts = np.bincount(row, minlength=count)
        totals = {"first_ns": first, "last_ns": last, "packets": counts, "bytes": size}
        for name, values in totals.items():
            place = FLOWS.get_field_index(name)
            whole = whole.set_column(place, FLOWS.field(name), pa.array(values, pa.int64()))
        return whole, row_of


def join(seen: Seen, packets: Packets) -> Joined:
    """Match a capture with the packets of a recording, and name these as the capture does."""
    count, time = len(packets.row), packets.time
    sent = np.arange(count) >= packets.received
    order = np.argsort(time, kind="stable")
    recorded = Side(time[order], packets.length[order], sent[order], packets.flow[order])
    captured = Side(seen.time, seen.length, seen.kind == PacketKind.TX, seen.flow)
    headers = np.where(seen.payload >= 0, seen.length - seen.payload, NONE)
    found = match(recorded, captured, headers, len(packets.flow_hash))
    capture_of = np.empty(count, np.int64)
    capture_of[order] = found.capture_of
    whole = found.recorded_of >= 0
    recorded_of = np.where(whole, order[np.where(whole, found.recorded_of, 0)], NONE)
    matched = Matched(capture_of, recorded_of, found.flow_of_hash)
    pairs = np.flatnonzero(recorded_of >= 0)
    differences = seen.time[pairs] - time[recorded_of[pairs]]
    return Joined(seen, matched, _named(seen, packets, matched), differences)


def _named(seen: Seen, packets: Packets, matched: Matched) -> Packets:
    """Return the packets with the capture's kinds, payloads and flows."""
    mine = np.flatnonzero(matched.capture_of >= 0)
    of = matched.capture_of[mine]
    kind, payload = packets.kind.copy(), packets.payload.copy()
    last = matched.recorded_of[of] == mine
    asks = np.isin(seen.kind[of], (PacketKind.REQUEST, PacketKind.DATA))
    kind[mine] = np.where(~last & asks, PacketKind.DATA, seen.kind[of])
    known = seen.payload[of] >= 0
    part = packets.length[mine] - (seen.length[of] - seen.payload[of])
    payload[mine[known]] = part[known]
    flows = len(seen.flows)
    # A hash that no packet of the capture has is a flow of its own, behind the capture's.
    own = flows + np.arange(len(packets.flow_hash))
    by_hash = np.where(matched.flow_of_hash >= 0, matched.flow_of_hash, own)
    flow = np.append(by_hash, NONE)[packets.flow]
    there = seen.flow[of]
    flow[mine[there >= 0]] = there[there >= 0]
    return replace(
        packets,
        kind=kind,
        payload=payload,
        flow=flow,
        flow_hash=np.concatenate([np.zeros(flows, np.int64), packets.flow_hash]),
        flow_version=np.concatenate([np.zeros(flows, np.uint8), packets.flow_version]),
    )
