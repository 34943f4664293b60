"""Bundles and recordings of as many packets and events as the disk holds."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.host import GENERIC, write_host
from replay.trace.bundle import bundle_writer, write_manifest, write_table
from replay.trace.schema import PACKETS, TABLES
from tests.ingest.captures import ACK, PSH, Conversation, Packet, pcap
from tests.ingest.perf_builder import Scene
from tests.ingest.perf_prints import printed

CHUNK = 1 << 20
GAP_NS = 5_000

EXCHANGES, PAUSE_NS, FLOWS = 1_000, 50_000, 100
TIME_AT = 32  # in a sample: after header, id, ip and tid
#: Bytes of a request and an answer of Scene.exchange; when they are captured, from its start on.
SIZES, CAPTURED_NS = (21, 67), (3_500, 10_500)
#: In a captured Ethernet frame with a TCP segment: where the sequence number stands.
SEQUENCE_AT = 38
WALL_NS = 1_700_000_000 * 10**9


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
    clock = {29: struct.pack("<IIQQ", 1, 1, WALL_NS, Scene.origin)}
    scene, end = Scene(edit_format=printed, features=clock), 0
    for number in range(EXCHANGES):
        end = scene.exchange(end + PAUSE_NS, flow=number % FLOWS)
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


def big_capture(path: Path, events: int) -> Path:
    """Write the capture of the same requests and answers as `big_recording` does."""
    talks = [Conversation(40_000 + flow) for flow in range(FLOWS)]
    scene, end, frames = Scene(), 0, []
    for number in range(EXCHANGES):
        begin, end = end + PAUSE_NS, scene.exchange(end + PAUSE_NS)
        for side, size, after in zip((True, False), SIZES, CAPTURED_NS, strict=True):
            segment = talks[number % FLOWS].segment(side, size, ACK | PSH)
            frames.append((begin + after, segment))
    copies = -(-events // len(scene.records))
    times = np.array([time for time, _ in frames])
    sent = np.tile(SIZES, EXCHANGES) * (EXCHANGES // FLOWS)
    rows = [np.frombuffer(pcap([Packet(0, frame)])[24:], np.uint8) for _, frame in frames]
    starts = np.cumsum([0, *map(len, rows[:-1])])
    block = np.concatenate(rows)
    first = read_numbers(block, starts + 16 + SEQUENCE_AT, ">u4")
    with path.open("wb") as file:
        file.write(pcap([]))
        for copy in range(copies):
            at = WALL_NS + times + copy * (end + PAUSE_NS)
            put_numbers(block, starts, (at // 10**9).astype("<u4"))
            put_numbers(block, starts + 4, (at % 10**9).astype("<u4"))
            put_numbers(block, starts + 16 + SEQUENCE_AT, (first + copy * sent).astype(">u4"))
            file.write(block.tobytes())
    return path


def read_numbers(block: npt.NDArray[np.uint8], at: npt.NDArray[np.int64], form: str) -> Any:
    """Return the four-byte numbers that stand at these places."""
    return block[at[:, None] + np.arange(4)].copy().view(form)[:, 0].astype(np.int64)


def put_numbers(block: npt.NDArray[np.uint8], at: npt.NDArray[np.int64], numbers: Any) -> None:
    """Write four-byte numbers to these places."""
    block[at[:, None] + np.arange(4)] = numbers[:, None].view(np.uint8)


def later(block: npt.NDArray[np.uint8], times: npt.NDArray[np.int64], shift: int) -> bytes:
    """Return records of perf.data, each `shift` ns later; times: where their times stand."""
    moved = block.copy()
    bytes_of_time = times[:, None] + np.arange(8)
    moved[bytes_of_time] = (
        (block[bytes_of_time].view("<u8") + np.uint64(shift)).view(np.uint8).reshape(-1, 8)
    )
    return moved.tobytes()
