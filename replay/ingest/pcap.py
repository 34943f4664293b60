"""A packet capture, pcap or pcapng, written as the tables of a bundle.

In one pass where its first packets tell who the server is (see one_pass). Else the first pass
decodes packets and numbers flows; whoever is the server is known behind it. The second tells
requests from answers and writes the packets. Memory holds flows and a few batches of rows, however
long the capture is.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from replay import mapped, progress
from replay.errors import TraceError
from replay.ingest import capture_summary as summary
from replay.ingest.capture_holes import find_holes
from replay.ingest.capture_tables import flows_table, gaps_table, packets_batch, packets_schema
from replay.ingest.decode import Decoded, decode_capture
from replay.ingest.flow_state import NONE
from replay.ingest.ingested import Ingested
from replay.ingest.messages import Counts, Follower, Messages
from replay.ingest.one_pass import UnsettledError, write_at_once
from replay.ingest.parties import Parties, parties_of
from replay.ingest.pcap_walk import PcapCapture
from replay.ingest.pcapng import PcapngCapture
from replay.ingest.records import KINDS, ROWS, Capture
from replay.ingest.rows import Rows, put_aside, rows_in_order
from replay.ingest.server import FROM_SERVER, Server, parse_server
from replay.ingest.sniff import sniff_stream
from replay.ingest.spool import Spool
from replay.ingest.stream import Stream
from replay.ingest.window import Window
from replay.trace.bundle import Manifest, Trace, write_table
from replay.trace.table_file import table_file

_CAPTURES: dict[str, Callable[[Window, str], Capture]] = {
    "pcap": PcapCapture,
    "pcapng": PcapngCapture,
}

#: The tables that a capture fills.
CAPTURED = ("packets", "flows", "gaps")


def read_capture(path: str | os.PathLike[str], *, server: str | None = None) -> Ingested:
    """Read the pcap or pcapng file at `path` into tables that are mapped.

    As `captured`.
    """
    with captured(path, server=server) as (read, held):  # the files may go
        return replace(read, tables={name: getattr(held, name) for name in CAPTURED})


@contextmanager
def captured(
    path: str | os.PathLike[str], *, server: str | None = None, place: Path | None = None
) -> Iterator[tuple[Ingested, Trace]]:
    """Read the pcap or pcapng file at `path`; its tables stand in a folder for as long as this.

    The folder is made in `place`, or where temporary files go. OSError is raised where there is no
    room in `place`.

    `server` names the host whose work the trace shows: ADDRESS, PORT or ADDRESS:PORT; without it,
    the port that most connections share is taken. Times are nanoseconds since the first packet;
    of a connection's two flows, the one to the server stands first. Raises TraceError where the
    file cannot be read or `server` is not in it, or temporary files have no room; a file cut or
    damaged later is read up to there.
    """
    with ExitStack() as opened:
        try:
            stream = opened.enter_context(Stream(path))
            made = tempfile.TemporaryDirectory(prefix="replay-", dir=place or mapped.folder())
            folder = Path(opened.enter_context(made))
            read = write_capture(stream, folder, server=server)
        except OSError as error:
            if place is not None:
                raise
            raise mapped.not_written(error) from None
        yield read, Trace(folder, {})


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

    def done() -> None:
        progress.step("reading", stream.read_bytes, stream.size or 0, "bytes")

    found = None
    if stream.is_file and compress is None:  # it can be read again, and what is written be changed
        capture = _CAPTURES[kind](Window(stream), stream.name)
        try:
            found = write_at_once(capture, folder, named, done)
        except UnsettledError:
            stream.rewind()
    if found is None:
        capture = _CAPTURES[kind](Window(stream), stream.name)
        found = _write_in_two_passes(capture, folder, named, done, compress)
    decoded, parties, counts = found
    findings, clock, order = capture.findings, decoded.clock, parties.order
    findings.note = "; ".join(it for it in (findings.note, stream.note) if it) or None
    state = decoded.state[: decoded.flows]
    write_table(folder, "flows", flows_table(decoded.table, order, state), compress)
    holes, unseen = find_holes(findings, clock, parties, state)
    write_table(folder, "gaps", gaps_table([*summary.gaps(findings, clock), *unseen]), compress)
    status = decoded.status.tolist()
    told = summary.tell(summary.Facts(findings, clock, parties, counts, status, holes))
    manifest: Manifest = {
        "sources": [{**stream.entry(), "format": kind}],
        "clock": "realtime",
        "origin_ns": clock.origin,
        "duration_ns": clock.duration,
        "devices": summary.devices(findings),
        "loop": told.loop,
        "losses": told.losses,
        "holes": [hole.to_dict() for hole in holes],
        "warnings": told.lost,
        "server": summary.server_entry(parties.host),
        "host": {},
    }
    return Ingested({}, manifest, told.found, told.inferred, told.lost)


def _write_in_two_passes(
    capture: Capture,
    folder: Path,
    named: Server | None,
    done: Callable[[], None],
    compress: str | None,
) -> tuple[Decoded, Parties, Counts]:
    """Put packets aside until the server is known; then write the packets table."""
    decoded = Decoded()
    with Spool(folder, KINDS) as spool:
        decode_capture(capture, lambda it: put_aside(it, decoded.add(it), spool), done)
        parties = parties_of(decoded, named)
        ends, row = parties.ends, np.empty(decoded.flows, dtype=np.int64)
        row[parties.order] = np.arange(decoded.flows)
        follower = Follower()
        follower.know(parties.side, ends.connection, row, ends.reverse != NONE)
        rows = rows_in_order(decoded, spool, folder)
        untimed = decoded.clock.untimed > 0 and decoded.clock.origin is not None
        schema = packets_schema(not (parties.side == FROM_SERVER).any(), untimed)
        _write_packets(rows, decoded, follower, folder, schema, compress)
    return decoded, parties, follower.counts


def _write_packets(
    all_rows: Iterator[Rows],
    decoded: Decoded,
    follower: Follower,
    folder: Path,
    schema: pa.Schema,
    compress: str | None,
) -> None:
    """Write the packets table; one thread finds messages, another writes."""
    free = [Messages.empty(ROWS) for _ in range(2)]
    busy: deque[tuple[Messages, Future[Any]]] = deque()
    with (
        table_file(folder / "packets.arrow", schema, compress) as writer,
        ThreadPoolExecutor(1) as other,
    ):

        def write(*rows: Any) -> None:
            writer.write_batch(packets_batch(schema, *rows))

        done = 0
        for rows in all_rows:
            if len(busy) == len(free):
                busy[0][1].result()
                messages = busy.popleft()[0]
            else:
                messages = free[len(busy)]
            part = messages.part(len(rows.columns.time))
            follower.follow(rows.columns, decoded.state, part)
            busy.append((messages, other.submit(write, rows, part)))
            if not done:
                mapped.forget_code()
            done += len(part.kind)
            progress.step("writing", done, decoded.clock.packets)
        for _, before in busy:
            before.result()
