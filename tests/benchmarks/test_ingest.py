"""How fast captures become bundles, beside what `cat`, `cp` and tcpdump take in the same run.

Ratios are what to compare between machines and days; run with
`pytest -n 0 --benchmark-only tests/benchmarks/test_ingest.py`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from replay.ingest.ingest import ingest
from tests.benchmarks.exchanges import FULL, PACKETS_PER_EXCHANGE, write_exchanges

EXCHANGES = 1_000_000
FULL_EXCHANGES = 133_333
TCPDUMP_EXCHANGES = 50_000
ROUNDS = 7
MOST_BYTES = 200_000_000
REPLAY = [sys.executable, "-c", "import sys; from replay.cli import main; main()", "ingest"]


@pytest.fixture(scope="module", params=["pcap", "pcapng"])
def capture(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three million packets, cut at 96 bytes, of 20,000 connections: about 300 MB."""
    path = tmp_path_factory.mktemp("captures") / f"large.{request.param}"
    write_exchanges(path, EXCHANGES, pcapng=request.param == "pcapng")
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def full_frames(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """400,000 packets of 1514 bytes, all captured: about 600 MB."""
    path = tmp_path_factory.mktemp("captures") / "full.pcap"
    write_exchanges(path, FULL_EXCHANGES, kind=FULL)
    yield path
    path.unlink()


def test_ingest(benchmark: Any, capture: Path, tmp_path: Path) -> None:
    _ingest(benchmark, capture, tmp_path / "large.trace", EXCHANGES)


def test_full_frames(benchmark: Any, full_frames: Path, tmp_path: Path) -> None:
    _ingest(benchmark, full_frames, tmp_path / "full.trace", FULL_EXCHANGES)


def _ingest(benchmark: Any, capture: Path, output: Path, exchanges: int) -> None:
    """Measure how long a capture takes, beside others."""

    def absent() -> None:
        shutil.rmtree(output, ignore_errors=True)

    summary = benchmark.pedantic(
        ingest, ([capture], output), setup=absent, rounds=ROUNDS, warmup_rounds=1
    )
    assert summary.path == output
    _compare(benchmark, capture, exchanges * PACKETS_PER_EXCHANGE)


def test_a_dozen_packets(benchmark: Any, tmp_path: Path) -> None:
    """The whole command, and how many times as long as an empty Python process it takes."""
    source, output = tmp_path / "dozen.pcap", tmp_path / "dozen.trace"
    write_exchanges(source, 4)

    def absent() -> None:
        shutil.rmtree(output, ignore_errors=True)

    command = [*REPLAY, str(source), "-o", str(output)]
    benchmark.pedantic(_run, (command,), setup=absent, rounds=3 * ROUNDS, warmup_rounds=1)
    empty = _best(lambda: _run([sys.executable, "-c", "pass"]))
    benchmark.extra_info["times_python"] = round(benchmark.stats.stats.min / empty, 1)


@pytest.mark.parametrize("piped", [False, True])
def test_peak_memory(benchmark: Any, capture: Path, tmp_path: Path, piped: bool) -> None:
    command = [*REPLAY, "-" if piped else str(capture), "-o", str(tmp_path / "large.trace")]
    with capture.open("rb") as source:  # compiles, which takes more memory
        subprocess.run(command, stdin=source, check=True, stdout=subprocess.DEVNULL)
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    shutil.rmtree(tmp_path / "large.trace")
    with capture.open("rb") as source:
        measured = [sys.executable, "-c", code, *command]
        found = benchmark.pedantic(
            subprocess.run,
            (measured,),
            {"stdin": source, "check": True, "stdout": subprocess.PIPE},
            rounds=1,
        )
    peak = int(found.stdout) << 10
    benchmark.extra_info["peak_bytes"] = peak
    assert peak < MOST_BYTES


def _compare(benchmark: Any, capture: Path, packets: int) -> None:
    """Say packets a second, and how many times as long as others the best round took."""
    best = benchmark.stats.stats.min
    benchmark.extra_info["packets_per_s"] = round(packets / best)
    cat = _best(lambda: _run(["cat", str(capture)]))
    copy = capture.with_suffix(".copy")
    cp = _best(lambda: _run(["cp", str(capture), str(copy)]))
    copy.unlink()
    benchmark.extra_info["times_cat"] = round(best / cat, 2)
    benchmark.extra_info["times_cp"] = round(best / cp, 2)
    if shutil.which("tcpdump"):
        small = capture.with_suffix(".small")
        write_exchanges(small, TCPDUMP_EXCHANGES)
        each = _best(lambda: _run(["tcpdump", "-n", "-tt", "-r", str(small)]))
        small.unlink()
        ratio = each / (TCPDUMP_EXCHANGES * PACKETS_PER_EXCHANGE) / (best / packets)
        benchmark.extra_info["faster_than_tcpdump"] = round(ratio, 1)


def _best(call: Callable[[], None]) -> float:
    def once() -> float:
        start = perf_counter()
        call()
        return perf_counter() - start

    return min(once() for _ in range(5))


def _run(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
