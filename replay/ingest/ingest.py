"""From recordings to a bundle: sniff each source, read it, write what it says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from replay.errors import TraceError
from replay.ingest.ingested import Ingested
from replay.ingest.sniff import sniff
from replay.trace.bundle import write_trace


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
    compress: str | None = None,
) -> Summary:
    """Read `sources` and write the bundle at `output`, complete or not at all.

    `server` is as for read_capture; `compress` is zstd, lz4 or None. Raises TraceError in one line
    where a source cannot be read, or something stands at `output`.
    """
    if len(sources) != 1:
        raise TraceError(
            f"{len(sources)} sources: exactly 1 can be read for now; give each its own bundle"
        )
    place = Path(output)
    if place.exists():  # said before the work, and by the writer again
        raise TraceError(f"{place}: already exists; name another bundle or remove it")
    read = _read(Path(sources[0]), server)
    write_trace(place, read.manifest, read.tables, compress)
    return Summary(place, read.found, read.inferred, read.lost)


def _read(source: Path, server: str | None) -> Ingested:
    """Read one source by its own format. Imports are here so that each pays only for its own."""
    if sniff(source) == "perf":
        if server is not None:
            raise TraceError(f"{source}: --server is for packet captures; this is perf.data")
        from replay.ingest.perf import read_perf

        return read_perf(source)
    from replay.ingest.pcap import read_capture

    return read_capture(source, server=server)
