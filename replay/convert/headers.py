"""Headers rebuilt for packets whose flow a bundle knows: Ethernet, VLAN, IP and transport."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.trace.schema import PacketKind

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

TCP, UDP = 6, 17
#: DCCP, SCTP and UDP-Lite: a bundle knows their ports, with which their headers begin.
_PORTS_ALONE = (33, 132, 136)
_TRANSPORTS = (TCP, UDP, *_PORTS_ALONE)
_FIN, _SYN, _PSH, _ACK = 1, 2, 8, 16
_IPV4, _IPV6, _VLAN, _EXPERIMENTAL = 0x0800, 0x86DD, 0x8100, 0x88B5
_LONGEST = 65_535


@dataclass(frozen=True)
class Shape:
    """Which headers a packet has; version 0 of one without a flow."""

    version: int
    protocol: int  # one that has ports, or 0
    vlan: bool

    @property
    def ip(self) -> int:
        """Bytes of the IP header."""
        return {0: 0, 4: 20, 6: 40}[self.version]

    @property
    def transport(self) -> int:
        """Bytes of the transport header."""
        return {0: 0, TCP: 20, UDP: 8}.get(self.protocol, 4)

    @property
    def size(self) -> int:
        """Bytes of all headers."""
        return 14 + 4 * self.vlan + self.ip + self.transport


SHAPES = [Shape(0, 0, vlan=False)] + [
    Shape(version, protocol, vlan)
    for version in (4, 6)
    for protocol in (0, *_TRANSPORTS)
    for vlan in (False, True)
]


@dataclass(frozen=True)
class Flows:
    """What the flows' headers say: arrays of shape (flows,), addresses (flows, 16)."""

    shape: Int64s  # number in SHAPES
    source: Bytes
    destination: Bytes
    source_port: Int64s
    destination_port: Int64s
    protocol: Int64s
    vlan: Int64s
    next_byte: Int64s = field(repr=False)  # changed as packets are numbered
    packets: Int64s = field(repr=False)  # seen so far

    @classmethod
    def of(cls, table: pa.Table) -> Flows:
        """Return the flows of a bundle's flows table."""
        count = table.num_rows

        def whole(name: str, null: int = 0) -> Int64s:
            column = table[name].cast(pa.int64()).fill_null(null)
            return np.asarray(column.to_numpy(), np.int64)

        def address(name: str) -> Bytes:
            packed = b"".join(table[name].to_pylist())
            return np.frombuffer(packed, np.uint8).reshape(count, 16)

        version, protocol, vlan = whole("version"), whole("protocol"), whole("vlan", -1)
        place = {shape: number for number, shape in enumerate(SHAPES)}
        shape = [
            place[Shape(v, p if p in _TRANSPORTS else 0, tag >= 0)] if v in (4, 6) else 0
            for v, p, tag in zip(version.tolist(), protocol.tolist(), vlan.tolist(), strict=True)
        ]
        return cls(
            np.array(shape, np.int64),
            address("source"),
            address("destination"),
            whole("source_port"),
            whole("destination_port"),
            protocol,
            np.maximum(vlan, 0),
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
        )


@dataclass(frozen=True)
class Packets:
    """Some packets and what their headers say; arrays of shape (packets,)."""

    flows: Flows
    time: Int64s  # ns since 1970
    flow: Int64s  # -1 without
    shape: Int64s
    length: Int64s  # on the wire; -1 where unknown
    payload: Int64s
    sequence: Int64s
    flags: Int64s
    sent: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls, flows: Flows, time: Int64s, kind: Int64s, flow: Int64s, length: Int64s, payload: Int64s
    ) -> Packets:
        """Return packets that follow those of earlier calls; unknown payload is what is left."""
        known = flow >= 0
        shape = np.zeros(len(flow), np.int64)
        shape[known] = flows.shape[flow[known]]
        size = np.array([it.size for it in SHAPES], np.int64)[shape]
        payload = np.where(payload >= 0, payload, np.maximum(length - size, 0))
        earlier = _running(flow, np.ones(len(flow), np.int64), flows.packets)
        message = (kind == PacketKind.REQUEST) | ((kind == PacketKind.TX) & (payload > 0))
        control = kind == PacketKind.CONTROL
        flags = np.where(message, _PSH | _ACK, _ACK)
        flags = np.where(control, np.where(earlier == 0, _SYN, _FIN | _ACK), flags)
        sequence = _running(flow, payload + (flags == _SYN), flows.next_byte)  # SYN counts as one
        sent = kind == PacketKind.TX
        return cls(flows, time, flow, shape, length, payload, sequence & 0xFFFF_FFFF, flags, sent)


def _running(flow: Int64s, amount: Int64s, totals: Int64s) -> Int64s:
    """Return what was in each packet's flow before it, and add to the flows' `totals`."""
    before = np.zeros(len(flow), np.int64)
    order = np.flatnonzero(flow >= 0)
    order = order[np.argsort(flow[order], kind="stable")]
    if not len(order):
        return before
    mine, added = flow[order], amount[order]
    first = np.flatnonzero(np.diff(mine, prepend=-1))  # of each flow
    summed = np.cumsum(added) - added
    base = np.repeat(summed[first], np.diff(first, append=len(mine)))
    before[order] = summed - base + totals[mine]
    totals[mine[first]] += np.add.reduceat(added, first)
    return before


def headers(packets: Packets, mine: Int64s, shape: Shape) -> Bytes:
    """Return the headers of packets `mine`, all of that shape; (packets, shape.size)."""
    rows = np.zeros((len(mine), shape.size), np.uint8)
    rows[:, 0] = rows[:, 6] = 2  # locally administered
    rows[:, 5], rows[:, 11] = 1, 2
    flows, flow = packets.flows, packets.flow[mine]
    at = 12
    if shape.vlan:
        rows[:, at : at + 4] = np.hstack([_big(_VLAN, 2, mine), _big(flows.vlan[flow], 2, mine)])
        at += 4
    kind = {0: _EXPERIMENTAL, 4: _IPV4, 6: _IPV6}[shape.version]
    rows[:, at : at + 2] = _big(kind, 2, mine)
    at += 2
    if not shape.version:
        return rows
    above = packets.payload[mine] + shape.transport
    ip = _ipv4 if shape.version == 4 else _ipv6
    rows[:, at : at + shape.ip] = ip(flows, flow, above)
    at += shape.ip
    if shape.protocol:
        rows[:, at : at + 2] = _big(flows.source_port[flow], 2, mine)
        rows[:, at + 2 : at + 4] = _big(flows.destination_port[flow], 2, mine)
    if shape.protocol == TCP:
        rows[:, at + 4 : at + 8] = _big(packets.sequence[mine], 4, mine)
        rows[:, at + 12] = 5 << 4  # words of the header
        rows[:, at + 13] = packets.flags[mine]
        rows[:, at + 14 : at + 16] = 0xFF  # window
    elif shape.protocol == UDP:
        rows[:, at + 4 : at + 6] = _big(np.where(above > _LONGEST, 0, above), 2, mine)
    return rows


def _ipv4(flows: Flows, flow: Int64s, above: Int64s) -> Bytes:
    """Return IPv4 headers with their checksums; longer than 65,535 bytes says 0, as of GSO."""
    rows = np.zeros((len(flow), 20), np.uint8)
    length = above + 20
    rows[:, 0], rows[:, 6], rows[:, 8] = 0x45, 0x40, 64  # do not fragment; hops
    rows[:, 2:4] = _big(np.where(length > _LONGEST, 0, length), 2, flow)
    rows[:, 9] = flows.protocol[flow]
    rows[:, 12:16], rows[:, 16:20] = flows.source[flow, 12:], flows.destination[flow, 12:]
    summed = rows.reshape(len(flow), 10, 2).astype(np.int64) @ np.array([256, 1])
    total = summed.sum(axis=1)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    rows[:, 10:12] = _big(total ^ 0xFFFF, 2, flow)
    return rows


def _ipv6(flows: Flows, flow: Int64s, above: Int64s) -> Bytes:
    """Return IPv6 headers; longer than 65,535 bytes says 0, as of a jumbogram."""
    rows = np.zeros((len(flow), 40), np.uint8)
    rows[:, 0], rows[:, 7] = 0x60, 64
    rows[:, 4:6] = _big(np.where(above > _LONGEST, 0, above), 2, flow)
    rows[:, 6] = flows.protocol[flow]
    rows[:, 8:24], rows[:, 24:40] = flows.source[flow], flows.destination[flow]
    return rows


def _big(values: Any, size: int, like: Int64s) -> Bytes:
    """Return whole numbers as so many bytes each, the highest first; (len(like), size)."""
    column = np.broadcast_to(np.asarray(values, np.int64), len(like)).astype(f">u{size}")
    return column.view(np.uint8).reshape(len(like), size)
