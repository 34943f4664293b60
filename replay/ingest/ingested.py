"""What reading one source yields: the bundle's tables, its manifest, and lines for the summary."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.errors import TraceError
from replay.ingest.batches import Batches
from replay.ingest.stream import DIGEST_BYTES
from replay.trace.bundle import Manifest


@dataclass(frozen=True)
class Ingested:
    """One source, read.

    `tables` and `large` hold tables of replay.trace.schema by name; those absent are written empty.
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
    large: dict[str, Batches] = field(default_factory=dict)

    def table(self, name: str) -> pa.Table:
        """Return a table, in memory. Raises KeyError where it is absent."""
        return self.large[name].table() if name in self.large else self.tables[name]

    def in_memory(self) -> dict[str, pa.Table]:
        """Return all tables, in memory."""
        return {name: self.table(name) for name in (*self.tables, *self.large)}


#: Is told of a large table as soon as it is made: its name, and itself.
Made = Callable[[str, Batches], None]


def ignore(name: str, table: Batches) -> None:
    """Let a table be written when all are made."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of what cannot be read that it cannot: who writes meanwhile would blame the output."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise TraceError(f"{error.filename or path}: cannot be read: {reason}") from None


def source_entry(path: Path, *data: memoryview) -> dict[str, Any]:
    """Return a source's name, size (bytes), and the SHA-256 of so many of its first bytes.

    `data` is the whole content, in parts, where it is in memory. Raises TraceError where the file
    cannot be read.
    """
    head, size = b"", sum(part.nbytes for part in data)
    for part in data:
        head += part[: DIGEST_BYTES - len(head)]
    if not data:
        try:
            with path.open("rb") as file:
                head = file.read(DIGEST_BYTES)
                size = file.seek(0, 2)
        except OSError as error:
            raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None
    digest = hashlib.sha256(head).hexdigest()
    return {"name": path.name, "size": size, "sha256": digest, "hashed": len(head)}
