"""How fast perf.data becomes a bundle, beside what `cat` and `perf script` take in the same run.

Ratios are what to compare between machines and days; run with
`pytest -n 0 --benchmark-only tests/benchmarks/test_perf_ingest.py`.
"""

from __future__ import annotations

import resource
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pytest

from replay.ingest.ingest import ingest
from replay.ingest.perf_walk import COMPRESSED
from replay.trace.bundle import open_trace
from tests.benchmarks.big import later
from tests.ingest.perf_builder import Scene, ZstdCompressor, text_feature

EXCHANGES = 1_000
COPIES = 200
EVENTS_PER_EXCHANGE = 11
EVENTS = EXCHANGES * COPIES * EVENTS_PER_EXCHANGE
ROUNDS, IN_TURN = 7, 5
_PIECE, _LONGEST, _FLUSH = 1 << 20, 60_000, 1  # bytes; FLUSH_BLOCK


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """2.2 million samples of requests, each served in the NAPI thread and by a worker."""
    scene = Scene(features={3: text_feature("box")})
    end = 0
    for number in range(EXCHANGES):
        end = scene.exchange(end + 50_000, flow=number % 100)
    block = np.frombuffer(b"".join(scene.records), np.uint8)
    sizes = [len(record) for record in scene.records]
    times = np.cumsum([0, *sizes[:-1]]) + 32  # after header, id, ip and tid
    scene.records = [later(block, times, copy * (end + 50_000)) for copy in range(COPIES)]
    path = tmp_path_factory.mktemp("recordings") / "large.data"
    scene.write(path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def packed(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same, as perf record -z writes it."""
    data = recording.read_bytes()
    start, length = struct.unpack_from("<QQ", data, 40)
    compressor, made = ZstdCompressor(), bytearray()
    for at in range(start, start + length, _PIECE):
        body = compressor.compress(data[at : min(at + _PIECE, start + length)], _FLUSH)
        for part in range(0, len(body), _LONGEST):
            piece = body[part : part + _LONGEST]
            made += struct.pack("<IHH", COMPRESSED, 0, 8 + len(piece)) + piece
    moved = start + len(made) - (start + length)
    tail = bytearray(data[start + length :])
    features = sum(word.bit_count() for word in struct.unpack_from("<4Q", data, 72))
    for place in range(0, 16 * features, 16):
        struct.pack_into("<Q", tail, place, struct.unpack_from("<Q", tail, place)[0] + moved)
    head = bytearray(data[:start])
    struct.pack_into("<Q", head, 48, len(made))
    path = tmp_path_factory.mktemp("recordings") / "packed.data"
    path.write_bytes(bytes(head) + bytes(made) + bytes(tail))
    yield path
    path.unlink()


def test_perf_data_becomes_a_bundle(benchmark: Any, recording: Path, tmp_path: Path) -> None:
    best = _measure(benchmark, recording, tmp_path)
    benchmark.extra_info["times_cat"] = round(best / _best(["cat", str(recording)]), 2)
    if shutil.which("perf"):
        printing = ["perf", "script", "--ns", "-i", str(recording)]
        seconds: list[tuple[float, float, float, float]] = []
        for _ in range(IN_TURN):  # neighbours disturb both alike
            start, busy = perf_counter(), process_time()
            _once(recording, tmp_path)
            ours = perf_counter() - start, process_time() - busy
            start, before = perf_counter(), _children_cpu()
            _best(printing, 1)
            seconds.append((*ours, perf_counter() - start, _children_cpu() - before))
        wall, cpu, printed, printed_cpu = (float(it) for it in np.median(seconds, axis=0))
        benchmark.extra_info["faster_than_perf_script"] = round(printed / wall, 1)
        benchmark.extra_info["faster_by_cpu"] = round(printed_cpu / cpu, 1)


def _children_cpu() -> float:
    """Return the CPU time of processes that ended, s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_compressed_perf_data_becomes_a_bundle(
    benchmark: Any, packed: Path, tmp_path: Path
) -> None:
    _measure(benchmark, packed, tmp_path)


def _measure(benchmark: Any, source: Path, folder: Path) -> float:
    """Time the whole way to a bundle; return the shortest, s."""

    _once(source, folder)  # compiles
    benchmark.pedantic(_once, (source, folder), rounds=ROUNDS)
    trace = open_trace(folder / "a.trace")
    assert trace.manifest["recorded_events"]["total"] == EVENTS
    assert len(trace.packets) == 2 * EXCHANGES * COPIES
    best: float = benchmark.stats.stats.min
    benchmark.extra_info["events_per_s"] = round(EVENTS / best)
    return best


def _once(source: Path, folder: Path) -> None:
    shutil.rmtree(folder / "a.trace", ignore_errors=True)
    ingest([source], folder / "a.trace")


def _best(command: list[str], rounds: int = 5) -> float:
    """Return the shortest of several runs, s."""

    def once() -> float:
        start = perf_counter()
        nowhere = subprocess.DEVNULL
        subprocess.run(command, stdout=nowhere, stderr=nowhere, check=True)
        return perf_counter() - start

    return min(once() for _ in range(rounds))
