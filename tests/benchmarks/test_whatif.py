"""The command line at its usual work: help, and a warm what-if of a million packets."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from replay.host import GENERIC, write_host
from replay.trace.bundle import write_trace
from replay.trace.schema import PACKETS

PACKETS_OFFERED = 1_000_000
REPLAY = [sys.executable, "-c", "import sys; from replay.cli import main; sys.exit(main())"]


def seconds(command: list[str]) -> float:
    """Return the best wall time of three runs."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        best = min(best, time.perf_counter() - start)
    return best


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a million Poisson requests at 200,000 a second."""
    folder = tmp_path_factory.mktemp("million")
    random = np.random.default_rng(1)
    arrival = np.cumsum(random.exponential(5_000, PACKETS_OFFERED)).astype(np.int64)
    columns = {field.name: pa.nulls(PACKETS_OFFERED, field.type) for field in PACKETS}
    columns["arrival_ns"] = pa.array(arrival)
    columns["service_ns"] = pa.array(np.full(PACKETS_OFFERED, 500))
    for name in ("kind", "status"):
        columns[name] = pa.array(np.zeros(PACKETS_OFFERED, np.uint8))
    write_trace(folder / "million.trace", {"policy": "base"}, {"packets": pa.table(columns)})
    write_host(folder / "host.toml", GENERIC)
    return folder


def test_help(benchmark: Any) -> None:
    benchmark.extra_info["ratio_to_python"] = seconds([*REPLAY, "--help"]) / seconds(
        [sys.executable, "-c", "pass"]
    )
    benchmark(subprocess.run, [*REPLAY, "--help"], check=True, capture_output=True)


def test_warm_whatif_of_a_million_packets(benchmark: Any, million: Path) -> None:
    command = [
        *REPLAY,
        *("whatif", str(million / "million.trace"), "--host", str(million / "host.toml")),
        *("--policy", "base", "--policy", "defer20", "--policy", "suspend20"),
    ]
    imports = [sys.executable, "-c", "import numba, pyarrow, numpy"]
    subprocess.run(command, check=True, capture_output=True)  # compiles where nothing is cached
    benchmark.extra_info["ratio_to_imports"] = seconds(command) / seconds(imports)
    benchmark(subprocess.run, command, check=True, capture_output=True)
