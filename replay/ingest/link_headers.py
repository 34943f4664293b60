"""Link headers: what a frame of each link type carries, and where."""

from __future__ import annotations

from replay.engine.accelerate import jit_inline, jit_inside
from replay.ingest.headers import (
    CISCO_HDLC,
    ETHERNET,
    IPV4,
    IPV6,
    LOOP,
    NULL,
    PPP,
    PPP_ETHER,
    PPP_SERIAL,
    RAW,
    RAW_ALSO,
    SHORT,
    SLL,
    SLL2,
    TYPE_IPV4,
    TYPE_IPV6,
    TYPE_PPPOE,
    TYPE_UNKNOWN,
)
from replay.ingest.network_headers import ppp_header
from replay.ingest.records import Bytes, u8, u16, u32

_SLL_OUTGOING = 4  # packet type "sent by us"
_CISCO_UNICAST, _CISCO_MULTICAST = 0x0F, 0x8F


@jit_inline
def link_header(data: Bytes, at: int, end: int, link: int) -> tuple[int, int, bool]:
    """Return where what the frame carries starts, its ether type, and whether it was sent.

    The ether type is SHORT where the link header is, TYPE_UNKNOWN for link types that are not
    decoded.
    """
    if link == ETHERNET:
        if at + 14 > end:
            return at, SHORT, False
        return at + 14, u16(data, at + 12, True), False
    return _other_header(data, at, end, link)


@jit_inside
def _other_header(data: Bytes, at: int, end: int, link: int) -> tuple[int, int, bool]:
    """Return what link_header does, of all but Ethernet."""
    if link == SLL:
        if at + 16 > end:
            return at, SHORT, False
        return at + 16, u16(data, at + 14, True), u16(data, at, True) == _SLL_OUTGOING
    if link == SLL2:
        if at + 20 > end:
            return at, SHORT, False
        return at + 20, u16(data, at, True), u8(data, at + 10) == _SLL_OUTGOING
    if link in (RAW, IPV4, IPV6) or link in RAW_ALSO:
        if at + 1 > end:
            return at, SHORT, False
        return at, TYPE_IPV6 if u8(data, at) >> 4 == 6 else TYPE_IPV4, False
    if link in (NULL, LOOP):
        if at + 4 > end:
            return at, SHORT, False
        return at + 4, _family(data, at), False
    if link in (PPP, PPP_SERIAL, CISCO_HDLC):
        if at + 4 > end:
            return at, SHORT, False
        if u8(data, at) in (_CISCO_UNICAST, _CISCO_MULTICAST):
            return at + 4, u16(data, at + 2, True), False
        at, kind = ppp_header(data, at, end)
        return at, kind, False
    return at, TYPE_PPPOE if link == PPP_ETHER else TYPE_UNKNOWN, False


@jit_inside
def _family(data: Bytes, at: int) -> int:
    """Return the ether type of BSD's address family at `at`, of unknown byte order."""
    family = u32(data, at, False)
    if family > 0xFFFF:
        family = u32(data, at, True)
    if family == 2:
        return TYPE_IPV4
    return TYPE_IPV6 if family in (10, 24, 28, 30) else TYPE_UNKNOWN
