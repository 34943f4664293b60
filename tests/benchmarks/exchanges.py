"""A large capture of requests, responses and acknowledgements, made in one breath with NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

PACKETS_PER_EXCHANGE = 3

_PORT = 8080
_START_NS = 1_700_000_000 * 10**9
_HEADERS = 66


class _Kind(NamedTuple):
    """Exchanges of three packets each."""

    snaplen: int
    #: (bytes on the wire, TCP flags, from the client) of the packets
    packets: tuple[tuple[int, int, bool], ...]

    def sequence(self, part: int, turn: np.ndarray) -> np.ndarray:
        """Return the sequence number of a packet, of the `turn`-th exchange of its connection."""
        side = self.packets[part][2]
        sent = [wire - _HEADERS if of_client == side else 0 for wire, _, of_client in self.packets]
        return 1 + turn * sum(sent) + sum(sent[:part])


#: A request, its response and an acknowledgement; or frames that are full, the response of two.
SHORT = _Kind(96, ((100, 0x18, True), (128, 0x18, False), (66, 0x10, True)))
FULL = _Kind(1514, ((1514, 0x18, True), (1514, 0x10, False), (1514, 0x18, False)))


def write_exchanges(
    path: Path,
    exchanges: int,
    connections: int = 20_000,
    *,
    pcapng: bool = False,
    kind: _Kind = SHORT,
) -> None:
    """Write `exchanges` x 3 TCP packets, 1 us apart, connections in turn.

    Classic pcap in nanoseconds, or pcapng with if_tsresol 9.
    """
    if pcapng:
        words = [0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0xFFFF_FFFF, 0xFFFF_FFFF, 28]
        words += [1, 32, 1, kind.snaplen, 9 | 1 << 16, 9, 0, 32]
    else:
        words = [0xA1B23C4D, 0x0004_0002, 0, 0, kind.snaplen, 1]
    with path.open("wb") as file:
        file.write(np.array(words, dtype="<u4").tobytes())
        for first in range(0, exchanges, 10_000):
            numbers = np.arange(first, min(first + 10_000, exchanges))
            parts = [
                _packets(numbers, part, connections, pcapng, kind)
                for part in range(PACKETS_PER_EXCHANGE)
            ]
            file.write(np.concatenate(parts, axis=1).tobytes())


def _packets(
    numbers: np.ndarray, part: int, connections: int, pcapng: bool, kind: _Kind
) -> np.ndarray:
    """Return one packet of each exchange, with its record around it, as rows of bytes."""
    wire, flags, from_client = kind.packets[part]
    captured = min(wire, kind.snaplen)
    frame = 28 if pcapng else 16
    size = frame + captured + (-captured % 4 + 4 if pcapng else 0)
    rows = np.zeros((len(numbers), size), dtype=np.uint8)

    def put(at: int, value: np.ndarray | int, form: str) -> None:
        raw = np.broadcast_to(np.asarray(value), numbers.shape).astype(form)
        rows[:, at : at + raw.dtype.itemsize] = raw.view(np.uint8).reshape(len(numbers), -1)

    times = _START_NS + (numbers * PACKETS_PER_EXCHANGE + part) * 1000
    if pcapng:
        head = [6, size, 0, times >> 32, times & 0xFFFF_FFFF, captured, wire]
        put(size - 4, size, "<u4")
    else:
        head = [times // 10**9, times % 10**9, captured, wire]
    for i, word in enumerate(head):
        put(4 * i, word, "<u4")
    connection, turn = numbers % connections, numbers // connections
    client, client_port = (10 << 24) + connection // 8, 20_000 + connection % 8
    server = (10 << 24) + (1 << 20)
    ip, tcp = frame + 14, frame + 34
    put(frame + 12, 0x0800, ">u2")
    put(ip, 0x4500, ">u2")
    put(ip + 2, wire - 14, ">u2")
    put(ip + 9, 6, "u1")
    put(ip + 12, client if from_client else server, ">u4")
    put(ip + 16, server if from_client else client, ">u4")
    put(tcp, client_port if from_client else _PORT, ">u2")
    put(tcp + 2, _PORT if from_client else client_port, ">u2")
    put(tcp + 4, kind.sequence(part, turn), ">u4")
    put(tcp + 12, 0x80, "u1")
    put(tcp + 13, flags, "u1")
    return rows
