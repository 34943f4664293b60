"""Flows that a recording names by a hash alone: rows of the flows table without addresses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.trace.schema import FLOWS

Int64s = npt.NDArray[np.int64]


def hashed_flows(
    hashes: Int64s,
    version: npt.NDArray[np.uint8],
    protocol: int,
    *,
    first: Int64s,
    last: Int64s,
    packets: Int64s,
    size: Int64s,
) -> pa.Table:
    """Return one row a hash, schema FLOWS: addresses are :: and ports 0, the rest null.

    All of shape (flows,): IP version, times of the first and last packet, packets and bytes.
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
        "first_ns": first,
        "last_ns": last,
        "packets": packets,
        "bytes": size,
    }
    return pa.table(
        [
            pa.array(known[field.name], field.type)
            if field.name in known
            else pa.nulls(count, field.type)
            for field in FLOWS
        ],
        schema=FLOWS,
    )
