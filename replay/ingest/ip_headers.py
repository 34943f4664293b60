"""IP headers: protocol, fragment and end of an IPv4 or IPv6 packet, and where its content starts.

Both functions return where the next header starts (-1 where it cannot be told), where the packet
ends, its protocol, its place among fragments (0 not one, 1 one of several, 2 the last of several)
and the status. An IP packet longer than its frame is MALFORMED, but read. A length of 0
(segmentation offload, jumbogram) means the rest of the frame.
"""

from __future__ import annotations

from replay.engine.accelerate import jit_inline, jit_inside
from replay.ingest.headers import AUTHENTICATION, MALFORMED, OK, SHORT
from replay.ingest.records import Bytes, u8, u16

_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS = 0, 43, 44, 60
_MOBILITY, _HIP, _SHIM6 = 135, 139, 140


@jit_inline
def ipv4_header(data: Bytes, at: int, end: int, wire_end: int) -> tuple[int, int, int, int, int]:
    """Return what the module says, of an IPv4 header; one for authentication is stepped over."""
    if at + 20 > end:
        return -1, wire_end, 0, 0, SHORT
    first = u8(data, at)
    header, total = (first & 15) * 4, u16(data, at + 2, True)
    if first >> 4 != 4 or header < 20 or 0 < total < header:
        return -1, wire_end, 0, 0, MALFORMED
    if at + header > end:
        return -1, wire_end, 0, 0, SHORT
    place, fragment, protocol = u16(data, at + 6, True), 0, u8(data, at + 9)
    if place & 0x3FFF:
        fragment = 1 if place & 0x2000 else 2
    packet_end, status = at + total if total else wire_end, OK
    if packet_end > wire_end:
        packet_end, status = wire_end, MALFORMED
    if protocol == AUTHENTICATION and fragment == 0:
        here, protocol, problem = _behind_options(data, at + header, end, packet_end, protocol)
        return here, packet_end, protocol, 0, status if problem == OK else problem
    return at + header, packet_end, protocol, fragment, status


@jit_inside
def ipv6_header(data: Bytes, at: int, end: int, wire_end: int) -> tuple[int, int, int, int, int]:
    """Return what the module says, of an IPv6 header; extension headers are stepped over."""
    if at + 40 > end:
        return -1, wire_end, 0, 0, SHORT
    if u8(data, at) >> 4 != 6:
        return -1, wire_end, 0, 0, MALFORMED
    length, protocol = u16(data, at + 4, True), u8(data, at + 6)
    packet_end, status = at + 40 + length if length else wire_end, OK
    if packet_end > wire_end:
        packet_end, status = wire_end, MALFORMED
    at += 40
    while _is_extension(protocol):  # each is at least eight bytes, so this ends
        if protocol == _FRAGMENT and at + 8 <= min(end, packet_end):
            place = u16(data, at + 2, True)
            if place & 0xFFF9:
                return at + 8, packet_end, u8(data, at), 1 if place & 1 else 2, status
        at, protocol, problem = _behind_options(data, at, end, packet_end, protocol)
        if problem != OK:
            return -1, packet_end, protocol, 0, problem
    return at, packet_end, protocol, 0, status


@jit_inline
def _is_extension(protocol: int) -> bool:
    return protocol in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, AUTHENTICATION, _OPTIONS) or (
        protocol in (_MOBILITY, _HIP, _SHIM6)
    )


@jit_inside
def _behind_options(
    data: Bytes, at: int, end: int, packet_end: int, protocol: int
) -> tuple[int, int, int]:
    """Return where the header behind an extension header starts (-1), its protocol, the status."""
    if at + 8 > packet_end:
        return -1, protocol, MALFORMED
    if at + 8 > end:
        return -1, protocol, SHORT
    if protocol == _FRAGMENT:
        behind = at + 8
    elif protocol == AUTHENTICATION:
        behind = at + (u8(data, at + 1) + 2) * 4
    else:
        behind = at + (u8(data, at + 1) + 1) * 8
    if behind > packet_end:
        return -1, protocol, MALFORMED
    return behind, u8(data, at), OK
