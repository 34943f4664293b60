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
    arrays = [
        pa.nulls(len(columns.time), field.type)
        if known.get(field.name) is None
        else _column(known[field.name], field.type)
        for field in schema.PACKETS
    ]
    return pa.Table.from_arrays(arrays, schema=schema.PACKETS)


def flows_table(table: FlowTable, order: Int64s, statistics: Int64s) -> pa.Table:
    """Return the flows table; row i is flow order[i] of `table` and `statistics`."""
    keys, numbers = table.keys[order], statistics[order]
    parts = unpack(keys[:, 4])
    wide = pa.binary(16)
    known = {
        "source": pa.Array.from_buffers(
            wide, len(order), [None, pa.py_buffer(addresses(keys[:, 0:2]))]
        ),
        "destination": pa.Array.from_buffers(
            wide, len(order), [None, pa.py_buffer(addresses(keys[:, 2:4]))]
        ),
        "first_ns": pa.array(numbers[:, FIRST]),
        "last_ns": pa.array(numbers[:, LAST]),
        "packets": pa.array(numbers[:, PACKETS]),
        "bytes": pa.array(numbers[:, BYTES]),
        "vlan": pa.array(parts["vlan"], mask=parts["vlan"] < 0).cast(pa.uint16()),
    }
    for name in ("source_port", "destination_port", "protocol", "version"):
        known[name] = pa.array(parts[name]).cast(schema.FLOWS.field(name).type)
    arrays = [known.get(field.name, pa.nulls(len(order), field.type)) for field in schema.FLOWS]
    return pa.Table.from_arrays(arrays, schema=schema.FLOWS)


def gaps_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return the gaps table."""
    return pa.Table.from_pylist(rows, schema=schema.GAPS)


def _column(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return an array of type `kind` over the memory of `values`, of the same width."""
    values = np.ascontiguousarray(values)
    validity, nulls = None, 0
    if values.dtype.kind == "i" and len(values) and values.min() < 0:
        known = values >= 0
        nulls = len(values) - int(np.count_nonzero(known))
        validity = pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(values)], nulls)
