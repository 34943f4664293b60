"""What must hold of a packet with any content.

An input is a byte that chooses the link type, a byte of how much longer the packet was on the wire,
and the bytes captured.
"""

from __future__ import annotations

import struct

import numpy as np

from replay.errors import TraceError
from replay.ingest.flows import OUTER, new_keys
from replay.ingest.packet import read_headers
from replay.ingest.pcap_walk import PcapCapture
from replay.ingest.pcapng import PcapngCapture
from replay.ingest.records import Columns
from replay.ingest.window import Window
from replay.trace.schema import PacketStatus
from tests.fuzz.capture_files import pcap_of, pcapng_of
from tests.ingest.captures import Memory, ethernet, ip, tcp, udp
from tests.ingest.tunnel_frames import geneve, gre, over, over_udp, vxlan

LINKS = (1, 0, 101, 108, 113, 228, 229, 276, 9, 50, 51, 104, 105)

_columns, _keys = Columns.empty(1), new_keys(1)
_sequence = np.empty(1, dtype=np.int64)
_links = np.array([0], dtype=np.int64)
_block = np.empty((1, 5), dtype=np.int64)


def packets() -> list[bytes]:
    """Packets of every kind whose headers are read."""
    segment, datagram = tcp(40_000, 8080, b"hello", flags=24), udp(5, 6, b"abcd")
    four, six = ip("10.0.0.2", "10.0.0.1", 6, segment), ip("2001:db8::2", "::1", 17, datagram)
    extended = ip("::1", "::2", 0, bytes([60, 0]) + bytes(6) + bytes([6, 0]) + bytes(6) + segment)
    part = ip("10.0.0.2", "10.0.0.1", 17, datagram, fragment=3, more=True)
    frames = [
        ethernet(four),
        ethernet(six, 0x86DD, 7, 8),
        ethernet(part),
        ethernet(extended, 0x86DD),
    ]
    frames += [over_udp(4789, vxlan(frames[0], 5)), over_udp(6081, geneve(frames[1], 5, options=3))]
    frames += [over(47, gre(four, 0x800, 7, checked=True)), over(4, over(41, six)[14:])]
    frames += [over(47, gre(bytes(8) + frames[0], 0x88BE, number=1)), over_udp(3544, six)]
    frames.append(ethernet(struct.pack(">I", 1 << 8) + four, 0x8847))
    frames.append(ethernet(b"\x11\0\0\1\0\x2f\0\x21" + four, 0x8864))
    frames.append(ethernet(b"\xaa\xaa\x03\0\0\0\x08\0" + four, 80))
    bare = [b"\2\0" + four, b"\2\5" + six, bytes([LINKS.index(9), 0]) + b"\xff\x03\0\x21" + four]
    return [b"\0\0" + frame for frame in frames] + bare


def packets_of(data: bytes) -> list[bytes]:
    """Return the packets in a capture file that have one of the link types."""
    kind = PcapCapture if pcap_of(data) else PcapngCapture if pcapng_of(data) else None
    if kind is None:
        return []
    try:
        capture = kind(Window(Memory(data), len(data)), "real")
    except TraceError:
        return []
    found = []
    for block, rows in capture.blocks():
        for _, start, captured, length, interface in block[:rows].tolist():
            link = capture.findings.interfaces[interface].link
            if link in LINKS:
                longer = min(length - captured, 255)
                head = bytes([LINKS.index(link), longer])
                found.append(head + capture.window.data[start : start + captured].tobytes())
    return found


def run(data: bytes) -> str:
    """Read a packet's headers: the same, whatever stands around it in the file."""
    if len(data) < 2:
        return "too short"
    link, longer, packet = LINKS[data[0] % len(LINKS)], data[1], data[2:]
    alone = _read(packet, 0, len(packet), link, longer)
    amid = _read(b"\x45\x06\xff" + packet + b"\x08\x00\x45" * 30, 3, len(packet), link, longer)
    assert alone == amid
    payload, marks, status, sequence, *key = alone
    assert -1 <= payload < 1 << 31
    assert -1 <= sequence < 1 << 32
    assert 0 <= marks < 256
    if status == PacketStatus.UNKNOWN or status == PacketStatus.OK:
        assert (status == PacketStatus.OK) == bool(key)
    return PacketStatus(status).name.lower()


def _read(data: bytes, start: int, captured: int, link: int, longer: int) -> tuple[int, ...]:
    """Return payload, marks, status, sequence number and the flow's key, where there is a flow."""
    _links[0] = link
    _block[0] = (0, start, captured, captured + longer, 0)
    read_headers(np.frombuffer(data, np.uint8), _block, 1, _links, _columns, _keys, _sequence, 0)
    found = (_columns.payload[0], _columns.marks[0], _columns.status[0], _sequence[0])
    key = _keys.ends[0].tolist() if _keys.ends[0, 4] >= 0 else []
    levels = key[4] >> 13 & 3 if key else 0
    tunnels = _keys.tunnels[0].tolist()
    key += tunnels[:levels] + (tunnels[OUTER:] if levels else [])
    return (*(int(number) for number in found), *key)
