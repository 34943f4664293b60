"""What may stand between link and IP header: VLAN tags, MPLS labels, PPPoE and PPP, SNAP."""

from __future__ import annotations

from replay.engine.accelerate import jit_inside
from replay.ingest.headers import (
    SHORT,
    TYPE_IPV4,
    TYPE_IPV6,
    TYPE_MPLS,
    TYPE_MPLS_MULTICAST,
    TYPE_PPPOE,
    TYPE_UNKNOWN,
    TYPES_VLAN,
)
from replay.ingest.records import Bytes, u8, u16, u32

_LONGEST_802_3 = 1_500  # up to here it is a length, and LLC follows
_SNAP = 0xAAAA_0300  # LLC's three bytes and the first of an OUI of zeros


@jit_inside
def network_header(data: Bytes, at: int, end: int, kind: int) -> tuple[int, int, int]:
    """Return where the header behind those of ether type `kind` starts, its type, the outer VLAN.

    The VLAN is -1 where there is none. The type is SHORT where a header on the way is. Each turn
    moves on by two bytes at least.
    """
    vlan = -1
    while True:
        if kind in TYPES_VLAN:
            if at + 4 > end:
                return at, SHORT, vlan
            if vlan < 0:
                vlan = u16(data, at, True) & 0xFFF
            kind, at = u16(data, at + 2, True), at + 4
        elif kind == TYPE_MPLS or kind == TYPE_MPLS_MULTICAST:  # noqa: SIM109
            at, kind = _mpls_labels(data, at, end)
        elif kind == TYPE_PPPOE:
            if at + 6 > end:
                return at, SHORT, vlan
            at, kind = ppp_header(data, at + 6, end)
        elif 0 < kind <= _LONGEST_802_3:
            if at + 8 > end or u32(data, at, True) != _SNAP or u16(data, at + 4, True):
                return at, TYPE_UNKNOWN, vlan
            kind, at = u16(data, at + 6, True), at + 8
        else:
            return at, kind, vlan


@jit_inside
def ppp_header(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the header behind PPP's starts, and its ether type."""
    if at + 2 <= end and u16(data, at, True) == 0xFF03:  # address and control, where they are
        at += 2
    if at + 2 > end:
        return at, SHORT
    if u8(data, at) & 1:  # one byte, where that was negotiated: the last one's lowest bit is set
        protocol, at = u8(data, at), at + 1
    else:
        protocol, at = u16(data, at, True), at + 2
    if protocol == 0x21:
        return at, TYPE_IPV4
    if protocol == 0x57:
        return at, TYPE_IPV6
    return at, TYPE_MPLS if protocol in (0x281, 0x283) else TYPE_UNKNOWN


@jit_inside
def _mpls_labels(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the packet behind a stack of labels starts, and its ether type.

    No label says what it carries: an IP packet is known by its version.
    """
    while at + 4 <= end:
        last = u8(data, at + 2) & 1
        at += 4
        if last:
            if at >= end:
                return at, SHORT
            version = u8(data, at) >> 4
            if version == 4:
                return at, TYPE_IPV4
            return at, TYPE_IPV6 if version == 6 else TYPE_UNKNOWN
    return at, SHORT
