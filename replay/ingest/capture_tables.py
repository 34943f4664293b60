"""The bundle's tables of a capture, made from NumPy columns without copying where that can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.ingest.flow_state import BYTES, FIRST, LAST, PACKETS
from replay.ingest.flows import LEVELS, OUTER, FlowTable, addresses, unpack
from replay.ingest.messages import Messages
from replay.ingest.rows import Rows
from replay.ingest.tunnels import tunnel_name
from replay.trace import schema

Int64s = npt.NDArray[np.int64]

#: The packets' columns of which is counted how many are null (Messages.none).
_COUNTED = ("flow", "payload", "reply_to", "think_ns")


def packets_schema(unanswered: bool, untimed: bool) -> pa.Schema:
    """Return the packets' columns that can have a value.

    No packet is `unanswered` without answers; bounds are those of packets that are `untimed`.
    """
    names = {"arrival_ns", "flow", "device", "length", "payload", "kind", "status"}
    if not unanswered:
        names |= {"reply_to", "think_ns"}
    if untimed:
        names |= {"earliest_ns", "latest_ns"}
    return pa.schema([field for field in schema.PACKETS if field.name in names])


def packets_batch(kind: pa.Schema, rows: Rows, messages: Messages) -> pa.RecordBatch:
    """Return a batch of the packets table; negative numbers in the columns mean null."""
    columns = rows.columns
    known: dict[str, Any] = {
        "arrival_ns": columns.time,
        "earliest_ns": rows.earliest,
        "latest_ns": rows.latest,
        "flow": messages.flow,
        "device": columns.device,
        "length": columns.length,
        "payload": columns.payload,
        "kind": messages.kind,
        "reply_to": messages.reply_to,
        "think_ns": messages.think,
        "status": columns.status,
    }
    none = dict(zip(_COUNTED, messages.none.tolist(), strict=True))
    arrays = []
    for field in kind:
        values = known[field.name]
        some_null = values.dtype.kind == "i" and field.nullable and none.get(field.name, 1)
        arrays.append(_array(values, field.type, values >= 0 if some_null else None))
    return pa.RecordBatch.from_arrays(arrays, schema=kind)


def flows_table(table: FlowTable, order: Int64s, state: Int64s) -> pa.Table:
    """Return the flows table; row i is flow order[i] of `table` and `state`."""
    ends, numbers = table.keys.ends[order], state[order]
    parts = unpack(ends[:, 4])
    known: dict[str, Any] = {
        "first_ns": numbers[:, FIRST],
        "last_ns": numbers[:, LAST],
        "packets": numbers[:, PACKETS],
        "bytes": numbers[:, BYTES],
        **_ends(ends),
        "vlan": parts["vlan"].astype(np.int16),  # 12 bits, or -1
    }
    levels = parts["levels"]
    if levels.any():
        known |= _tunnels(table.keys.tunnels[order[levels > 0]], levels[levels > 0], levels > 0)
    return _table(schema.FLOWS, known, len(order))


def _ends(ends: Int64s) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of flows' ends, as they are in a FlowTable."""
    parts = unpack(ends[:, 4])
    return {
        "source": addresses(ends[:, 0:2]),
        "destination": addresses(ends[:, 2:4]),
        "source_port": parts["source_port"].astype(np.uint16),
        "destination_port": parts["destination_port"].astype(np.uint16),
        "protocol": parts["protocol"].astype(np.uint8),
        "version": parts["version"].astype(np.uint8),
    }


def _tunnels(words: Int64s, levels: Int64s, tunnelled: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return the columns of the tunnels, and of their ends, of those flows that are `tunnelled`."""
    chains = np.where(np.arange(LEVELS) < levels[:, None], words[:, :LEVELS], 0)
    different, which = np.unique(chains, axis=0, return_inverse=True)
    names = ["/".join(tunnel_name(word) for word in chain if word) for chain in different.tolist()]
    number = np.zeros(len(tunnelled), dtype=np.int64)
    number[tunnelled] = which.reshape(-1)
    columns: dict[str, Any] = {"tunnel": pa.array(names).take(pa.array(number, mask=~tunnelled))}
    for name, values in _ends(words[:, OUTER:]).items():
        whole = np.zeros((len(tunnelled), *values.shape[1:]), dtype=values.dtype)
        whole[tunnelled] = values
        kind = schema.FLOWS.field(f"outer_{name}").type
        columns[f"outer_{name}"] = _array(whole, kind, tunnelled)
    return columns


def gaps_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return the gaps table."""
    return pa.Table.from_pylist(rows, schema=schema.GAPS)


def _table(columns: pa.Schema, known: dict[str, Any], rows: int) -> pa.Table:
    """Return a table of the columns known, the others null."""
    arrays = []
    for field in columns:
        values = known.get(field.name)
        if values is None:
            values = pa.nulls(rows, field.type)
        arrays.append(values if isinstance(values, pa.Array) else _column(values, field.type))
    return pa.Table.from_arrays(arrays, schema=columns)


def _column(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return an array of type `kind` over the memory of `values`; negative numbers are null."""
    some_null = values.dtype.kind == "i" and len(values) and values.min() < 0
    return _array(values, kind, values >= 0 if some_null else None)


def _array(
    values: npt.NDArray[Any], kind: pa.DataType, known: npt.NDArray[np.bool_] | None
) -> pa.Array:
    """Return an array of type `kind`, of the same width, null where not `known`."""
    values = np.ascontiguousarray(values)
    nulls = 0 if known is None else len(known) - int(np.count_nonzero(known))
    validity = None
    if known is not None and nulls:
        validity = pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(values)], nulls)
