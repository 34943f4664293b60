"""Peak memory of a what-if on a trace that is larger than memory should be.

REPLAY_BIG_PACKETS says how many packets, 50 million where it does not. A billion need 18 GB for the
bundle and as much in TMPDIR while they are replayed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.big import big_bundle

PACKETS_OFFERED = int(float(os.environ.get("REPLAY_BIG_PACKETS", "50e6")))
MOST_BYTES = 1_000_000_000
REPLAY = [sys.executable, "-c", "import sys; from replay.cli import main; sys.exit(main())"]


@pytest.mark.parametrize("queues", [1, 4])
def test_peak_memory(benchmark: Any, tmp_path: Path, queues: int) -> None:
    trace = big_bundle(tmp_path, PACKETS_OFFERED, queues)
    command = [
        *REPLAY,
        *("whatif", str(trace), "--host", str(tmp_path / "host.toml")),
        *("--policy", "base", "--policy", "suspend20"),
    ]
    benchmark.pedantic(subprocess.run, (command,), {"check": True}, rounds=1)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    benchmark.extra_info["peak_bytes"] = peak
    benchmark.extra_info["packets_per_s"] = 3 * PACKETS_OFFERED / benchmark.stats["mean"]
    assert peak < MOST_BYTES
