"""The rows of a capture as scapy reads them: an independent reader to compare with."""

from __future__ import annotations

import logging
from fractions import Fraction
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A packet: ns since 1970, bytes on the wire, ends with protocol and VLAN, payload bytes."""

    time: int
    length: int
    flow: tuple[Any, ...] | None
    payload: int | None


def scapy_rows(path: Path) -> list[Row]:
    """Read a capture with scapy; Ethernet only, headers whole."""
    logging.getLogger("scapy").setLevel(logging.ERROR)
    for tunnel in ("scapy.contrib.geneve", "scapy.layers.vxlan"):
        import_module(tunnel)  # known to its UDP port from then on
    from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
    from scapy.utils import RawPcapNgReader, RawPcapReader

    kind = RawPcapNgReader if path.suffix == ".pcapng" else RawPcapReader
    rows = []
    with kind(str(path)) as reader:
        for frame, about in reader:
            if kind is RawPcapReader:
                unit = 1 if reader.nano else 1000
                time = about.sec * 10**9 + about.usec * unit
            else:
                ticks = about.tshigh << 32 | about.tslow
                time = int(Fraction(ticks * 10**9, about.tsresol))
            packet = Ether(frame)
            whole, above = _innermost(packet)
            outer = packet.getlayer(Dot1AD) or packet.getlayer(Dot1Q)
            if whole is None:
                rows.append(Row(time, about.wirelen, None, None))
                continue
            protocol = whole.proto if whole.name == "IP" else whole.nh
            known = above is not None and protocol in (6, 17)
            ports = (above.sport, above.dport) if known else (0, 0)
            payload = None
            if known:
                header = above.dataofs * 4 if protocol == 6 else 8
                inside = whole.len - whole.ihl * 4 if whole.name == "IP" else whole.plen
                payload = inside - header
            flow = (
                (ip_address(whole.src), ports[0]),
                (ip_address(whole.dst), ports[1]),
                protocol,
                outer.vlan if outer is not None else None,
            )
            rows.append(Row(time, about.wirelen, flow, payload))
    return rows


def _innermost(packet: Any) -> tuple[Any, Any]:
    """Return the last IP layer that is reached through tunnels alone, and TCP or UDP above it."""
    whole = above = None
    layer = packet
    while (name := type(layer).__name__) in _ON_THE_WAY:
        if name in ("IP", "IPv6"):
            whole, above = layer, None
        elif name in ("TCP", "UDP"):
            above = layer
        layer = layer.payload
    return whole, above


_ON_THE_WAY = ("Ether", "Dot1Q", "Dot1AD", "IP", "IPv6", "TCP", "UDP", "VXLAN", "GENEVE", "GRE")
