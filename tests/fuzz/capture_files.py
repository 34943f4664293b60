"""What must hold of a pcap or pcapng file with any content."""

from __future__ import annotations

import struct
from collections.abc import Callable

from replay.errors import TraceError
from replay.ingest.pcap_walk import PcapCapture
from replay.ingest.pcapng import PcapngCapture
from replay.ingest.records import NO_TIME, TIME_LIMIT, Capture
from replay.ingest.window import Window
from tests.ingest.captures import Conversation, Memory, Packet, Pcapng, pcap

_PCAP_MAGICS = (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)
_SMALLEST_RECORD = 12


def pcaps() -> list[bytes]:
    """Small files of every magic, byte order and era."""
    talk = Conversation()
    packets = [Packet(10**18 + i, talk.segment(i % 2 == 0, 20, 24)) for i in range(4)]
    return [
        pcap(packets),
        pcap(packets, order=">", nanoseconds=False, snaplen=96),
        pcap(packets, kuznetzov=True),
        pcap(packets, version=(2, 2)),
    ]


def pcap_of(data: bytes) -> list[bytes]:
    """Return `data` where it is a pcap file."""
    magics = [struct.pack(order + "I", magic) for magic in _PCAP_MAGICS for order in "<>"]
    return [data] if data[:4] in magics else []


def pcapngs() -> list[bytes]:
    """Small files of every block, option and byte order that is read."""
    return [_section("<"), _section(">"), _section(">") + _section("<")]


def _section(order: str) -> bytes:
    frame = Conversation().segment(True, 5, 24)
    file = Pcapng(order).interface(1, 96, {2: b"eth0", 9: b"\x89", 14: bytes(8)}).interface(101)
    file.packet(1000, frame, options={1: b"note", 4: bytes(8)}).simple(frame)
    file.packet(7, frame[14:], interface=1).obsolete(9, frame).block(0xBAD, b"abc")
    return file.block(5, bytes(12) + file.options({4: bytes(8), 5: bytes(8)})).data


def pcapng_of(data: bytes) -> list[bytes]:
    """Return `data` where it is a pcapng file."""
    return [data] if data[:4] == b"\n\r\r\n" else []


def run_pcap(data: bytes) -> str:
    """Read a pcap file."""
    # Which of the formats a file is was decided by its magic.
    return _run(data, PcapCapture) if pcap_of(data) else "not pcap"


def run_pcapng(data: bytes) -> str:
    """Read a pcapng file."""
    return _run(data, PcapngCapture) if pcapng_of(data) else "not pcapng"


def _run(data: bytes, kind: Callable[[Window, str], Capture]) -> str:
    """Walk a file: packets lie one behind the other inside of it, and have possible times."""
    try:
        capture = kind(Window(Memory(data), 1 + len(data) // 3), "made.pcap")
    except TraceError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return "refused"
    behind = total = 0
    for block, rows in capture.blocks():
        total += rows
        time, start, captured, length, interface = block[:rows].T
        end = start + captured
        assert ((time == NO_TIME) | (time >= 0)).all()
        assert (time < TIME_LIMIT + (1 << 33)).all()
        assert (captured >= 0).all()
        assert (captured <= length).all()
        assert (length < 1 << 32).all()
        assert (interface < len(capture.findings.interfaces)).all()
        assert (interface >= 0).all()
        assert capture.window.start + start[0] >= behind
        assert (start[1:] >= end[:-1]).all()
        assert end[-1] <= len(capture.window.data)
        behind = capture.window.start + end[-1]
    assert total * _SMALLEST_RECORD <= len(data)
    return "cut or malformed" if capture.findings.note else "read"
