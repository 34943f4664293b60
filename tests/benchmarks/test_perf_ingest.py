"""How fast perf.data becomes tables, beside what `cat` and `perf script` take in the same run.

Ratios are what to compare between machines and days; run with
`pytest -n 0 --benchmark-only tests/benchmarks/test_perf_ingest.py`.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from replay.ingest.perf import read_perf
from tests.ingest.perf_builder import Scene, text_feature

EXCHANGES = 1_000
COPIES = 200
EVENTS_PER_EXCHANGE = 11
EVENTS = EXCHANGES * COPIES * EVENTS_PER_EXCHANGE
ROUNDS = 7


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
    scene.records = [_later(block, times, copy * (end + 50_000)) for copy in range(COPIES)]
    path = tmp_path_factory.mktemp("recordings") / "large.data"
    scene.write(path)
    yield path
    path.unlink()


def _later(block: np.ndarray, times: np.ndarray, shift: int) -> bytes:
    """Return the records of `block`, each `shift` ns later."""
    moved = block.copy()
    bytes_of_time = times[:, None] + np.arange(8)
    moved[bytes_of_time] = (
        (block[bytes_of_time].view("<u8") + np.uint64(shift)).view(np.uint8).reshape(-1, 8)
    )
    return moved.tobytes()


def test_read_perf(benchmark: Any, recording: Path) -> None:
    read_perf(recording)  # compiles
    read = benchmark.pedantic(read_perf, (recording,), rounds=ROUNDS)
    assert read.manifest["recorded_events"]["total"] == EVENTS
    assert len(read.tables["packets"]) == 2 * EXCHANGES * COPIES
    best = benchmark.stats.stats.min
    benchmark.extra_info["events_per_s"] = round(EVENTS / best)
    benchmark.extra_info["times_cat"] = round(best / _best(["cat", str(recording)]), 2)
    if shutil.which("perf"):
        text = _best(["perf", "script", "--ns", "-i", str(recording)], 3)
        benchmark.extra_info["faster_than_perf_script"] = round(text / best, 1)


def _best(command: list[str], rounds: int = 5) -> float:
    """Return the shortest of several runs, s."""

    def once() -> float:
        start = perf_counter()
        nowhere = subprocess.DEVNULL
        subprocess.run(command, stdout=nowhere, stderr=nowhere, check=True)
        return perf_counter() - start

    return min(once() for _ in range(rounds))
