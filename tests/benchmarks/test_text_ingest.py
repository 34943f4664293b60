"""How fast the text of kernel events becomes points, beside perf script's printing of it.

Ratios are what to compare between machines and days; run with
`pytest -n 0 --benchmark-only tests/benchmarks/test_text_ingest.py`.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pytest

from replay.ingest.recording import Recording
from replay.ingest.stream import Stream
from replay.ingest.text import read_text
from tests.benchmarks.big import later
from tests.ingest.perf_builder import Scene
from tests.ingest.perf_prints import printed

EXCHANGES, COPIES, LINES_PER_EXCHANGE = 1_000, 100, 11
LINES = EXCHANGES * COPIES * LINES_PER_EXCHANGE
ROUNDS = 7


def read(path: Path) -> Recording:
    with Stream(path) as stream:
        return read_text(stream)


@pytest.mark.skipif(not shutil.which("perf"), reason="perf is not installed")
def test_read_text(benchmark: Any, tmp_path: Path) -> None:
    scene = Scene(edit_format=printed)
    end = 0
    for number in range(EXCHANGES):
        end = scene.exchange(end + 50_000, flow=number % 100)
    block = np.frombuffer(b"".join(scene.records), np.uint8)
    times = np.cumsum([0, *(len(record) for record in scene.records[:-1])]) + 32
    scene.records = [later(block, times, copy * (end + 50_000)) for copy in range(COPIES)]
    data, text = scene.write(tmp_path / "perf.data"), tmp_path / "perf.txt"
    read_once = ["perf", "script", "--ns", "-i", str(data)]
    with text.open("wb") as file:
        subprocess.run(read_once, stdout=file, stderr=subprocess.DEVNULL, check=True)
    read(text)  # compiles
    seconds: dict[str, list[float]] = {"read": [], "read cpu": [], "perf script": [], "wc": []}
    for _ in range(ROUNDS):  # in turn: neighbours disturb all of them alike
        start, busy = perf_counter(), process_time()
        found = read(text)
        seconds["read"].append(perf_counter() - start)
        seconds["read cpu"].append(process_time() - busy)
        seconds["perf script"].append(_cpu(read_once))
        seconds["wc"].append(_cpu(["wc", "-l", str(text)]))
    assert len(found.points.time) == LINES
    benchmark.pedantic(read, (text,), rounds=1)
    best = {name: min(taken) for name, taken in seconds.items()}
    benchmark.extra_info["lines_per_s"] = round(LINES / best["read"])
    benchmark.extra_info["lines_per_cpu_s"] = round(LINES / best["read cpu"])
    benchmark.extra_info["perf_script_lines_per_cpu_s"] = round(LINES / best["perf script"])
    benchmark.extra_info["faster_than_perf_script"] = round(best["perf script"] / best["read"], 1)
    benchmark.extra_info["cpu_of_perf_script"] = round(best["perf script"] / best["read cpu"], 1)
    benchmark.extra_info["times_wc"] = round(best["read"] / best["wc"], 1)


def _cpu(command: list[str]) -> float:
    """Return the CPU time of a command, s."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    nowhere = subprocess.DEVNULL
    subprocess.run(command, stdout=nowhere, stderr=nowhere, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
