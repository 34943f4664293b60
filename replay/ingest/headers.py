"""The headers of a packet, as jitted functions: link, IPv4, IPv6, TCP and UDP.

Each takes the bytes, where its header starts and where the captured bytes end, reads nothing beyond
that, and says SHORT where a header does not fit.
"""

from __future__ import annotations

from replay.engine.accelerate import jit_inline, jit_inside
from replay.ingest.records import Bytes, u8, u16, u32
from replay.trace.schema import PacketStatus

OK, MALFORMED = int(PacketStatus.OK), int(PacketStatus.MALFORMED)
SHORT = -1

#: Link types (the numbers that capture files hold).
NULL, ETHERNET, RAW, LOOP, SLL, IPV4, IPV6, SLL2 = 0, 1, 101, 108, 113, 228, 229, 276
_RAW = (RAW, IPV4, IPV6, 12, 14)  # 12 and 14: what some BSDs write for RAW

#: Ether types.
TYPE_IPV4, TYPE_IPV6, TYPE_UNKNOWN = 0x0800, 0x86DD, 0
_VLAN_TYPES = (0x8100, 0x88A8, 0x9100)

#: IP protocols.
TCP, UDP = 6, 17
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _OPTIONS = 0, 43, 44, 51, 60
_MOBILITY, _HIP, _SHIM6 = 135, 139, 140

#: What a packet says about itself: TCP's own bits, and ours above them.
FIN, SYN, RST, END_OF_MESSAGE, ACK = 1, 2, 4, 8, 16  # PSH ends a message; so does every datagram
TRANSPORT, REPEATED, OUTGOING = 32, 64, 128  # TCP or UDP; seen before; sent by the capturing host

_SLL_OUTGOING = 4  # packet type "sent by us"


@jit_inline
def link_header(data: Bytes, at: int, end: int, link: int) -> tuple[int, int, int, bool]:
    """Return where the network header starts, its ether type, the outer VLAN, whether outgoing.

    The VLAN is -1 where there is none. The ether type is SHORT where the link header is,
    TYPE_UNKNOWN for link types that are not decoded.
    """
    outgoing = False
    if link == ETHERNET:
        if at + 14 > end:
            return at, SHORT, -1, False
        kind, at = u16(data, at + 12, True), at + 14
    elif link == SLL:
        if at + 16 > end:
            return at, SHORT, -1, False
        outgoing = u16(data, at, True) == _SLL_OUTGOING
        kind, at = u16(data, at + 14, True), at + 16
    elif link == SLL2:
        if at + 20 > end:
            return at, SHORT, -1, False
        outgoing = u8(data, at + 10) == _SLL_OUTGOING
        kind, at = u16(data, at, True), at + 20
    elif link in _RAW:
        if at + 1 > end:
            return at, SHORT, -1, False
        return at, TYPE_IPV6 if u8(data, at) >> 4 == 6 else TYPE_IPV4, -1, False
    elif link in (NULL, LOOP):
        if at + 4 > end:
            return at, SHORT, -1, False
        return at + 4, _family(data, at), -1, False
    else:
        return at, TYPE_UNKNOWN, -1, False
    vlan = -1
    while kind in _VLAN_TYPES:
        if at + 4 > end:
            return at, SHORT, vlan, outgoing
        if vlan < 0:
            vlan = u16(data, at, True) & 0xFFF
        kind, at = u16(data, at + 2, True), at + 4
    return at, kind, vlan, outgoing


@jit_inside
def _family(data: Bytes, at: int) -> int:
    """Return the ether type of BSD's address family at `at`, of unknown byte order."""
    family = u32(data, at, False)
    if family > 0xFFFF:
        family = u32(data, at, True)
    if family == 2:
        return TYPE_IPV4
    return TYPE_IPV6 if family in (10, 24, 28, 30) else TYPE_UNKNOWN


@jit_inline
def ip_header(
    data: Bytes, at: int, end: int, wire_end: int, kind: int
) -> tuple[int, int, int, int, int]:
    """Return where the next header starts, where the packet ends, protocol, fragment, status.

    The next header starts at -1 where it cannot be told. fragment: 0 none, 1 one of several, 2 the
    last of several. An IP packet longer than its frame is MALFORMED, but read. A length of 0
    (segmentation offload, jumbogram) means the rest of the frame.
    """
    if kind == TYPE_IPV4:
        return _ipv4_header(data, at, end, wire_end)
    return _ipv6_header(data, at, end, wire_end)


@jit_inline
def _ipv4_header(data: Bytes, at: int, end: int, wire_end: int) -> tuple[int, int, int, int, int]:
    """Return what ip_header does."""
    if at + 20 > end:
        return -1, wire_end, 0, 0, SHORT
    first = u8(data, at)
    header, total = (first & 15) * 4, u16(data, at + 2, True)
    if first >> 4 != 4 or header < 20 or 0 < total < header:
        return -1, wire_end, 0, 0, MALFORMED
    if at + header > end:
        return -1, wire_end, 0, 0, SHORT
    place, fragment = u16(data, at + 6, True), 0
    if place & 0x3FFF:
        fragment = 1 if place & 0x2000 else 2
    packet_end, status = at + total if total else wire_end, OK
    if packet_end > wire_end:
        packet_end, status = wire_end, MALFORMED
    return at + header, packet_end, u8(data, at + 9), fragment, status


@jit_inside
def _ipv6_header(data: Bytes, at: int, end: int, wire_end: int) -> tuple[int, int, int, int, int]:
    """Return what ip_header does; extension headers are stepped over."""
    if at + 40 > end:
        return -1, wire_end, 0, 0, SHORT
    if u8(data, at) >> 4 != 6:
        return -1, wire_end, 0, 0, MALFORMED
    length, protocol = u16(data, at + 4, True), u8(data, at + 6)
    packet_end, status = at + 40 + length if length else wire_end, OK
    if packet_end > wire_end:
        packet_end, status = wire_end, MALFORMED
    at += 40
    while protocol in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _OPTIONS) or protocol in (
        _MOBILITY,
        _HIP,
        _SHIM6,
    ):  # each is at least eight bytes, so this ends
        if at + 8 > packet_end:
            return -1, packet_end, protocol, 0, MALFORMED
        if at + 8 > end:
            return -1, packet_end, protocol, 0, SHORT
        kind, protocol = protocol, u8(data, at)
        if kind == _FRAGMENT:
            place = u16(data, at + 2, True)
            if place & 0xFFF9:
                return at + 8, packet_end, protocol, 1 if place & 1 else 2, status
            at += 8
        elif kind == _AUTHENTICATION:
            at += (u8(data, at + 1) + 2) * 4
        else:
            at += (u8(data, at + 1) + 1) * 8
    if at > packet_end:
        return -1, packet_end, protocol, 0, MALFORMED
    return at, packet_end, protocol, 0, status


@jit_inline
def transport_header(
    data: Bytes, at: int, end: int, packet_end: int, protocol: int, fragment: int
) -> tuple[int, int, int, int, int, int]:
    """Return both ports, the bytes of payload, the marks, TCP's sequence number and the status.

    Ports are -1 where they cannot be told (no flow), and 0 of fragments (only the first has them,
    and a NIC does not hash them) and of protocols without; payload and sequence are -1 without.
    """
    if fragment:
        marks = TRANSPORT | END_OF_MESSAGE if fragment == 2 else TRANSPORT
        return 0, 0, packet_end - at, marks, -1, OK
    if protocol not in (TCP, UDP):
        return 0, 0, -1, 0, -1, OK
    if at + 4 > packet_end:
        return -1, -1, -1, 0, -1, MALFORMED
    if at + 4 > end:
        return -1, -1, -1, 0, -1, SHORT
    port, other_port = u16(data, at, True), u16(data, at + 2, True)
    sequence = -1
    if protocol == TCP:
        payload, marks, status = _tcp_header(data, at, end, packet_end)
        if payload >= 0:
            sequence = u32(data, at + 4, True)
    else:  # a datagram is a message
        payload, marks, status = packet_end - at - 8, TRANSPORT | END_OF_MESSAGE, OK
        if payload < 0:
            payload, status = -1, MALFORMED
        elif at + 8 > end:
            status = SHORT
    return port, other_port, payload, marks, sequence, status


@jit_inline
def _tcp_header(data: Bytes, at: int, end: int, packet_end: int) -> tuple[int, int, int]:
    """Return the bytes of payload (-1 unknown), the marks and the status."""
    if at + 20 > packet_end:
        return -1, TRANSPORT, MALFORMED
    if at + 14 > end:
        return -1, TRANSPORT, SHORT
    payload = packet_end - at - (u8(data, at + 12) >> 4) * 4
    marks = u8(data, at + 13) & (FIN | SYN | RST | END_OF_MESSAGE | ACK) | TRANSPORT
    if u8(data, at + 12) >> 4 < 5 or payload < 0:
        return -1, marks, MALFORMED
    return payload, marks, OK if at + 20 <= end else SHORT
