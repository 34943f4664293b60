"""A bundle of as many packets as the disk holds, written chunk by chunk: 18 bytes a packet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from replay.host import GENERIC, write_host
from replay.trace.bundle import bundle_writer, write_manifest, write_table
from replay.trace.schema import PACKETS, TABLES

CHUNK = 1 << 20
GAP_NS = 5_000


def big_bundle(folder: Path, packets: int, queues: int = 1, policy: str = "base") -> Path:
    """Write Poisson requests, 200,000 a second, into `folder`/big.trace; beside it, its host."""
    named = ["arrival_ns", "kind", "service_ns", "status", *(["queue"] if queues > 1 else [])]
    schema = pa.schema([field for field in PACKETS if field.name in named])
    random = np.random.default_rng(1)
    last = 0
    with bundle_writer(folder / "big.trace") as bundle:
        with (
            pa.OSFile(str(bundle / "packets.arrow"), "wb") as sink,
            pa.ipc.new_file(sink, schema) as writer,
        ):
            for start in range(0, packets, CHUNK):
                count = min(CHUNK, packets - start)
                arrival = last + np.cumsum(random.exponential(GAP_NS, count).astype(np.int64))
                last = int(arrival[-1])
                zeros = np.zeros(count, np.uint8)
                columns = {
                    "arrival_ns": arrival,
                    "kind": zeros,
                    "service_ns": np.full(count, 500),
                    "status": zeros,
                    "queue": random.integers(0, queues, count, np.uint16),
                }
                arrays = [pa.array(columns[it.name], it.type) for it in schema]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
        for name, other in TABLES.items():
            if name != "packets":
                write_table(bundle, name, other.empty_table())
        write_manifest(bundle, {"policy": policy, "loop": "open"})
    write_host(folder / "host.toml", GENERIC)
    return folder / "big.trace"
