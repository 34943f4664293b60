"""From a packet's bytes to one row: its flow's key, payload, marks and status.

The flow is that of the innermost IP packet that can be read, through up to LEVELS tunnels. A
tunnel's packet of which nothing inside can be read belongs to the flow of the tunnel itself, and
has neither payload nor marks: it is no message.
"""

from __future__ import annotations

from replay.engine.accelerate import jit_in_place, jit_inline, jit_inside
from replay.engine.intrinsics import at as index
from replay.ingest.flows import END_WORDS, LEVELS, MAPPED, OUTER, Keys, pack
from replay.ingest.headers import ETHERNET, MALFORMED, OK, OUTGOING, SHORT, TYPE_IPV4, TYPE_IPV6
from replay.ingest.ip_headers import ipv4_header, ipv6_header
from replay.ingest.link_headers import link_header
from replay.ingest.network_headers import network_header
from replay.ingest.records import Bytes, Columns, Int64s, u32, u64
from replay.ingest.transport_headers import transport_header
from replay.ingest.tunnels import inner_packet, may_be_tunnel
from replay.ingest.usual_packet import usual_packet
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
    keys: Keys,
    sequence: Int64s,
    first: int,
) -> None:
    """Read the headers of a block's packets into all columns but `flow`, and what flows need.

    They become the rows from `first` on of `columns` and of `sequence`, which is that of TCP, else
    -1. `keys` is a block's, too; one whose last word is negative has no flow.
    """
    times, lengths, devices = columns.time, columns.length, columns.device
    payloads, all_marks, statuses = columns.payload, columns.marks, columns.status
    ends = keys.ends
    for i in range(rows):
        row, own = index(first + i), index(i)
        start, captured, length = block[own, 1], block[own, 2], block[own, 3]
        link, packed, status = links[index(block[own, 4])], -1, OK
        if link == ETHERNET:
            packed, source, destination, payload, marks, number = usual_packet(
                data, start, captured, length
            )
        if packed >= 0:
            ends[own, 0] = ends[own, 2] = 0
            ends[own, 1], ends[own, 3], ends[own, 4] = source, destination, packed
        else:
            payload, marks, number, status = _any_packet(
                data, start, captured, length, link, keys, own
            )
        sequence[row] = number
        times[row] = block[own, 0]
        lengths[row] = length
        payloads[row] = payload
        all_marks[row] = marks
        statuses[row] = status
        devices[row] = block[own, 4]


@jit_inside
def _any_packet(
    data: Bytes, start: int, captured: int, length: int, link: int, keys: Keys, row: int
) -> tuple[int, int, int, int]:
    """Read a packet into a row of `keys`; return payload, marks, sequence number and status."""
    ends, tunnels = keys.ends, keys.tunnels
    end, wire_end = start + captured, start + length
    payload, marks, number, packed, vlan = -1, 0, -1, -1, -1
    at, kind, outgoing = link_header(data, start, end, link)
    if kind != TYPE_IPV4 and kind != TYPE_IPV6:
        at, kind, vlan = network_header(data, at, end, kind)
    if kind == TYPE_IPV4 or kind == TYPE_IPV6:  # noqa: SIM109
        here, packet_end, carried, packed, payload, marks, number, status = _ip_packet(
            data, at, end, wire_end, kind, vlan, 0, ends, row
        )
        if packed >= 0 and may_be_tunnel(carried, packed >> 40, packed >> 24 & 0xFFFF):
            packed, payload, marks, number, status = _inside(
                data, here, end, packet_end, ends, tunnels, row, payload, marks, status
            )
    else:
        status = SHORT if kind == SHORT else UNKNOWN
    if status == SHORT:
        status = CUT if captured < length else MALFORMED
    ends[row, 4] = packed
    marks |= OUTGOING if outgoing else 0
    return min(payload, _LONGEST), marks, number, status


@jit_inline
def _ip_packet(
    data: Bytes,
    at: int,
    end: int,
    wire_end: int,
    kind: int,
    vlan: int,
    level: int,
    ends: Int64s,
    row: int,
) -> tuple[int, int, int, int, int, int, int, int]:
    """Read the IP packet at `at`, inside of `level` tunnels, into a row of keys' `ends`.

    Return where its content starts and ends, the content's protocol (-1 of fragments), the key's
    last word (-1: no flow, nothing was written), payload, marks, sequence number and status.
    """
    if kind == TYPE_IPV4:
        here, packet_end, protocol, fragment, status = ipv4_header(data, at, end, wire_end)
    else:
        here, packet_end, protocol, fragment, status = ipv6_header(data, at, end, wire_end)
    if here < 0:
        return here, packet_end, -1, -1, -1, 0, -1, status
    port, other_port, payload, marks, number, problem = transport_header(
        data, here, end, packet_end, protocol, fragment
    )
    if problem != OK:
        status = problem
    if port < 0:
        return here, packet_end, -1, -1, -1, 0, -1, status
    packed = pack(port, other_port, protocol, kind == TYPE_IPV6, vlan, level)
    ends[row, 4] = packed
    if kind == TYPE_IPV4:
        ends[row, 0] = ends[row, 2] = 0
        ends[row, 1] = MAPPED | u32(data, at + 12, True)
        ends[row, 3] = MAPPED | u32(data, at + 16, True)
    else:
        ends[row, 0], ends[row, 1] = u64(data, at + 8), u64(data, at + 16)
        ends[row, 2], ends[row, 3] = u64(data, at + 24), u64(data, at + 32)
    return here, packet_end, -1 if fragment else protocol, packed, payload, marks, number, status


@jit_inside
def _inside(
    data: Bytes,
    here: int,
    end: int,
    packet_end: int,
    ends: Int64s,
    tunnels: Int64s,
    row: int,
    payload: int,
    marks: int,
    status: int,
) -> tuple[int, int, int, int, int]:
    """Read what is inside of the IP packet whose content starts at `here`, tunnel by tunnel.

    Return the key's last word, payload, marks, sequence number and status; those of the packet
    itself are told, and stand in `ends`, where it is no tunnel.
    """
    level, number, packed = 0, -1, ends[row, 4]
    protocol = packed >> 16 & 0xFF
    while level < LEVELS:
        limit = min(end, packet_end)
        at, kind, tunnel = inner_packet(
            data, here, limit, protocol, packed >> 40, packed >> 24 & 0xFFFF
        )
        if tunnel == 0:
            break
        if level == 0:
            for word in range(END_WORDS):
                tunnels[row, OUTER + word] = ends[row, word]
        tunnels[row, level] = tunnel
        level += 1
        payload, marks, number = -1, 0, -1
        if kind == SHORT:  # told apart here: `end` may be the outer packet's
            status = SHORT if end < packet_end else MALFORMED
        if kind != TYPE_IPV4 and kind != TYPE_IPV6:
            break
        vlan = (packed & 0x1FFF) - 1
        here, packet_end, protocol, inner, size, marked, first_byte, status = _ip_packet(
            data, at, limit, packet_end, kind, vlan, level, ends, row
        )
        if status == SHORT and limit == packet_end:
            status = MALFORMED
        if inner < 0:
            break
        packed, payload, marks, number = inner, size, marked, first_byte
        if not may_be_tunnel(protocol, packed >> 40, packed >> 24 & 0xFFFF):
            break
        end = limit
    return packed, payload, marks, number, status
