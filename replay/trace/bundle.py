"""A bundle: the folder `NAME.trace` that holds one recording as Arrow IPC files and a manifest.

A bundle is complete or absent: it is written under a temporary name beside its place and renamed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.errors import TraceError
from replay.trace.schema import FORMAT_MAJOR, FORMAT_MINOR, TABLES

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Trace:
    """One recording of one host. Tables are read when first asked for, memory-mapped."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The bundle's name without its suffix."""
        return self.path.name.removesuffix(".trace")

    @cached_property
    def packets(self) -> pa.Table:
        """Packets, sorted by arrival; schema PACKETS."""
        return _read_table(self.path, "packets")

    @cached_property
    def flows(self) -> pa.Table:
        """Flows, one a direction; schema FLOWS."""
        return _read_table(self.path, "flows")

    @cached_property
    def events(self) -> pa.Table:
        """Kernel events, sorted by time; schema EVENTS."""
        return _read_table(self.path, "events")

    @cached_property
    def outcomes(self) -> pa.Table:
        """Measured results; schema OUTCOMES."""
        return _read_table(self.path, "outcomes")

    @cached_property
    def gaps(self) -> pa.Table:
        """What was lost; schema GAPS."""
        return _read_table(self.path, "gaps")


def open_trace(path: str | os.PathLike[str]) -> Trace:
    """Open the bundle at `path`. Raises TraceError where it is missing, cut, foreign or newer."""
    folder = Path(path)
    if not folder.exists():
        raise TraceError(f"{folder}: no such trace")
    if not folder.is_dir():
        raise TraceError(f"{folder}: not a bundle (a folder NAME.trace); run replay ingest first")
    try:
        text = (folder / "manifest.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TraceError(f"{folder}: not a bundle: it has no manifest.json") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{folder}/manifest.json: cannot be read: {error}") from None
    try:
        manifest = json.loads(text)
        major = int(manifest["format"]["major"])
    except (ValueError, KeyError, TypeError):
        raise TraceError(f"{folder}/manifest.json: cut or not a manifest") from None
    if major != FORMAT_MAJOR:
        raise TraceError(
            f"{folder}: bundle format {major}, this program reads {FORMAT_MAJOR}; update replay"
        )
    return Trace(folder, manifest)


@contextmanager
def bundle_writer(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it becomes the bundle at `path`, else it vanishes.

    Raises TraceError where something is in the way, or the disk is full.
    """
    place = Path(path)
    if place.exists():
        raise TraceError(f"{place}: already exists; name another bundle or remove it")
    if not place.parent.is_dir():
        raise TraceError(f"{place}: the folder {place.parent} does not exist")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError as error:
        raise TraceError(f"{place}: cannot be written: {error.strerror}") from None
    try:
        yield folder
        folder.chmod(0o755)
        folder.rename(place)
    except OSError as error:
        raise TraceError(f"{place}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_table(folder: Path, name: str, table: pa.Table, compress: str | None = None) -> None:
    """Write `table` as `name`.arrow in `folder`, cast to its schema; `compress` zstd or lz4."""
    options = pa.ipc.IpcWriteOptions(compression=compress)
    schema = TABLES[name].with_metadata(table.schema.metadata)
    with (
        pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, schema, options=options) as writer,
    ):
        writer.write_table(table.select(schema.names).cast(schema))


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, with this program's format version."""
    whole = {"format": {"major": FORMAT_MAJOR, "minor": FORMAT_MINOR}, **manifest}
    (folder / "manifest.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def write_trace(
    path: str | os.PathLike[str],
    manifest: Mapping[str, Any],
    tables: Mapping[str, pa.Table],
    compress: str | None = None,
) -> Trace:
    """Write a whole bundle at once and open it. Tables not given are written empty."""
    with bundle_writer(path) as folder:
        for name, schema in TABLES.items():
            write_table(folder, name, tables.get(name, schema.empty_table()), compress)
        write_manifest(folder, manifest)
    return open_trace(path)


def _read_table(folder: Path, name: str) -> pa.Table:
    """Memory-map one table and check that it has its schema's columns."""
    path = folder / f"{name}.arrow"
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except FileNotFoundError:
        raise TraceError(f"{folder}: the bundle lacks {name}.arrow") from None
    except (OSError, pa.ArrowException) as error:
        raise TraceError(f"{path}: cut or not an Arrow file: {error}") from None
    for field in TABLES[name]:
        if field.name not in table.schema.names:
            raise TraceError(f"{path}: lacks the column {field.name}")
        if table.schema.field(field.name).type != field.type:
            raise TraceError(f"{path}: column {field.name} is not of type {field.type}")
    return table
