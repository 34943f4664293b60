"""A packet capture, pcap or pcapng, read into the tables of a bundle."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from replay.errors import TraceError
from replay.ingest import capture_summary as summary
from replay.ingest.capture_tables import flows_table, gaps_table, packets_table
from replay.ingest.decode import decode_capture
from replay.ingest.ingested import Ingested, source_entry
from replay.ingest.messages import ASKS, PACKETS, STATISTICS, find_messages, summarise_flows
from replay.ingest.pcap_walk import PcapCapture
from replay.ingest.pcapng import PcapngCapture
from replay.ingest.records import Bytes, Capture
from replay.ingest.server import (
    Server,
    ends_of,
    infer_server,
    parse_server,
    server_first,
    sides,
)
from replay.ingest.sniff import sniff
from replay.ingest.times import settle_times
from replay.trace.bundle import Manifest

_CAPTURES: dict[str, Callable[[Bytes, str], Capture]] = {
    "pcap": PcapCapture,
    "pcapng": PcapngCapture,
}


def read_capture(path: str | os.PathLike[str], *, server: str | None = None) -> Ingested:
    """Read the pcap or pcapng file at `path`.

    `server` names the host whose work the trace shows: ADDRESS, PORT or ADDRESS:PORT; without it,
    the port that most connections share is taken. Times are nanoseconds since the first packet;
    of a connection's two flows, the one to the server stands first. Raises TraceError where the
    file cannot be read or `server` is not in it; a file cut or damaged later is read up to there.
    """
    capture = OpenCapture(path, server)
    with ThreadPoolExecutor(1) as other:
        source = other.submit(capture.source)  # hashes while this thread decodes
        read = capture.read()
        return replace(read, manifest={"sources": [source.result()], **read.manifest})


class OpenCapture:
    """A capture whose header was read. Raises TraceError where it cannot be, or `server` not."""

    def __init__(self, path: str | os.PathLike[str], server: str | None = None) -> None:
        self._server = None if server is None else parse_server(server)
        self._path = Path(path)
        self._kind = sniff(self._path)
        if self._kind not in _CAPTURES:
            raise TraceError(f"{self._path}: is {self._kind}, not a packet capture")
        self._data = _map(self._path)
        self._capture = _CAPTURES[self._kind](self._data, str(self._path))

    def source(self) -> dict[str, Any]:
        """Return the manifest's entry; takes longer than to decode."""
        return {**source_entry(self._path, self._data.data), "format": self._kind}

    def read(self) -> Ingested:
        """Return what read_capture does, but for the manifest's sources; once."""
        return _read(self._data, self._capture, self._server)


def _read(data: Bytes, capture: Capture, named: Server | None) -> Ingested:
    """Return tables, manifest and lines of a summary."""
    decoded = decode_capture(data, capture)
    timed = settle_times(decoded.columns)
    statistics = np.zeros((decoded.flows, STATISTICS), dtype=np.int64)
    summarise_flows(timed.columns, statistics)
    ends = ends_of(decoded.table, decoded.flows)
    asks = statistics[:, ASKS]
    side, server = sides(ends, named or infer_server(ends, asks, statistics[:, PACKETS]), asks)
    order = server_first(ends, side)
    messages, counts = find_messages(timed.columns, side, ends.connection, order)
    told = summary.tell(capture.findings, timed, ends, side, server, counts)
    tables = {
        "packets": packets_table(timed, messages),
        "flows": flows_table(decoded.table, order, statistics),
        "gaps": gaps_table(summary.gaps(capture.findings, timed)),
    }
    manifest: Manifest = {
        "clock": "realtime",
        "origin_ns": timed.origin,
        "duration_ns": timed.duration,
        "devices": summary.devices(capture.findings),
        "loop": told.loop,
        "losses": told.losses,
        "warnings": told.lost,
        "server": summary.server_entry(server),
        "host": {},
    }
    return Ingested(tables, manifest, told.found, told.inferred, told.lost)


def _map(path: Path) -> Bytes:
    """Return a file's bytes, memory-mapped and read-only. Raises TraceError where it cannot."""
    try:
        with path.open("rb") as file:
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from None
    return np.frombuffer(whole, dtype=np.uint8)
