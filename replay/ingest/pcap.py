"""A packet capture, pcap or pcapng, written as the tables of a bundle, in two passes.

The first decodes packets and numbers flows; whoever is the server is known behind it. The second
tells requests from answers and writes the packets. Memory holds flows and a few batches of rows,
however long the capture is.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from replay import progress
from replay.engine.accelerate import COMPILER
from replay.errors import TraceError
from replay.ingest import capture_summary as summary
from replay.ingest.capture_tables import flows_table, gaps_table, packets_batch, packets_schema
from replay.ingest.decode import Decoded, decode_capture
from replay.ingest.flow_state import ASKS, PACKETS, REVERSE
from replay.ingest.ingested import Ingested
from replay.ingest.messages import Counts, Follower, Messages
from replay.ingest.pcap_walk import PcapCapture
from replay.ingest.pcapng import PcapngCapture
from replay.ingest.records import KINDS, ROWS, Capture
from replay.ingest.rows import rows_in_order
from replay.ingest.server import (
    FROM_SERVER,
    ends_of,
    infer_server,
    parse_server,
    server_first,
    sides,
)
from replay.ingest.sniff import sniff_stream
from replay.ingest.spool import Spool
from replay.ingest.stream import Stream
from replay.ingest.window import Window
from replay.mapped import forget_code
from replay.trace.bundle import Manifest, Trace, table_writer, write_table

_CAPTURES: dict[str, Callable[[Window, str], Capture]] = {
    "pcap": PcapCapture,
    "pcapng": PcapngCapture,
}

#: The tables that a capture fills.
CAPTURED = ("packets", "flows", "gaps")


def read_capture(path: str | os.PathLike[str], *, server: str | None = None) -> Ingested:
    """Read the pcap or pcapng file at `path`.

    `server` names the host whose work the trace shows: ADDRESS, PORT or ADDRESS:PORT; without it,
    the port that most connections share is taken. Times are nanoseconds since the first packet;
    of a connection's two flows, the one to the server stands first. Raises TraceError where the
    file cannot be read or `server` is not in it; a file cut or damaged later is read up to there.
    """
    with Stream(path) as stream, tempfile.TemporaryDirectory(prefix="replay-") as folder:
        read = write_capture(stream, Path(folder), server=server)
        held = Trace(Path(folder), {})  # mapped: the files may go
        return Ingested(
            {name: getattr(held, name) for name in CAPTURED},
            read.manifest,
            read.found,
            read.inferred,
            read.lost,
        )


def write_capture(
    stream: Stream, folder: Path, *, server: str | None = None, compress: str | None = None
) -> Ingested:
    """Write the tables of the capture in `stream` into `folder`; return the rest, as read_capture.

    Raises OSError where there is no room.
    """
    named = None if server is None else parse_server(server)
    kind = sniff_stream(stream)
    if kind not in _CAPTURES:
        raise TraceError(f"{stream.name}: is {kind}, not a packet capture")
    capture = _CAPTURES[kind](Window(stream), stream.name)
    findings = capture.findings

    def done() -> None:
        progress.step("reading", stream.read_bytes, stream.size or 0, "bytes")

    with Spool(folder, KINDS) as spool:
        decoded = decode_capture(capture, spool, done)
        findings.note = "; ".join(it for it in (findings.note, stream.note) if it) or None
        clock, state = decoded.clock, decoded.state[: decoded.flows]
        ends = ends_of(decoded.table, state[:, REVERSE].copy())
        asks = state[:, ASKS].copy()
        side, host = sides(ends, named or infer_server(ends, asks, state[:, PACKETS]), asks)
        order = server_first(ends, side)
        follower = Follower(side, ends.connection, ends.reverse, order)
        counts = _write_packets(
            decoded, follower, folder, not (side == FROM_SERVER).any(), compress
        )
    write_table(folder, "flows", flows_table(decoded.table, order, state), compress)
    write_table(folder, "gaps", gaps_table(summary.gaps(findings, clock)), compress)
    told = summary.tell(
        summary.Facts(findings, clock, ends, side, host, counts, decoded.status.tolist())
    )
    manifest: Manifest = {
        "sources": [{**stream.entry(), "format": kind}],
        "clock": "realtime",
        "origin_ns": clock.origin,
        "duration_ns": clock.duration,
        "devices": summary.devices(findings),
        "loop": told.loop,
        "losses": told.losses,
        "warnings": told.lost,
        "server": summary.server_entry(host),
        "host": {},
    }
    return Ingested({}, manifest, told.found, told.inferred, told.lost)


def _write_packets(
    decoded: Decoded, follower: Follower, folder: Path, unanswered: bool, compress: str | None
) -> Counts:
    """Write the packets table; one thread finds messages, another writes."""
    clock = decoded.clock
    schema = packets_schema(unanswered, clock.untimed > 0 and clock.origin is not None)
    free = [Messages.empty(ROWS) for _ in range(2)]
    busy: deque[tuple[Messages, Future[Any]]] = deque()
    with (
        table_writer(folder, "packets", schema, compress) as writer,
        ThreadPoolExecutor(1) as other,
    ):

        def write(*rows: Any) -> None:
            writer.write_batch(packets_batch(schema, *rows))

        done = 0
        for rows in rows_in_order(decoded, folder):
            if len(busy) == len(free):
                busy[0][1].result()
                messages = busy.popleft()[0]
            else:
                messages = free[len(busy)]
            part = messages.part(len(rows.columns.time))
            follower.follow(rows.columns, decoded.state, part)
            busy.append((messages, other.submit(write, rows, part)))
            if not done:
                forget_code(COMPILER)
            done += len(part.kind)
            progress.step("writing", done, clock.packets)
        for _, before in busy:
            before.result()
    return follower.counts
