"""From recordings to a bundle: sniff each source, read it, write what it says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from replay.errors import TraceError
from replay.ingest.ingested import Ingested
from replay.ingest.sniff import sniff
from replay.policy import parse_policy
from replay.trace.bundle import bundle_writer, write_manifest, write_table, write_trace
from replay.trace.schema import TABLES


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
    compress: str | None = None,
) -> Summary:
    """Read `sources` and write the bundle at `output`, complete or not at all.

    `server` is as for read_capture, `device` as for read_perf; `policy` names what the host ran
    under; `compress` is zstd, lz4 or None. Raises TraceError in one line where a source cannot be
    read, or something stands at `output`, PolicyError for a policy that is none.
    """
    facts = {} if policy is None else {"policy": parse_policy(policy).name}
    if len(sources) != 1:
        raise TraceError(
            f"{len(sources)} sources: exactly 1 can be read for now; give each its own bundle"
        )
    place = Path(output)
    if place.exists():  # said before the work, and by the writer again
        raise TraceError(f"{place}: already exists; name another bundle or remove it")
    source = Path(sources[0])
    if sniff(source) == "perf":
        if server is not None:
            raise TraceError(f"{source}: --server is for packet captures; this is perf.data")
        read = _ingest_perf(source, place, device, facts, compress)
    else:
        if device is not None:
            raise TraceError(f"{source}: --device is for perf.data; this is a packet capture")
        read = _ingest_capture(source, place, server, facts, compress)
    return Summary(place, read.found, read.inferred, read.lost)


def _ingest_perf(
    source: Path, place: Path, device: str | None, facts: dict[str, str], compress: str | None
) -> Ingested:
    """Read perf.data and write its bundle."""
    from replay.ingest.perf import read_perf  # here: each format pays for its own imports only

    read = read_perf(source, device=device, facts=dict(facts))
    write_trace(place, read.manifest, read.tables, compress)
    return read


def _ingest_capture(
    source: Path, place: Path, server: str | None, facts: dict[str, str], compress: str | None
) -> Ingested:
    """Read a capture and write its bundle, while another thread hashes it."""
    from replay.ingest.pcap import OpenCapture

    capture = OpenCapture(source, server)
    with ThreadPoolExecutor(1) as other:
        entry = other.submit(capture.source)
        read = capture.read()
        with bundle_writer(place) as folder:
            for name, schema in TABLES.items():
                write_table(folder, name, read.tables.get(name, schema.empty_table()), compress)
            write_manifest(folder, {"sources": [entry.result()], **read.manifest, **facts})
    return read
