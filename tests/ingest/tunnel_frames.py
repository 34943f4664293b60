"""Packets in tunnels, made from nothing but struct."""

from __future__ import annotations

import struct

from tests.ingest.captures import ethernet, ip, udp

ONE_END, OTHER_END = "192.0.2.1", "192.0.2.2"


def vxlan(frame: bytes, vni: int, *, flags: int = 8, carried: int = 0) -> bytes:
    """VXLAN, or its generic extension, around a frame."""
    return struct.pack(">BHBI", flags, 0, carried, vni << 8) + frame


def geneve(packet: bytes, vni: int, kind: int = 0x6558, *, options: int = 0) -> bytes:
    """Geneve around what `kind` says, behind `options` words of options."""
    return struct.pack(">BBHI", options, 0, kind, vni << 8) + bytes(4 * options) + packet


def gre(
    packet: bytes,
    kind: int,
    key: int | None = None,
    *,
    checked: bool = False,
    number: int | None = None,
    version: int = 0,
    acknowledged: bool = False,
) -> bytes:
    """GRE around what `kind` says."""
    flags = checked << 15 | (key is not None) << 13 | (number is not None) << 12
    head = struct.pack(">HH", flags | acknowledged << 7 | version, kind)
    words = [0] * checked + [it for it in (key, number) if it is not None] + [1] * acknowledged
    return head + b"".join(struct.pack(">I", word) for word in words) + packet


def over(protocol: int, content: bytes, one: str = ONE_END, other: str = OTHER_END) -> bytes:
    """An Ethernet frame with an IP packet of the tunnel's ends."""
    return ethernet(ip(one, other, protocol, content), 0x86DD if ":" in one else 0x0800)


def over_udp(port: int, content: bytes, source_port: int = 55_555) -> bytes:
    """An Ethernet frame with a datagram of the tunnel's ends."""
    return over(17, udp(source_port, port, content))
