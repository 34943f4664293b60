"""Bundles and recordings of as many packets and events as the disk holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.host import GENERIC, write_host
from replay.trace.bundle import bundle_writer, write_manifest, write_table
from replay.trace.schema import PACKETS, TABLES
from tests.ingest.perf_builder import Scene
from tests.ingest.perf_prints import printed

CHUNK = 1 << 20
GAP_NS = 5_000

EXCHANGES, PAUSE_NS = 1_000, 50_000
TIME_AT = 32  # in a sample: after header, id, ip and tid


def big_bundle(folder: Path, packets: int, queues: int = 1, policy: str = "base") -> Path:
    """Write Poisson requests, 200,000 a second, into `folder`/big.trace; beside it, its host.

    Chunk by chunk: 18 bytes a packet.
    """
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


def big_recording(path: Path, events: int) -> Path:
    """Write perf.data of so many events or a few more: requests, each served by a thread."""
    scene, end = Scene(edit_format=printed), 0
    for number in range(EXCHANGES):
        end = scene.exchange(end + PAUSE_NS, flow=number % 100)
    block = np.frombuffer(b"".join(scene.records), np.uint8)
    sizes = [len(record) for record in scene.records]
    times = np.cumsum([0, *sizes[:-1]]) + TIME_AT
    copies = -(-events // len(sizes))
    scene.records = []
    whole = scene.build()
    start = int.from_bytes(whole[40:48], "little")
    head, tail = bytearray(whole[:start]), bytearray(whole[start:])
    head[48:56] = (copies * len(block)).to_bytes(8, "little")
    for place in range(0, 16 * len(scene.features | {1: b""}), 16):
        moved = int.from_bytes(tail[place : place + 8], "little") + copies * len(block)
        tail[place : place + 8] = moved.to_bytes(8, "little")
    with path.open("wb") as file:
        file.write(head)
        for copy in range(copies):
            file.write(later(block, times, copy * (end + PAUSE_NS)))
        file.write(tail)
    return path


def later(block: npt.NDArray[np.uint8], times: npt.NDArray[np.int64], shift: int) -> bytes:
    """Return records of perf.data, each `shift` ns later; times: where their times stand."""
    moved = block.copy()
    bytes_of_time = times[:, None] + np.arange(8)
    moved[bytes_of_time] = (
        (block[bytes_of_time].view("<u8") + np.uint64(shift)).view(np.uint8).reshape(-1, 8)
    )
    return moved.tobytes()
