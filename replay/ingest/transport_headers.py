"""Transport headers: ports, payload, marks and sequence number."""

from __future__ import annotations

from replay.engine.accelerate import jit_inline
from replay.ingest.headers import (
    ACK,
    DCCP,
    END_OF_MESSAGE,
    FIN,
    MALFORMED,
    OK,
    RST,
    SCTP,
    SHORT,
    SYN,
    TCP,
    TRANSPORT,
    UDP,
    UDP_LITE,
)
from replay.ingest.records import Bytes, u8, u16, u32


@jit_inline
def transport_header(
    data: Bytes, at: int, end: int, packet_end: int, protocol: int, fragment: int
) -> tuple[int, int, int, int, int, int]:
    """Return both ports, the bytes of payload, the marks, TCP's sequence number and the status.

    Ports are -1 where they cannot be told (no flow), and 0 of fragments (only the first has them,
    and a NIC does not hash them) and of protocols without; payload and sequence are -1 without:
    they are read of TCP and UDP alone.
    """
    if fragment and (protocol == TCP or protocol == UDP):  # noqa: SIM109
        marks = TRANSPORT | END_OF_MESSAGE if fragment == 2 else TRANSPORT
        return 0, 0, packet_end - at, marks, -1, OK
    if fragment or protocol not in (TCP, UDP, SCTP, UDP_LITE, DCCP):
        return 0, 0, -1, 0, -1, OK
    if at + 4 > packet_end:
        return -1, -1, -1, 0, -1, MALFORMED
    if at + 4 > end:
        return -1, -1, -1, 0, -1, SHORT
    port, other_port = u16(data, at, True), u16(data, at + 2, True)
    payload, marks, status, sequence = -1, 0, OK, -1
    if protocol == TCP:
        payload, marks, status = _tcp_header(data, at, end, packet_end)
        if payload >= 0:
            sequence = u32(data, at + 4, True)
    elif protocol == UDP:  # a datagram is a message
        payload, marks = packet_end - at - 8, TRANSPORT | END_OF_MESSAGE
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
