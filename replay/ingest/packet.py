"""From a capture's bytes to columns: one row a packet, with its flow, payload, marks and status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place
from replay.ingest.flows import (
    KEY_WORDS,
    MAPPED,
    FlowTable,
    new_table,
    number_flows,
    pack,
    with_room,
)
from replay.ingest.headers import (
    MALFORMED,
    OK,
    OUTGOING,
    REPEATED,
    SHORT,
    SYN,
    TYPE_IPV4,
    TYPE_IPV6,
    ip_header,
    link_header,
    transport_header,
)
from replay.ingest.records import BLOCK, Bytes, Capture, Int64s, u32, u64
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

    def part(self, first: int, behind: int) -> Columns:
        """Return the rows from `first` up to `behind`, sharing memory."""
        return Columns(**{name: column[first:behind] for name, column in self._asdict().items()})


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
    keys = np.empty((BLOCK, KEY_WORDS), dtype=np.int64)
    sequence = np.empty(BLOCK, dtype=np.int64)
    for block, filled, consumed in capture.blocks():
        if rows + BLOCK > len(columns.time):
            # As many rows as the bytes so far suggest for the whole file, and some.
            guess = (rows + filled) * len(data) // consumed
            columns = _larger(columns, rows, max(guess + guess // 16, rows) + 2 * BLOCK)
        links = np.array([i.link for i in capture.findings.interfaces] or [0], dtype=np.int64)
        here = columns.part(rows, rows + filled)
        _read_headers(data, block, filled, links, here, keys, sequence)
        table = with_room(table, flows, BLOCK)
        flows = number_flows(keys, filled, table.keys, table.slots, flows, here.flow)
        _mark_repeats(here.flow, here.payload, here.marks, sequence, table.sequence)
        rows += filled
    return Decoded(columns.part(0, rows), flows, table)


def _larger(columns: Columns, rows: int, room: int) -> Columns:
    """Return columns with `room` rows and the first `rows` rows of `columns`."""
    larger = Columns.empty(room)
    for name, old in columns._asdict().items():
        getattr(larger, name)[:rows] = old[:rows]
    return larger


@jit_in_place
def _read_headers(
    data: Bytes,
    block: Int64s,
    rows: int,
    links: Int64s,
    columns: Columns,
    keys: Int64s,
    sequence: Int64s,
) -> None:
    """Read the headers of a block's packets into all columns but `flow`, and what flows need.

    A row of `keys` whose last word is negative has no flow; `sequence` is that of TCP, else -1.
    """
    times, lengths, devices = columns.time, columns.length, columns.device
    payloads, all_marks, statuses = columns.payload, columns.marks, columns.status
    for row in range(rows):
        start, captured, length = block[row, 1], block[row, 2], block[row, 3]
        end, wire_end = start + captured, start + length
        payload, marks, number, packed = -1, 0, -1, -1
        at, kind, vlan, outgoing = link_header(data, start, end, links[block[row, 4]])
        if kind == TYPE_IPV4 or kind == TYPE_IPV6:  # noqa: SIM109
            here, packet_end, protocol, fragment, status = ip_header(data, at, end, wire_end, kind)
            if here >= 0:
                port, other_port, payload, marks, number, problem = transport_header(
                    data, here, end, packet_end, protocol, fragment
                )
                if problem != OK:
                    status = problem
                if port >= 0:
                    packed = pack(port, other_port, protocol, kind == TYPE_IPV6, vlan)
                    if kind == TYPE_IPV4:
                        keys[row, 0] = keys[row, 2] = 0
                        keys[row, 1] = MAPPED | u32(data, at + 12, True)
                        keys[row, 3] = MAPPED | u32(data, at + 16, True)
                    else:
                        keys[row, 0], keys[row, 1] = u64(data, at + 8), u64(data, at + 16)
                        keys[row, 2], keys[row, 3] = u64(data, at + 24), u64(data, at + 32)
        else:
            status = SHORT if kind == SHORT else UNKNOWN
        if status == SHORT:
            status = CUT if captured < length else MALFORMED
        keys[row, 4] = packed
        sequence[row] = number
        times[row] = block[row, 0]
        lengths[row] = length
        payloads[row] = min(payload, _LONGEST)
        all_marks[row] = marks | OUTGOING if outgoing else marks
        statuses[row] = status
        devices[row] = block[row, 4]


@jit_in_place
def _mark_repeats(
    flows: npt.NDArray[np.int32],
    payloads: npt.NDArray[np.int32],
    marks: npt.NDArray[np.uint8],
    sequence: Int64s,
    next_byte: Int64s,
) -> None:
    """Mark TCP payload that its flow carried before; keep each flow's next byte."""
    for row in range(len(flows)):
        flow, first, payload = flows[row], sequence[row], np.int64(payloads[row])
        if first < 0 or flow < 0:
            continue
        expected = next_byte[flow]
        if marks[row] & SYN:
            next_byte[flow] = first + 1 + payload & 0xFFFF_FFFF
        elif payload > 0:
            after = first + payload & 0xFFFF_FFFF
            ahead = after - expected & 0xFFFF_FFFF
            if expected >= 0 and (ahead == 0 or ahead >= 1 << 31):
                marks[row] |= REPEATED
            else:
                next_byte[flow] = after
