"""A bundle's tables as Parquet or CSV: numbers of kinds as words, addresses as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import cache
from pathlib import Path

import pyarrow as pa

from replay.trace.addresses import address_text
from replay.trace.bundle import Trace, bundle_writer
from replay.trace.schema import TABLES, Cause, EventKind, PacketKind, PacketStatus

#: Columns that hold numbers of these.
_WORDS: dict[tuple[str, str], type[IntEnum]] = {
    ("packets", "kind"): PacketKind,
    ("packets", "status"): PacketStatus,
    ("events", "kind"): EventKind,
    ("events", "cause"): Cause,
}
_ADDRESSES = ("source", "destination", "outer_source", "outer_destination")

Write = Callable[[pa.RecordBatch], object]


def write_tables(trace: Trace, place: Path, form: str) -> None:
    """Write the folder `place` with a file a table of `trace`, `form` parquet or csv."""
    opened = {"parquet": _parquet, "csv": _csv}[form]
    with bundle_writer(place) as folder:
        for name in TABLES:
            with opened(folder / f"{name}.{form}", _schema(name)) as write:
                for part in trace.by_chunk(name):
                    write(_readable(name, part))
        text = json.dumps(trace.manifest, indent=1) + "\n"
        (folder / "manifest.json").write_text(text, encoding="utf-8")


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[Write]:
    from pyarrow import parquet  # slow to import

    with parquet.ParquetWriter(str(path), schema, compression="zstd") as writer:
        yield writer.write_batch


@contextmanager
def _csv(path: Path, schema: pa.Schema) -> Iterator[Write]:
    from pyarrow import csv

    with csv.CSVWriter(str(path), schema) as writer:
        yield writer.write_batch


def _schema(table: str) -> pa.Schema:
    """Return the columns as they are written: words and addresses are text."""
    said = [
        pa.field(it.name, pa.string(), it.nullable) if _translated(table, it.name) else it
        for it in TABLES[table]
    ]
    return pa.schema(said)


def _translated(table: str, column: str) -> bool:
    return (table, column) in _WORDS or (table == "flows" and column in _ADDRESSES)


def _readable(table: str, part: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows with words for numbers and text for addresses."""
    columns = [_text(table, it.name, part[it.name]) for it in TABLES[table]]
    return pa.record_batch(columns, schema=_schema(table))


def _text(table: str, name: str, column: pa.Array) -> pa.Array:
    words = _WORDS.get((table, name))
    if words is not None:
        known = {int(it): it.name.lower() for it in words}
        names = pa.array([known.get(i, str(i)) for i in range(256)])  # of a newer format: numbers
        return names.take(column)
    if not _translated(table, name):
        return column
    text_of = cache(address_text)  # many flows share an address
    return pa.array([it and text_of(it) for it in column.to_pylist()], pa.string())
