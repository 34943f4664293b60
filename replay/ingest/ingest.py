"""From recordings to a bundle: sniff each source, read it, write what it says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from replay.errors import TraceError
from replay.ingest.batches import Batches
from replay.ingest.hashes import hash_flows
from replay.ingest.ingested import Ingested, Made, reading
from replay.ingest.sniff import (
    ATTACHMENT,
    BUNDLE,
    CAPTURES,
    CTF,
    PERF,
    RETIS,
    TEXT,
    TRACE_DAT,
    is_folder,
    sniff_folder,
    sniff_stream,
)
from replay.ingest.stream import Stream
from replay.policy import parse_policy
from replay.trace.anonymize import rewrite
from replay.trace.bundle import Trace, bundle_writer, open_trace, write_manifest, write_table
from replay.trace.schema import TABLES, PacketKind
from replay.units import SECOND

#: Recordings of kernel events that a capture can be joined to.
JOINED = (PERF, TEXT, TRACE_DAT, RETIS)

#: Writes all tables but the outcomes into a bundle's folder; returns the rest of what was read.
Writer = Callable[[Path], Ingested]


class _Source(NamedTuple):
    """What was given, what it is, and where it is read; a folder has no stream."""

    path: Path
    kind: str
    stream: Stream | None


@dataclass(frozen=True)
class Summary:
    """What was written, and what people should know of it."""

    path: Path
    found: list[str] = field(default_factory=list)
    inferred: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [str(self.path)]
        for name in ("found", "inferred", "lost"):
            lines += [f"  {name:<9} {line}" for line in getattr(self, name)]
        return "\n".join(lines)


def ingest(
    sources: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    server: str | None = None,
    device: str | None = None,
    policy: str | None = None,
    outcomes: Sequence[str] = (),
    clock_offset: str | None = None,
    compress: str | None = None,
    anonymize: bytes | None = None,
    rss: Mapping[str, Any] | None = None,
) -> Summary:
    """Read `sources` and write the bundle at `output`, complete or not at all.

    One of them is a recording, a capture, or a bundle to be added to; or they are a recording and a
    capture of the same minutes, which become one. Beside them may stand results of clients,
    counters before and after, and settings of the device (see replay.ingest.attachments), in any
    order.

    `server` is as for captured, `device` as for read_perf, and whose settings are meant where
    files tell of several; `policy` names what the host ran under; `outcomes` are results of other
    policies and rates, each as replay.ingest.outcomes.parse_outcome reads it; `clock_offset` is the
    capture's clock less the recording's, as replay.ingest.join.parse_offset reads it, where the
    recording does not say it; `compress` is zstd, lz4 or None; `anonymize` is the key by which
    addresses are replaced and names left out (see replay.trace.anonymize); `rss` says how the NIC
    hashed, as replay.layout.hash_entries does: each flow's hash is written. Raises TraceError in
    one line where a source cannot be read, or something stands at `output`, PolicyError for a
    policy that is none.
    """
    facts = {} if policy is None else {"policy": parse_policy(policy).name}
    place = Path(output)
    if place.exists():  # said before the work, and by the writer again
        raise TraceError(f"{place}: already exists; name another bundle or remove it")
    with ExitStack() as opened:
        found = [_open(Path(source), opened) for source in sources]
        beside = [it.path for it in found if it.kind == ATTACHMENT]
        recorded = [it for it in found if it.kind != ATTACHMENT]
        attach = _attacher(beside, outcomes, device)
        attached = attach is not None
        changed = attached or anonymize is not None
        pair = sorted(recorded, key=lambda it: it.kind in CAPTURES)
        if len(pair) == 2 and pair[0].kind in JOINED and pair[1].kind in CAPTURES:
            write = _join_writer(pair, opened, server, device, clock_offset, compress)
        elif len(recorded) != 1:
            raise TraceError(
                f"{len(recorded)} recordings: one, or kernel events and a capture of the same"
                " minutes, make a bundle"
            )
        elif clock_offset is not None:
            raise TraceError(f"{recorded[0].path}: --clock-offset needs a second source to join")
        else:
            write = _writer(
                recorded[0], server, device, compress, attached=attached, changed=changed
            )
        with bundle_writer(place) as folder:
            read = write(folder)
            read.manifest.update(facts)
            read = attach(folder, read) if attach else read
            read.manifest.update(rss or {})
            hash_flows(folder, read.manifest, compress)
            table = read.tables.get("outcomes", TABLES["outcomes"].empty_table())
            write_table(folder, "outcomes", table, compress)
            write_manifest(folder, read.manifest)
            if anonymize is not None:
                rewrite(folder, anonymize, compress)
    return Summary(place, read.found, read.inferred, read.lost)


def _open(path: Path, opened: ExitStack) -> _Source:
    """Open a source, for as long as `opened` lasts, and tell what it is."""
    if is_folder(path):
        return _Source(path, sniff_folder(path), None)
    stream = opened.enter_context(Stream(path))
    return _Source(path, sniff_stream(stream), stream)


def _writer(
    source: _Source,
    server: str | None,
    device: str | None,
    compress: str | None,
    *,
    attached: bool,
    changed: bool,
) -> Writer:
    """Return what writes a recording of this kind.

    `attached`: files stand beside it; `changed`: the bundle will differ from one that is read.

    Raises TraceError for options that are not for this kind, and for a file that is damaged at its
    start.
    """
    path, kind, stream = source
    if server is not None and kind not in CAPTURES:
        raise TraceError(f"{path}: --server is for packet captures; this is {kind}")
    if device is not None and kind in CAPTURES and not attached:
        raise TraceError(f"{path}: --device is for kernel events; this is a packet capture")
    if kind == BUNDLE:
        if not changed:
            raise TraceError(f"{path}: is a bundle already; name what to add to it")
        return _bundle_writer(path, compress)
    if kind in CAPTURES and stream is not None:
        return _capture_writer(stream, server, compress)
    return _events_writer(lambda _, made: _read_events(source, device, made), compress)


def _events_writer(reader: Callable[[Path, Made], Ingested], compress: str | None) -> Writer:
    """Return what reads kernel events and writes their tables, large ones as soon as made.

    reader: may keep other files in that folder meanwhile.
    """

    def write(folder: Path) -> Ingested:
        begun: dict[str, Future[None]] = {}
        with ThreadPoolExecutor(1) as beside:

            def made(name: str, table: Batches) -> None:
                begun[name] = beside.submit(table.write, folder, name, compress)

            read = reader(folder, made)
        for one in begun.values():
            one.result()
        _write_tables(folder, read, compress, *begun)
        return read

    return write


def _read_events(source: _Source, device: str | None, made: Made) -> Ingested:
    """Read a recording of kernel events; `made` is as for rebuild."""
    path, kind, stream = source
    # Here: each format pays for its own imports only.
    from replay.ingest.perf import read_perf
    from replay.ingest.recordings import read_ctf_folder, read_kernel_events

    with reading(path):
        if kind == CTF:
            return read_ctf_folder(path, device=device, made=made)
        if kind != PERF and stream is not None:
            return read_kernel_events(stream, kind, device=device, made=made)
        if stream is None or stream.is_file:
            return read_perf(path, device=device, made=made)
        with stream.as_file() as file:
            read = read_perf(file, device=device, made=made)
    read.manifest["sources"] = [stream.entry()]
    return read


def _capture_writer(stream: Stream, server: str | None, compress: str | None) -> Writer:
    """Return what reads a capture and writes its tables meanwhile."""
    from replay.ingest.pcap import CAPTURED, write_capture

    def write(folder: Path) -> Ingested:
        read = write_capture(stream, folder, server=server, compress=compress)
        _write_tables(folder, read, compress, *CAPTURED)
        return read

    return write


def _join_writer(
    pair: Sequence[_Source],
    opened: ExitStack,
    server: str | None,
    device: str | None,
    clock_offset: str | None,
    compress: str | None,
) -> Writer:
    """Return what joins a recording and a capture and writes their tables."""
    from replay.ingest.join import parse_offset, read_joined

    offset = None if clock_offset is None else parse_offset(clock_offset)
    recording, capture = (
        it.path if it.stream is None else opened.enter_context(it.stream.as_file()) for it in pair
    )

    def read(folder: Path, made: Made) -> Ingested:
        joined = read_joined(
            recording,
            capture,
            server=server,
            device=device,
            clock_offset=offset,
            place=folder,
            made=made,
        )
        for place, it in enumerate(pair):
            if it.stream is not None and not it.stream.is_file:  # it was copied: say what it was
                joined.manifest["sources"][place] = {**it.stream.entry(), "format": it.kind}
        return joined

    return _events_writer(read, compress)


def _bundle_writer(path: Path, compress: str | None) -> Writer:
    """Return what copies a bundle's tables, but for its outcomes."""
    trace = open_trace(path)
    manifest = {name: value for name, value in trace.manifest.items() if name != "format"}

    def write(folder: Path) -> Ingested:
        for name in TABLES:
            if name == "outcomes":
                continue
            if compress is not None:
                write_table(folder, name, getattr(trace, name), compress)
            else:
                shutil.copyfile(path / f"{name}.arrow", folder / f"{name}.arrow")
        return Ingested({"outcomes": trace.outcomes}, manifest, [f"all of {path}"])

    return write


def _write_tables(folder: Path, read: Ingested, compress: str | None, *written: str) -> None:
    """Write all tables but those `written`, and the outcomes, which attachments may fill."""
    for name, schema in TABLES.items():
        if name in written or name == "outcomes":
            continue
        if name in read.large:
            read.large[name].write(folder, name, compress)
        else:
            write_table(folder, name, read.tables.get(name, schema.empty_table()), compress)


def _attacher(
    beside: Sequence[Path], outcomes: Sequence[str], device: str | None
) -> Callable[[Path, Ingested], Ingested] | None:
    """Return what adds the attachments to what was read; None where there are none.

    They are read at once: what is wrong with one is said before long work.
    """
    if not beside and not outcomes:
        return None
    from replay.ingest.attach import conclude
    from replay.ingest.attachments import read_attachment
    from replay.ingest.outcomes import parse_outcome

    files = [read_attachment(path) for path in beside]
    asked = [one for text in outcomes for one in parse_outcome(text)]
    others = [(read_attachment(one.path), one.policy, one.rate) for one in asked]

    def attach(folder: Path, read: Ingested) -> Ingested:
        told = conclude(
            files,
            others,
            read.manifest,
            before=read.tables.get("outcomes", TABLES["outcomes"].empty_table()),
            device=device,
            recorded_rate=lambda: _recorded_rate(folder, read.manifest),
        )
        entries = [it.entry for it in (*files, *(it for it, _, _ in others))]
        known = [*read.manifest.get("sources", []), *entries]
        return replace(
            read,
            tables={"outcomes": told.outcomes},
            manifest={**read.manifest, **told.manifest, "sources": known},
            found=[*read.found, *told.found],
            inferred=[*read.inferred, *told.inferred],
            lost=[*read.lost, *told.lost],
        )

    return attach


def _recorded_rate(folder: Path, manifest: dict[str, Any]) -> float:
    """Return the requests a second that the packets written to `folder` hold."""
    requests = 0
    for chunk in Trace(folder, {}).packets_by_chunk("kind"):
        kinds = chunk.column("kind").to_numpy()
        requests += int((kinds == PacketKind.REQUEST).sum())
    return requests * SECOND / max(1, int(manifest.get("duration_ns") or 0))
