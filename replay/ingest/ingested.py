"""What reading one source yields: the bundle's tables, its manifest, and lines for the summary."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.errors import TraceError
from replay.trace.bundle import Manifest


@dataclass(frozen=True)
class Ingested:
    """One source, read.

    `tables` holds tables of replay.trace.schema by name; those absent are written empty.
    `manifest` holds: sources (see `source_entry`), clock, origin_ns (of the clock, at the trace's
    zero), duration_ns, devices, loop (open, closed, unknown), losses, warnings, server, host.
    `found`, `inferred` and `lost` are the summary's lines: what the source holds, what was
    concluded from it, and what is missing.
    """

    tables: dict[str, pa.Table]
    manifest: Manifest
    found: list[str] = field(default_factory=list)
    inferred: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def source_entry(path: Path, *data: memoryview) -> dict[str, Any]:
    """Return a source's name, size (bytes) and sha256, for the manifest.

    `data` is the whole content, in parts, where it is in memory. Raises TraceError where the file
    cannot be read. The hash runs without the interpreter's lock.
    """
    if data:
        digest = hashlib.sha256()
        for part in data:
            digest.update(part)
        size = sum(part.nbytes for part in data)
        return {"name": path.name, "size": size, "sha256": digest.hexdigest()}
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            size = file.tell()
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None
    return {"name": path.name, "size": size, "sha256": digest.hexdigest()}
