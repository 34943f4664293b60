"""Tunnels: which one an IP packet carries, its key, and where the packet inside of it starts.

VXLAN (also on Linux' old port, and its generic extension), Geneve, GRE with all that it carries
(IP, Ethernet, MPLS, PPP, ERSPAN), IP, Ethernet and MPLS in IP, MPLS in UDP, Teredo. Others (GTP,
L2TP, encrypted ones) are the flow of their outer packet.
"""

from __future__ import annotations

from replay.engine.accelerate import jit_inline, jit_inside
from replay.ingest.headers import (
    ETHERIP,
    ETHERNET_INSIDE,
    GRE,
    IPV4_INSIDE,
    IPV6_INSIDE,
    MPLS_INSIDE,
    SHORT,
    TCP,
    TYPE_IPV4,
    TYPE_IPV6,
    TYPE_MPLS,
    UDP,
)
from replay.ingest.network_headers import network_header, ppp_header
from replay.ingest.records import Bytes, u8, u16, u32

#: Tunnels, and what people call them.
VXLAN, VXLAN_GPE, GENEVE, GRE_TUNNEL, PPTP, ERSPAN = range(1, 7)
TEREDO, IP_IN_IP, ETHERNET_IN_IP, MPLS_TUNNEL = range(7, 11)
NAMES = {
    VXLAN: "vxlan",
    VXLAN_GPE: "vxlan-gpe",
    GENEVE: "geneve",
    GRE_TUNNEL: "gre",
    PPTP: "pptp",
    ERSPAN: "erspan",
    TEREDO: "teredo",
    IP_IN_IP: "ipip",
    ETHERNET_IN_IP: "ethernet",
    MPLS_TUNNEL: "mpls",
}

#: One tunnel in a word: which, whether it has a key, and the key (VNI, session or GRE's key).
_KIND_SHIFT, _HAS_KEY = 33, 1 << 32

#: VXLAN has 4789, and Linux' first choice, which Flannel keeps, is 8472.
_VXLAN_GPE_PORT, _GENEVE_PORT, _TEREDO_PORT, _MPLS_PORT = 4790, 6081, 3544, 6635
_PORTS = (4789, 8472, _VXLAN_GPE_PORT, _GENEVE_PORT, _TEREDO_PORT, _MPLS_PORT)
_VNI_VALID, _NEXT_PROTOCOL_VALID = 0x08, 0x04

#: What GRE and Geneve say they carry, besides ether types.
_TYPE_ETHERNET, _TYPE_PPP, _TYPE_ERSPAN, _TYPE_ERSPAN_3 = 0x6558, 0x880B, 0x88BE, 0x22EB
_ETHERIP_VERSION = 3

_NONE = 0


def tunnel_name(word: int) -> str:
    """Return a tunnel as people write it: its kind, and its key where it has one."""
    name = NAMES[word >> _KIND_SHIFT]
    return f"{name} {word & 0xFFFF_FFFF}" if word & _HAS_KEY else name


@jit_inline
def may_be_tunnel(protocol: int, port: int, other_port: int) -> bool:
    """Return whether a look inside is worth it: quick, for most packets are none."""
    if protocol == TCP:
        return False
    if protocol == UDP:
        return other_port in _PORTS or port == _TEREDO_PORT
    return protocol in (GRE, IPV4_INSIDE, IPV6_INSIDE, ETHERIP, ETHERNET_INSIDE, MPLS_INSIDE)


@jit_inside
def inner_packet(
    data: Bytes, at: int, end: int, protocol: int, port: int, other_port: int
) -> tuple[int, int, int]:
    """Return where the packet in the tunnel at `at` starts, its ether type and the tunnel's word.

    `at` is behind the IP header of what may be a tunnel; `protocol` and ports are that packet's.
    The word is 0 where there is none; the ether type is SHORT where a header is, the tunnel's own
    for one.
    """
    if protocol == UDP:
        if _TEREDO_PORT in (port, other_port):
            return _teredo(data, at + 8, end)
        if other_port == _MPLS_PORT:
            return _network(data, at + 8, end, TYPE_MPLS, MPLS_TUNNEL << _KIND_SHIFT)
        return _over_udp(data, at + 8, end, other_port)
    if protocol == GRE:
        return _gre(data, at, end)
    if protocol == IPV4_INSIDE:
        return at, TYPE_IPV4, IP_IN_IP << _KIND_SHIFT
    if protocol == IPV6_INSIDE:
        return at, TYPE_IPV6, IP_IN_IP << _KIND_SHIFT
    if protocol == MPLS_INSIDE:
        return _network(data, at, end, TYPE_MPLS, MPLS_TUNNEL << _KIND_SHIFT)
    if protocol == ETHERNET_INSIDE:
        return _ethernet(data, at, end, ETHERNET_IN_IP << _KIND_SHIFT)
    if at + 2 > end:
        return at, SHORT, ETHERNET_IN_IP << _KIND_SHIFT
    if u8(data, at) >> 4 != _ETHERIP_VERSION:
        return at, SHORT, _NONE
    return _ethernet(data, at + 2, end, ETHERNET_IN_IP << _KIND_SHIFT)


@jit_inside
def _over_udp(data: Bytes, at: int, end: int, port: int) -> tuple[int, int, int]:
    """Return what inner_packet does, of VXLAN and Geneve: eight bytes, the key in the second."""
    if at + 8 > end:
        return at, SHORT, VXLAN << _KIND_SHIFT
    first, key = u8(data, at), u32(data, at + 4, True) >> 8 | _HAS_KEY
    if port == _GENEVE_PORT:
        if first >> 6:  # of another version
            return at, SHORT, _NONE
        kind = u16(data, at + 2, True)
        word = GENEVE << _KIND_SHIFT | key
        return _carried(data, at + 8 + (first & 0x3F) * 4, end, kind, word)
    if port == _VXLAN_GPE_PORT:
        return _vxlan_gpe(data, at, end, key)
    if not first & _VNI_VALID:
        return at, SHORT, _NONE
    return _ethernet(data, at + 8, end, VXLAN << _KIND_SHIFT | key)


@jit_inside
def _vxlan_gpe(data: Bytes, at: int, end: int, key: int) -> tuple[int, int, int]:
    """Return what inner_packet does, of VXLAN's extension, which names what it carries."""
    first, carried = u8(data, at), u8(data, at + 3)
    word = VXLAN_GPE << _KIND_SHIFT | (key if first & _VNI_VALID else 0)
    if not first & (_VNI_VALID | _NEXT_PROTOCOL_VALID):
        return at, SHORT, _NONE
    if carried in (0, 3):  # plain VXLAN says nothing there, and carries Ethernet
        return _ethernet(data, at + 8, end, word)
    if carried == 1:
        return at + 8, TYPE_IPV4, word
    return at + 8, TYPE_IPV6 if carried == 2 else SHORT, word


@jit_inside
def _gre(data: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return what inner_packet does, of GRE: version 0, and 1, which is PPTP's."""
    if at + 4 > end:
        return at, SHORT, GRE_TUNNEL << _KIND_SHIFT
    flags, kind = u16(data, at, True), u16(data, at + 2, True)
    has_sum, routed, has_key, numbered = (
        flags >> 15,
        flags >> 14 & 1,
        flags >> 13 & 1,
        flags >> 12 & 1,
    )
    version = flags & 7
    if routed or version > 1:  # source routes were never used
        return at, SHORT, _NONE
    key_at = at + 4 + 4 * has_sum
    behind = key_at + 4 * (has_key + numbered)
    if version == 1:
        behind += 4 * (flags >> 7 & 1)  # an acknowledgement
    if behind > end:
        return at, SHORT, GRE_TUNNEL << _KIND_SHIFT
    if version == 1:  # each direction has a key of its own: it tells nothing of the tunnel
        inside, kind = ppp_header(data, behind, end)
        return _network(data, inside, end, kind, PPTP << _KIND_SHIFT)
    if kind == _TYPE_ERSPAN or kind == _TYPE_ERSPAN_3:  # noqa: SIM109
        return _erspan(data, behind, end, kind, numbered)
    word = GRE_TUNNEL << _KIND_SHIFT
    if has_key:
        word |= _HAS_KEY | u32(data, key_at, True)
    return _carried(data, behind, end, kind, word)


@jit_inside
def _erspan(data: Bytes, at: int, end: int, kind: int, numbered: int) -> tuple[int, int, int]:
    """Return what inner_packet does, of a mirrored frame; type I has no header, II and III do."""
    word = ERSPAN << _KIND_SHIFT
    if kind == _TYPE_ERSPAN and not numbered:
        return _ethernet(data, at, end, word)
    if at + 12 > end:
        return at, SHORT, word
    word |= _HAS_KEY | u16(data, at + 2, True) & 0x3FF
    if kind == _TYPE_ERSPAN:
        return _ethernet(data, at + 8, end, word)
    return _ethernet(data, at + 12 + 8 * (u8(data, at + 11) & 1), end, word)


@jit_inside
def _teredo(data: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return what inner_packet does, of IPv6 in UDP behind two headers that may be missing."""
    word = TEREDO << _KIND_SHIFT
    if at + 4 <= end and u16(data, at, True) == 1:  # authentication, with two lengths
        at += 13 + u8(data, at + 2) + u8(data, at + 3)
    if at + 2 <= end and u16(data, at, True) == 0:  # where the sender was seen
        at += 8
    if at >= end or u8(data, at) >> 4 != 6:
        return at, SHORT, _NONE
    return at, TYPE_IPV6, word


@jit_inside
def _carried(data: Bytes, at: int, end: int, kind: int, word: int) -> tuple[int, int, int]:
    """Return what inner_packet does, of content that an ether type names."""
    if kind == _TYPE_ETHERNET:
        return _ethernet(data, at, end, word)
    if kind == _TYPE_PPP:
        at, kind = ppp_header(data, at, end)
    return _network(data, at, end, kind, word)


@jit_inside
def _ethernet(data: Bytes, at: int, end: int, word: int) -> tuple[int, int, int]:
    """Return what inner_packet does, of an Ethernet frame."""
    if at + 14 > end:
        return at, SHORT, word
    return _network(data, at + 14, end, u16(data, at + 12, True), word)


@jit_inside
def _network(data: Bytes, at: int, end: int, kind: int, word: int) -> tuple[int, int, int]:
    """Return what inner_packet does, of content of an ether type; tags inside are stepped over."""
    if kind == TYPE_IPV4 or kind == TYPE_IPV6:  # noqa: SIM109
        return at, kind, word
    at, kind, _ = network_header(data, at, end, kind)
    return at, kind, word
