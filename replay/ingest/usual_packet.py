"""The commonest packets, read with few loads: Ethernet, IPv4 without options, TCP or UDP, whole."""

from __future__ import annotations

from replay.engine.accelerate import jit_inline
from replay.ingest.flows import MAPPED, pack
from replay.ingest.headers import ACK, END_OF_MESSAGE, FIN, RST, SYN, TCP, TRANSPORT, UDP
from replay.ingest.records import Bytes, little64, swapped16, swapped32
from replay.ingest.tunnels import may_be_tunnel

#: Ethernet's type for IPv4, then IPv4's version and header of five words, as they are loaded.
_TYPE_AND_VERSION = 0x45_00_08
#: More fragments, or a place among them.
_FRAGMENT = 0xFF_3F

_TCP_BYTES, _UDP_BYTES = 14 + 20 + 20, 14 + 20 + 8


@jit_inline
def usual_packet(
    data: Bytes, start: int, captured: int, length: int
) -> tuple[int, int, int, int, int, int]:
    """Return the last word of an Ethernet frame's key, the lower words of its ends, and more.

    That is payload, marks and sequence number: all as read_headers has it of packets whose status
    is OK. The last word is -1 of a packet of any other kind.
    """
    if captured < _UDP_BYTES:
        return -1, 0, 0, -1, 0, -1
    kind, place = little64(data, start + 12), little64(data, start + 20)
    if kind & 0xFF_FFFF != _TYPE_AND_VERSION or place & _FRAGMENT:
        return -1, 0, 0, -1, 0, -1
    total, protocol = swapped16(kind >> 32), place >> 24 & 0xFF
    addresses, ports = little64(data, start + 26), little64(data, start + 34)
    port, other_port = swapped16(ports), swapped16(ports >> 16)
    payload, marks, number = -1, TRANSPORT | END_OF_MESSAGE, -1
    if protocol == TCP and captured >= _TCP_BYTES:
        rest = little64(data, start + 42)  # from the number acknowledged on
        words = rest >> 36 & 15
        if words >= 5:
            payload = total - 20 - 4 * words
        number = swapped32(ports >> 32)
        marks = rest >> 40 & (FIN | SYN | RST | END_OF_MESSAGE | ACK) | TRANSPORT
    elif protocol == UDP and not may_be_tunnel(UDP, port, other_port):
        payload = total - 28
    if payload < 0 or total + 14 > length:
        return -1, 0, 0, -1, 0, -1
    packed = pack(port, other_port, protocol, False, -1, 0)
    source, destination = swapped32(addresses), swapped32(addresses >> 32)
    return packed, MAPPED | source, MAPPED | destination, payload, marks, number
