"""A large capture of requests, responses and acknowledgements, made in one breath with NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_SNAPLEN = 96
_PORT = 8080
#: (bytes on the wire, TCP flags, from the client) of an exchange's three packets
_PACKETS = ((100, 0x18, True), (128, 0x18, False), (66, 0x10, True))
_START_NS = 1_700_000_000 * 10**9


def write_exchanges(path: Path, exchanges: int, connections: int = 20_000) -> None:
    """Write a nanosecond pcap of `exchanges` x 3 TCP packets, cut at 96 bytes, 1 us apart."""
    header = np.array([0xA1B23C4D, 0x0004_0002, 0, 0, _SNAPLEN, 1], dtype="<u4").tobytes()
    with path.open("wb") as file:
        file.write(header)
        for first in range(0, exchanges, 100_000):
            numbers = np.arange(first, min(first + 100_000, exchanges))
            parts = [
                _packets(numbers, part, connections, *packet)
                for part, packet in enumerate(_PACKETS)
            ]
            file.write(np.concatenate(parts, axis=1).tobytes())


def _packets(
    numbers: np.ndarray, part: int, connections: int, wire: int, flags: int, from_client: bool
) -> np.ndarray:
    """Return one packet of each exchange, with its record header, as rows of bytes."""
    captured = min(wire, _SNAPLEN)
    rows = np.zeros((len(numbers), 16 + captured), dtype=np.uint8)
    times = _START_NS + (numbers * len(_PACKETS) + part) * 1000
    connection = numbers % connections
    client = (10 << 24) + connection // 8
    client_port = 20_000 + connection % 8
    turn = numbers // connections
    server, payloads = (10 << 24) + (1 << 20), (34, 62)  # what the two sides send a turn

    def put(at: int, value: np.ndarray | int, form: str) -> None:
        raw = np.broadcast_to(np.asarray(value), numbers.shape).astype(form)
        size = raw.dtype.itemsize
        rows[:, at : at + size] = raw.view(np.uint8).reshape(-1, size)

    put(0, times // 10**9, "<u4")
    put(4, times % 10**9, "<u4")
    put(8, captured, "<u4")
    put(12, wire, "<u4")
    frame, ip, tcp = 16, 30, 50
    put(frame + 12, 0x0800, ">u2")
    put(ip, 0x4500, ">u2")
    put(ip + 2, wire - 14, ">u2")
    put(ip + 9, 6, "u1")
    put(ip + 12, client if from_client else server, ">u4")
    put(ip + 16, server if from_client else client, ">u4")
    put(tcp, client_port if from_client else _PORT, ">u2")
    put(tcp + 2, _PORT if from_client else client_port, ">u2")
    put(tcp + 4, 1 + (turn + (part == 2)) * payloads[0 if from_client else 1], ">u4")
    put(tcp + 12, 0x80, "u1")
    put(tcp + 13, flags, "u1")
    return rows
