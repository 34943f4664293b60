"""From a packet's bytes to one row: its flow's key, payload, marks and status."""

from __future__ import annotations

from replay.engine.accelerate import jit_in_place
from replay.ingest.flows import MAPPED, pack
from replay.ingest.headers import (
    MALFORMED,
    OK,
    OUTGOING,
    SHORT,
    TYPE_IPV4,
    TYPE_IPV6,
    ip_header,
    link_header,
    transport_header,
)
from replay.ingest.records import Bytes, Columns, Int64s, u32, u64
from replay.trace.schema import PacketStatus

CUT, UNKNOWN = int(PacketStatus.CUT), int(PacketStatus.UNKNOWN)

_LONGEST = (1 << 31) - 1


@jit_in_place
def read_headers(
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
