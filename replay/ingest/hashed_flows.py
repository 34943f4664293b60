"""Flows that a recording names by a hash alone: rows of the flows table without addresses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.ingest.flow_totals import FlowTotals
from replay.trace.schema import FLOWS

Int64s = npt.NDArray[np.int64]


def hashed_flows(hashes: Int64s, version: npt.NDArray[np.uint8], protocol: int) -> pa.Table:
    """Return one row a hash, schema FLOWS: addresses are :: and ports 0, the rest null.

    Both of shape (flows,); version: of IP, 4 or 6. Totals are still to be filled in.
    """
    count = len(hashes)
    unspecified = pa.array([bytes(16)] * count, pa.binary(16))
    known: dict[str, Any] = {
        "source": unspecified,
        "destination": unspecified,
        "source_port": np.zeros(count, np.uint16),
        "destination_port": np.zeros(count, np.uint16),
        "protocol": np.full(count, protocol, np.uint8),
        "version": version,
        "rss_hash": hashes.astype(np.uint32),
    }
    arrays = [
        pa.array(known[field.name], field.type)
        if field.name in known
        else pa.nulls(count, field.type)
        for field in FLOWS
    ]
    return pa.table(arrays, schema=FLOWS)


def with_totals(flows: pa.Table, totals: FlowTotals) -> pa.Table:
    """Return a table of schema FLOWS with these totals."""
    for name, values in zip(("first_ns", "last_ns", "packets", "bytes"), totals, strict=True):
        place = FLOWS.get_field_index(name)
        flows = flows.set_column(place, FLOWS.field(name), pa.array(values, pa.int64()))
    return flows
