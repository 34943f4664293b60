"""The rows of a capture in the file's order, as decoded: to compare with other readers."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

import numpy as np

from replay.ingest.flows import addresses, new_keys, unpack
from replay.ingest.packet import read_headers
from replay.ingest.pcap_walk import PcapCapture
from replay.ingest.pcapng import PcapngCapture
from replay.ingest.records import BLOCK, Columns
from replay.ingest.window import Window
from tests.ingest.captures import Memory

Address = IPv4Address | IPv6Address


class Flow(NamedTuple):
    """Ends of a packet, ports 0 where there are none."""

    source: Address
    source_port: int
    destination: Address
    destination_port: int


class Decoded(NamedTuple):
    """A packet; times are ns since 1970, -1 without."""

    time: int
    length: int
    status: int
    flow: Flow | None
    protocol: int | None


def decoded_rows(path: Path) -> list[Decoded]:
    """Decode a plain capture."""
    data = path.read_bytes()
    kind = PcapngCapture if data[:4] == b"\n\r\r\n" else PcapCapture
    capture = kind(Window(Memory(data), len(data)), path.name)
    columns, keys, sequence = Columns.empty(BLOCK), new_keys(BLOCK), np.empty(BLOCK, dtype=np.int64)
    found = []
    for block, rows in capture.blocks():
        links = np.array([it.link for it in capture.findings.interfaces] or [0], dtype=np.int64)
        read_headers(capture.window.data, block, rows, links, columns, keys, sequence, 0)
        ends = keys.ends[:rows].copy()
        parts = {name: column.tolist() for name, column in unpack(ends[:, 4]).items()}
        known = (ends[:, 4] >= 0).tolist()
        sides = [addresses(ends[:, at : at + 2]) for at in (0, 2)]
        for row in range(rows):
            flow = None
            if known[row]:
                start = 12 if parts["version"][row] == 4 else 0
                one, other = (ip_address(side[row, start:].tobytes()) for side in sides)
                ports = parts["source_port"][row], parts["destination_port"][row]
                flow = Flow(one, ports[0], other, ports[1])
            said = (int(it[row]) for it in (columns.time, columns.length, columns.status))
            found.append(Decoded(*said, flow, parts["protocol"][row] if flow else None))
    return found
