"""From a capture's bytes to columns: one row a packet, with its flow, payload, marks and status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit
from replay.ingest.flows import MAPPED, NO_FLOW, FlowTable, find_or_add, new_table, pack, with_room
from replay.ingest.headers import (
    END_OF_MESSAGE,
    MALFORMED,
    OK,
    OUTGOING,
    REPEATED,
    SHORT,
    SYN,
    TCP,
    TRANSPORT,
    TYPE_IPV4,
    TYPE_IPV6,
    UDP,
    ipv4_header,
    ipv6_header,
    link_header,
    tcp_header,
    udp_header,
)
from replay.ingest.records import BLOCK, Bytes, Capture, Int64s, u16, u32, u64
from replay.trace.schema import PacketStatus

CUT, UNKNOWN = int(PacketStatus.CUT), int(PacketStatus.UNKNOWN)

_LONGEST = (1 << 31) - 1


class Columns(NamedTuple):
    """Decoded packets, each of shape (rows,)."""

    time: Int64s  # ns since 1970, or records.NO_TIME
    flow: npt.NDArray[np.int32]  # NO_FLOW without
    length: npt.NDArray[np.uint32]  # on the wire
    payload: npt.NDArray[np.int32]  # -1 where unknown
    marks: npt.NDArray[np.uint8]  # of replay.ingest.headers
    status: npt.NDArray[np.uint8]  # PacketStatus
    device: npt.NDArray[np.uint16]

    @classmethod
    def empty(cls, rows: int) -> Columns:
        """Return columns of `rows` rows with any content."""
        return cls(
            np.empty(rows, dtype=np.int64),
            np.empty(rows, dtype=np.int32),
            np.empty(rows, dtype=np.uint32),
            np.empty(rows, dtype=np.int32),
            np.empty(rows, dtype=np.uint8),
            np.empty(rows, dtype=np.uint8),
            np.empty(rows, dtype=np.uint16),
        )

    def first(self, rows: int) -> Columns:
        """Return the first `rows` rows, sharing memory."""
        return Columns(**{name: column[:rows] for name, column in self._asdict().items()})


@dataclass(frozen=True)
class Decoded:
    """All packets of a capture in file order, and its flows in order of appearance."""

    columns: Columns
    flows: int
    table: FlowTable


def decode_capture(data: Bytes, capture: Capture) -> Decoded:
    """Decode every packet of `capture`, which walks `data`."""
    columns, rows = Columns.empty(BLOCK), 0
    table, flows = new_table(BLOCK), 0
    for block, filled, consumed in capture.blocks():
        if rows + BLOCK > len(columns.time):
            # As many rows as the bytes so far suggest for the whole file, and some.
            guess = (rows + filled) * len(data) // consumed
            columns = _larger(columns, rows, max(guess + guess // 16, rows) + 2 * BLOCK)
        links = np.array([i.link for i in capture.findings.interfaces] or [0], dtype=np.int64)
        table = with_room(table, flows, BLOCK)
        flows = _decode(data, block, filled, links, table, flows, columns, rows)
        rows += filled
    return Decoded(columns.first(rows), flows, table)


def _larger(columns: Columns, rows: int, room: int) -> Columns:
    """Return columns with `room` rows and the first `rows` rows of `columns`."""
    larger = Columns.empty(room)
    for name, old in columns._asdict().items():
        getattr(larger, name)[:rows] = old[:rows]
    return larger


@jit
def _decode(
    data: Bytes,
    block: Int64s,
    rows: int,
    links: Int64s,
    table: FlowTable,
    flows: int,
    columns: Columns,
    first: int,
) -> int:
    """Decode a block's packets into `columns` from row `first` on; return the number of flows."""
    for row in range(rows):
        start, captured, length = block[row, 1], block[row, 2], block[row, 3]
        end, wire_end = start + captured, start + length
        at, kind, vlan, outgoing = link_header(data, start, end, links[block[row, 4]])
        if kind in (TYPE_IPV4, TYPE_IPV6):
            flow, flows, payload, marks, status = _internet(
                data, at, end, wire_end, kind, vlan, table, flows
            )
        else:
            flow, payload, marks = NO_FLOW, -1, 0
            status = SHORT if kind == SHORT else UNKNOWN
        if status == SHORT:
            status = CUT if captured < length else MALFORMED
        place = first + row
        columns.time[place] = block[row, 0]
        columns.flow[place] = flow
        columns.length[place] = length
        columns.payload[place] = min(payload, _LONGEST)
        columns.marks[place] = marks | OUTGOING if outgoing else marks
        columns.status[place] = status
        columns.device[place] = block[row, 4]
    return flows


@jit
def _internet(
    data: Bytes,
    at: int,
    end: int,
    wire_end: int,
    kind: int,
    vlan: int,
    table: FlowTable,
    flows: int,
) -> tuple[int, int, int, int, int]:
    """Return an IP packet's flow, the number of flows now, payload, marks and status."""
    if kind == TYPE_IPV4:
        here, packet_end, protocol, fragment, status = ipv4_header(data, at, end, wire_end)
    else:
        here, packet_end, protocol, fragment, status = ipv6_header(data, at, end, wire_end)
    if here < 0:
        return NO_FLOW, flows, -1, 0, status
    port, other_port, payload, marks, sequence = 0, 0, -1, 0, -1
    if fragment:  # the ports are in the first one only, and the NIC does not hash them
        payload = packet_end - here
        marks = TRANSPORT | END_OF_MESSAGE if fragment == 2 else TRANSPORT
    elif protocol in (TCP, UDP):
        if here + 4 > packet_end:
            return NO_FLOW, flows, -1, 0, MALFORMED
        if here + 4 > end:
            return NO_FLOW, flows, -1, 0, SHORT
        port, other_port = u16(data, here, True), u16(data, here + 2, True)
        if protocol == TCP:
            payload, marks, problem = tcp_header(data, here, end, packet_end)
            if payload >= 0:
                sequence = u32(data, here + 4, True)
        else:
            payload, marks, problem = udp_header(data, here, end, packet_end)
        if problem != OK:
            status = problem
    if kind == TYPE_IPV4:
        packed = pack(port, other_port, protocol, 4, vlan)
        source, destination = u32(data, at + 12, True), u32(data, at + 16, True)
        flow, flows = find_or_add(table, flows, 0, MAPPED | source, 0, MAPPED | destination, packed)
    else:
        packed = pack(port, other_port, protocol, 6, vlan)
        flow, flows = find_or_add(
            table, flows, u64(data, at + 8), u64(data, at + 16), u64(data, at + 24),
            u64(data, at + 32), packed,
        )  # fmt: skip
    if sequence >= 0:
        marks |= _repeated(table.sequence, flow, sequence, payload, marks)
    return flow, flows, payload, marks, status


@jit
def _repeated(next_byte: Int64s, flow: int, sequence: int, payload: int, marks: int) -> int:
    """Return REPEATED for TCP payload that this flow carried before; keep its next byte."""
    if marks & SYN:
        next_byte[flow] = sequence + 1 + payload & 0xFFFF_FFFF
    elif payload > 0:
        after = sequence + payload & 0xFFFF_FFFF
        ahead = after - next_byte[flow] & 0xFFFF_FFFF
        if next_byte[flow] >= 0 and (ahead == 0 or ahead >= 1 << 31):
            return REPEATED
        next_byte[flow] = after
    return 0
