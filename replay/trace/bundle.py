"""A bundle: the folder `NAME.trace` that holds one recording as Arrow IPC files and a manifest.

A bundle is complete or absent: it is written under a temporary name beside its place and renamed.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.errors import TraceError
from replay.mapped import CHUNK, read_only
from replay.trace.schema import FORMAT_MAJOR, FORMAT_MINOR, TABLES
from replay.trace.table_file import table_file

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

    def last_arrival(self) -> tuple[int, int]:
        """Return how many packets there are and when the last one arrived; 0, 0 for none."""
        reader = _open_table(self.path, "packets", ["arrival_ns"])
        for number in reversed(range(reader.num_record_batches)):
            batch = _batch(self.path, "packets", reader, number)
            if len(batch):
                at = int64s(batch.column("arrival_ns").slice(len(batch) - 1), 0)
                return int(reader.count_rows()), int(at[0])
        return 0, 0

    def packets_by_chunk(self, *names: str) -> Iterator[pa.RecordBatch]:
        """Yield these columns of the packets in chunks, of which only one is in memory."""
        yield from _read_chunks(self.path, "packets", names)

    def by_chunk(self, table: str) -> Iterator[pa.RecordBatch]:
        """Yield all columns of a table of TABLES in chunks, of which only one is in memory."""
        yield from _read_chunks(self.path, table, TABLES[table].names)


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

    The folder is hidden and stands beside `path`. One that a killed process left there is removed.
    Raises TraceError where something is in the way, or the disk is full.
    """
    place = Path(path)
    if place.exists():
        raise TraceError(f"{place}: already exists; name another bundle or remove it")
    if not place.parent.is_dir():
        raise TraceError(f"{place}: there is no folder {place.parent}")
    prefix = f".{place.name}.unfinished-"
    try:
        for left in place.parent.glob(f"{glob.escape(prefix)}*"):
            _remove_unlocked(left)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place.parent))
        lock = _lock(folder)
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
        os.close(lock)


def _lock(folder: Path) -> int:
    """Lock a folder for as long as the descriptor that is returned stays open."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove_unlocked(folder: Path) -> None:
    """Remove a folder that no process holds."""
    try:
        lock = _lock(folder)
    except OSError:  # it is being written, or not ours
        return
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def write_table(folder: Path, name: str, table: pa.Table, compress: str | None = None) -> None:
    """Write `table` as `name`.arrow in `folder`, cast to its schema; `compress` zstd or lz4.

    Columns without a value are left out.
    """
    schema = TABLES[name].with_metadata(table.schema.metadata)
    table = table.select(schema.names)
    if not table.schema.equals(schema):  # casting imports all of Arrow's functions
        table = table.cast(schema)
    table = table.select([it for it in schema.names if _said(table, it)])
    with table_file(folder / f"{name}.arrow", table.schema, compress) as writer:
        for batch in table.to_batches(max_chunksize=CHUNK):
            writer.write_batch(batch)


def _said(table: pa.Table, name: str) -> bool:
    """Whether a column must be written: it has a value, or a reader may not take it for nulls."""
    return not table.schema.field(name).nullable or table[name].null_count < max(1, len(table))


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


def int64s(column: pa.Array, null: int) -> npt.NDArray[np.int64]:
    """Return whole numbers as int64, nulls as `null`; not copied where nothing changes."""
    valid, values = column.buffers()
    if values is None or not len(column):
        return np.full(len(column), null, np.int64)
    start, end = column.offset, column.offset + len(column)
    found = np.frombuffer(values, column.type.to_pandas_dtype())[start:end]
    wide: npt.NDArray[np.int64] = found.astype(np.int64, copy=False)
    if not column.null_count:
        return wide
    first = start // 8
    bits = np.frombuffer(valid, np.uint8)[first : -(-end // 8)]
    seen = np.unpackbits(bits, bitorder="little")[start - 8 * first : end - 8 * first]
    return np.where(seen.astype(np.bool_), wide, null)


def _open_table(folder: Path, name: str, columns: Sequence[str] = ()) -> Any:
    """Return a reader of one table's columns, all of them if none is named; mapped.

    The types are those of the schema, and only columns that can be null are absent.
    """
    path = folder / f"{name}.arrow"
    try:
        source = pa.BufferReader(pa.py_buffer(read_only(path)))
        reader = pa.ipc.open_file(source)
        schema = reader.schema
        if columns:
            chosen = [i for i, it in enumerate(schema.names) if it in columns]
            options = pa.ipc.IpcReadOptions(included_fields=chosen)
            source.seek(0)
            reader = pa.ipc.open_file(source, options=options) if chosen else reader
    except FileNotFoundError:
        raise TraceError(f"{folder}: the bundle lacks {name}.arrow") from None
    except (OSError, pa.ArrowException) as error:
        raise TraceError(f"{path}: cut or not an Arrow file: {error}") from None
    for field in TABLES[name]:
        if field.name in schema.names:
            if schema.field(field.name).type != field.type:
                raise TraceError(f"{path}: column {field.name} is not of type {field.type}")
        elif not field.nullable:
            raise TraceError(f"{path}: lacks the column {field.name}")
    return reader


def _read_table(folder: Path, name: str) -> pa.Table:
    """Map one table, with all columns of its schema: those that are absent are null."""
    reader = _open_table(folder, name)
    try:
        table = reader.read_all()
    except (OSError, pa.ArrowException) as error:
        raise TraceError(f"{folder}/{name}.arrow: cut or not an Arrow file: {error}") from None
    for place, field in enumerate(TABLES[name]):
        if field.name not in table.schema.names:
            table = table.add_column(place, field, _nulls(len(table), field.type))
    return table


def _nulls(count: int, kind: pa.DataType) -> pa.ChunkedArray:
    """Return `count` nulls; they all lie in the memory of the first ones."""
    some = pa.nulls(min(count, CHUNK), kind)
    whole = [some] * (count // CHUNK)
    return pa.chunked_array([*whole, some[: count - CHUNK * len(whole)]], kind)


def _batch(folder: Path, name: str, reader: Any, number: int) -> pa.RecordBatch:
    """Return one batch of a table."""
    try:
        return reader.get_batch(number)
    except (OSError, pa.ArrowException) as error:
        raise TraceError(f"{folder}/{name}.arrow: cut or not an Arrow file: {error}") from None


def _read_chunks(folder: Path, name: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield these columns of a table in chunks of at most CHUNK rows, none of them empty."""
    reader = _open_table(folder, name, columns)
    fields = [TABLES[name].field(it) for it in columns]
    for number in range(reader.num_record_batches):
        batch = _batch(folder, name, reader, number)
        for start in range(0, len(batch), CHUNK):
            part = batch.slice(start, CHUNK)
            held = [
                part.column(it.name)
                if it.name in part.schema.names
                else pa.nulls(len(part), it.type)
                for it in fields
            ]
            yield pa.record_batch(held, schema=pa.schema(fields))
