"""The bundle's tables of a capture, made from NumPy columns without copying where that can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.ingest.flows import FlowTable, addresses, unpack
from replay.ingest.messages import BYTES, FIRST, LAST, PACKETS, Messages
from replay.ingest.times import Timed
from replay.trace import schema

Int64s = npt.NDArray[np.int64]


def packets_table(timed: Timed, messages: Messages) -> pa.Table:
    """Return the packets table; negative numbers in the columns mean null."""
    columns = timed.columns
    known: dict[str, Any] = {
        "arrival_ns": columns.time,
        "earliest_ns": timed.earliest,
        "latest_ns": timed.latest,
        "flow": messages.flow,
        "device": columns.device,
        "length": columns.length,
        "payload": columns.payload,
        "kind": messages.kind,
        "reply_to": messages.reply_to,
        "think_ns": messages.think,
        "status": columns.status,
    }
    return _table(schema.PACKETS, known, len(columns.time))


def flows_table(table: FlowTable, order: Int64s, statistics: Int64s) -> pa.Table:
    """Return the flows table; row i is flow order[i] of `table` and `statistics`."""
    keys, numbers = table.keys[order], statistics[order]
    parts = unpack(keys[:, 4])
    known: dict[str, Any] = {
        "first_ns": numbers[:, FIRST],
        "last_ns": numbers[:, LAST],
        "packets": numbers[:, PACKETS],
        "bytes": numbers[:, BYTES],
        "source_port": parts["source_port"].astype(np.uint16),
        "destination_port": parts["destination_port"].astype(np.uint16),
        "protocol": parts["protocol"].astype(np.uint8),
        "version": parts["version"].astype(np.uint8),
        "vlan": parts["vlan"].astype(np.int16),  # 12 bits, or -1
        "source": addresses(keys[:, 0:2]),
        "destination": addresses(keys[:, 2:4]),
    }
    return _table(schema.FLOWS, known, len(order))


def gaps_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return the gaps table."""
    return pa.Table.from_pylist(rows, schema=schema.GAPS)


def _table(columns: pa.Schema, known: dict[str, Any], rows: int) -> pa.Table:
    """Return a table of the columns known, the others null."""
    arrays = [
        pa.nulls(rows, field.type)
        if known.get(field.name) is None
        else _column(known[field.name], field.type)
        for field in columns
    ]
    return pa.Table.from_arrays(arrays, schema=columns)


def _column(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return an array of type `kind` over the memory of `values`, of the same width."""
    values = np.ascontiguousarray(values)
    validity, nulls = None, 0
    if values.dtype.kind == "i":
        known = values >= 0
        nulls = len(values) - int(np.count_nonzero(known))
        if nulls:
            validity = pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(values)], nulls)
