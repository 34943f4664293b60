"""Peak memory of a what-if, and of reading kernel events, on what is larger than memory should be.

REPLAY_BIG_PACKETS says how many packets, 50 million where it does not. A billion need 18 GB for the
bundle and as much in TMPDIR while they are replayed. REPLAY_BIG_EVENTS says how many events, 11
million where it does not; each takes 100 bytes in a perf.data file and 140 as text, and 20 in a
capture beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.big import big_bundle, big_capture, big_recording

PACKETS_OFFERED = int(float(os.environ.get("REPLAY_BIG_PACKETS", "50e6")))
_TELL = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
EVENTS_RECORDED = int(float(os.environ.get("REPLAY_BIG_EVENTS", "11e6")))
MOST_BYTES = 1_000_000_000
MOST_BYTES_INGESTED = 200_000_000
REPLAY = [sys.executable, "-c", "import sys; from replay.cli import main; sys.exit(main())"]


@pytest.mark.parametrize("queues", [1, 4])
def test_peak_memory(benchmark: Any, tmp_path: Path, queues: int) -> None:
    trace = big_bundle(tmp_path, PACKETS_OFFERED, queues)
    command = [
        *REPLAY,
        *("whatif", str(trace), "--host", str(tmp_path / "host.toml")),
        *("--policy", "base", "--policy", "suspend20"),
    ]
    peak = benchmark.pedantic(_peak, (command,), rounds=1)
    benchmark.extra_info["peak_bytes"] = peak
    benchmark.extra_info["packets_per_s"] = 3 * PACKETS_OFFERED / benchmark.stats["mean"]
    assert peak < MOST_BYTES


@pytest.mark.parametrize("form", ["perf.data", "text"])
def test_peak_memory_of_kernel_events(benchmark: Any, tmp_path: Path, form: str) -> None:
    source = big_recording(tmp_path / "perf.data", EVENTS_RECORDED)
    few = big_recording(tmp_path / "few.data", 1)
    if form == "text":
        if not shutil.which("perf"):
            pytest.skip("perf is not installed")
        source, few = (_printed(it) for it in (source, few))
    _ingest_peak(few)  # compiles
    peak = benchmark.pedantic(_ingest_peak, (source,), rounds=1)
    benchmark.extra_info["peak_bytes"] = peak
    benchmark.extra_info["events_per_s"] = EVENTS_RECORDED / benchmark.stats["mean"]
    assert peak < MOST_BYTES_INGESTED


def test_peak_memory_of_a_join(benchmark: Any, tmp_path: Path) -> None:
    pairs = [
        (
            big_recording(tmp_path / f"{name}.data", events),
            big_capture(tmp_path / f"{name}.pcap", events),
        )
        for name, events in (("many", EVENTS_RECORDED), ("few", 1))
    ]
    _ingest_peak(*pairs[1])  # compiles
    peak = benchmark.pedantic(_ingest_peak, pairs[0], rounds=1)
    benchmark.extra_info["peak_bytes"] = peak
    benchmark.extra_info["events_per_s"] = EVENTS_RECORDED / benchmark.stats["mean"]
    assert peak < MOST_BYTES_INGESTED


def _printed(source: Path) -> Path:
    """Print a recording as perf does."""
    text = source.with_suffix(".txt")
    with text.open("wb") as file:
        command = ["perf", "script", "--ns", "-i", str(source)]
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=True)
    return text


def _ingest_peak(*sources: Path) -> int:
    """Ingest in a process of its own; return its peak memory, bytes."""
    bundle = sources[0].with_suffix(".trace")
    shutil.rmtree(bundle, ignore_errors=True)
    return _peak([*REPLAY, "ingest", *map(str, sources), "-o", str(bundle)])


def _peak(command: list[str]) -> int:
    """Run a command and return its peak memory, bytes."""
    # A process's peak begins with that of the one that started it: a small one does.
    told = subprocess.run([sys.executable, "-c", _TELL, *command], check=True, capture_output=True)
    return int(told.stdout.split()[-1]) << 10
