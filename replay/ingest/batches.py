"""A table of a bundle that is made batch by batch, out of columns that are larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay import mapped
from replay.trace.table_file import table_file

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Batches:
    """A table whose rows are made when they are asked for, each time anew."""

    schema: pa.Schema
    said: list[str]  # columns to be written: those that have a value, and those that must
    make: Callable[[], Iterator[pa.RecordBatch]]  # all columns of the schema

    def table(self) -> pa.Table:
        """Return the whole table in memory."""
        return pa.Table.from_batches(self.make(), self.schema)

    def write(self, folder: Path, name: str, compress: str | None) -> None:
        """Write the table as replay.trace.bundle.write_table does.

        A batch is written while the next one is made.
        """
        schema = pa.schema([self.schema.field(it) for it in self.said])
        with (
            table_file(folder / f"{name}.arrow", schema, compress) as writer,
            ThreadPoolExecutor(1) as beside,
        ):
            written: Future[None] | None = None
            for batch in self.make():
                if written is not None:
                    written.result()
                written = beside.submit(writer.write_batch, batch.select(self.said))
            if written is not None:
                written.result()


def batches(
    schema: pa.Schema,
    count: int,
    part: Callable[[str, slice], Array | None],
    none: Mapping[str, int],
) -> Batches:
    """Return a table of `count` rows whose columns `part` gives: by name, and some of their rows.

    A column that it gives as None is null. `none` says what stands for null in the others, where
    that is not -1.
    """

    def make() -> Iterator[pa.RecordBatch]:
        for rows in mapped.steps(count):
            arrays = []
            for field in schema:
                values = part(field.name, rows)
                if values is None:
                    arrays.append(pa.nulls(rows.stop - rows.start, field.type))
                    continue
                missing = None
                if field.nullable:
                    missing = values == none.get(field.name, -1)
                    values = values * ~missing  # several times as fast as np.where
                arrays.append(arrow_array(values, field.type, missing))
            yield pa.record_batch(arrays, schema=schema)

    said = [it.name for it in schema if not it.nullable or _has_value(it.name, count, part, none)]
    return Batches(schema, said, make)


def _has_value(
    name: str, count: int, part: Callable[[str, slice], Array | None], none: Mapping[str, int]
) -> bool:
    """Whether a column is not all null; an empty one must be written, for all that is known."""
    if not count:
        return True
    for rows in mapped.steps(count):
        values = part(name, rows)
        if values is None:
            return False
        if (values != none.get(name, -1)).any():
            return True
    return False


def arrow_array(
    values: Array, kind: pa.DataType, missing: npt.NDArray[np.bool_] | None
) -> pa.Array:
    """Return `values` as an Arrow array without a copy; null where `missing`."""
    values = np.ascontiguousarray(values, kind.to_pandas_dtype())
    validity = None
    if missing is not None and missing.any():
        validity = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(values)])
