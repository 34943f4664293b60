"""Captures made from nothing but struct: frames, and files around them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

CLIENT, SERVER, PORT = "10.0.0.2", "10.0.0.1", 8080


class Packet(NamedTuple):
    """A frame, its capture time (ns since 1970) and its length on the wire (None: all of it)."""

    time: int
    frame: bytes
    length: int | None = None


def ethernet(payload: bytes, kind: int = 0x0800, *tags: int) -> bytes:
    """An Ethernet frame; `tags` are VLANs, the outer first, 802.1ad if there are several."""
    head = bytes(range(12))
    for i, tag in enumerate(tags):
        head += struct.pack(">HH", 0x88A8 if i < len(tags) - 1 else 0x8100, tag)
    return head + struct.pack(">H", kind) + payload


def ip(
    source: str,
    destination: str,
    protocol: int,
    payload: bytes,
    *,
    fragment: int = 0,
    more: bool = False,
    options: bytes = b"",
) -> bytes:
    """An IPv4 or IPv6 packet; `fragment` is the offset in units of eight bytes."""
    one, other = ip_address(source), ip_address(destination)
    if one.version == 4:
        words = (20 + len(options)) // 4
        return (
            struct.pack(
                ">BBHHHBBH",
                0x40 | words,
                0,
                len(payload) + words * 4,
                1,
                more << 13 | fragment,
                64,
                protocol,
                0,
            )
            + one.packed
            + other.packed
            + options
            + payload
        )
    if fragment or more:
        payload = struct.pack(">BBHI", protocol, 0, fragment << 3 | more, 7) + payload
        protocol = 44
    head = struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64)
    return head + one.packed + other.packed + payload


def tcp(
    source_port: int,
    destination_port: int,
    payload: bytes = b"",
    *,
    flags: int = ACK,
    sequence: int = 0,
    options: bytes = b"",
) -> bytes:
    """A TCP segment."""
    words = 5 + len(options) // 4
    head = struct.pack(
        ">HHIIBBHHH", source_port, destination_port, sequence, 0, words << 4, flags, 0, 0, 0
    )
    return head + options + payload


def udp(source_port: int, destination_port: int, payload: bytes = b"") -> bytes:
    """A UDP datagram."""
    return struct.pack(">HHHH", source_port, destination_port, 8 + len(payload), 0) + payload


class Conversation:
    """A TCP connection between a client and the server, kept in sequence, as Ethernet frames."""

    def __init__(self, client_port: int = 40_000, client: str = CLIENT) -> None:
        self.ends = ((client, client_port), (SERVER, PORT))
        self.sequence = [1000, 2000]

    def segment(
        self, from_client: bool, size: int = 0, flags: int = ACK, *, repeat: int = 0
    ) -> bytes:
        """The next frame; `repeat` takes back that many bytes first."""
        side = 0 if from_client else 1
        (source, port), (destination, other) = self.ends[side], self.ends[1 - side]
        self.sequence[side] -= repeat
        body = tcp(port, other, bytes(size), flags=flags, sequence=self.sequence[side])
        self.sequence[side] += size + bool(flags & SYN)
        return ethernet(ip(source, destination, 6, body))


def pcap(
    packets: Iterable[Packet],
    *,
    order: str = "<",
    nanoseconds: bool = True,
    link: int = 1,
    snaplen: int = 65_535,
    version: tuple[int, int] = (2, 4),
    kuznetzov: bool = False,
) -> bytes:
    """A classic pcap file."""
    magic = 0xA1B2CD34 if kuznetzov else 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    unit = 1 if nanoseconds and not kuznetzov else 1000
    data = struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link)
    for time, frame, length in packets:
        seconds, fraction = divmod(time, 10**9)
        wire = len(frame) if length is None else length
        data += struct.pack(order + "IIII", seconds, fraction // unit, len(frame), wire)
        data += bytes(8) * kuznetzov + frame
    return data


class Pcapng:
    """A pcapng file, written block by block."""

    def __init__(self, order: str = "<", version: tuple[int, int] = (1, 0)) -> None:
        self.data = b""
        self.section(order, version)

    def block(self, kind: int, body: bytes, *, trailer: int | None = None) -> Pcapng:
        """Any block; the body is padded to four bytes."""
        body += bytes(-len(body) % 4)
        total = 12 + len(body)
        self.data += struct.pack(self.order + "II", kind, total) + body
        self.data += struct.pack(self.order + "I", total if trailer is None else trailer)
        return self

    def options(self, options: dict[int, bytes]) -> bytes:
        """Options and their end; none at all for an empty dictionary."""
        if not options:
            return b""
        whole = b"".join(
            struct.pack(self.order + "HH", code, len(value)) + value + bytes(-len(value) % 4)
            for code, value in options.items()
        )
        return whole + bytes(4)

    def section(self, order: str, version: tuple[int, int] = (1, 0)) -> Pcapng:
        """A section header in the given byte order."""
        self.order = order
        return self.block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1))

    def interface(
        self, link: int = 1, snaplen: int = 0, options: dict[int, bytes] | None = None
    ) -> Pcapng:
        """An interface description."""
        head = struct.pack(self.order + "HHI", link, 0, snaplen)
        return self.block(1, head + self.options(options or {}))

    def packet(
        self,
        ticks: int,
        frame: bytes,
        length: int | None = None,
        *,
        interface: int = 0,
        options: dict[int, bytes] | None = None,
    ) -> Pcapng:
        """An enhanced packet."""
        wire = len(frame) if length is None else length
        head = struct.pack(
            self.order + "IIIII", interface, ticks >> 32, ticks & 0xFFFF_FFFF, len(frame), wire
        )
        padded = frame + bytes(-len(frame) % 4)
        return self.block(6, head + padded + self.options(options or {}))

    def simple(self, frame: bytes, length: int | None = None) -> Pcapng:
        """A simple packet, which has no time."""
        wire = len(frame) if length is None else length
        return self.block(3, struct.pack(self.order + "I", wire) + frame)

    def obsolete(
        self, ticks: int, frame: bytes, *, interface: int = 0, drops: int = 0xFFFF
    ) -> Pcapng:
        """A packet block as written before 2009."""
        head = struct.pack(
            self.order + "HHIIII",
            interface,
            drops,
            ticks >> 32,
            ticks & 0xFFFF_FFFF,
            len(frame),
            len(frame),
        )
        return self.block(2, head + frame)


class Memory:
    """Bytes that are read like a stream, at most `most` at once."""

    def __init__(self, data: bytes, most: int = 1 << 30) -> None:
        self.left = data
        self.most = most

    def readinto(self, room: memoryview) -> int:
        piece = self.left[: min(self.most, len(room))]
        room[: len(piece)] = piece
        self.left = self.left[len(piece) :]
        return len(piece)
