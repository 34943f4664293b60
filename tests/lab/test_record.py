"""The recording script: what it refuses, and, as root on request, a recording from end to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from replay.trace.bundle import open_trace
from replay.whatif import what_if

RECORD = Path(__file__).parents[2] / "traces" / "record.py"

bench = pytest.mark.skipif(
    not os.environ.get("REPLAY_BENCH"),
    reason="needs root, memcached, perf and a quiet machine for half a minute: REPLAY_BENCH=1",
)


def command(*options: str) -> list[str]:
    return [sys.executable, str(RECORD), *options]


def short(folder: Path) -> list[str]:
    """A run of a few seconds: two policies, one load, one repetition."""
    return command(
        *("--output", str(folder), "--policies", "base", "suspend20", "--rates", "10000"),
        *("--repetitions", "1", "--window", "0.5", "--retakes", "2"),
    )


def namespaces() -> str:
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout


def test_refuses_in_one_line_where_something_is_missing(tmp_path: Path) -> None:
    """Without root it is root, with root it is the programs that an empty PATH hides."""
    done = subprocess.run(
        command("--output", str(tmp_path)),
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("record.py: ")
    assert not any(tmp_path.iterdir())


@bench
@pytest.mark.root
def test_records_and_measures(tmp_path: Path) -> None:
    before = namespaces()
    subprocess.run(short(tmp_path), check=True, timeout=300)
    assert namespaces() == before
    (found,) = tmp_path.glob("*.trace")
    trace = open_trace(found)
    assert trace.manifest["policy"] == "base"
    assert trace.outcomes.num_rows
    assert trace.manifest["probe_ns"]["samples"] == 2
    result = what_if(trace, ["suspend20"])
    kinds = [row.kind for row in result.rows]
    assert kinds == ["measured", "model", "alternative", "measured", "bound"]


@bench
@pytest.mark.root
@pytest.mark.parametrize("after_s", [0.5, 3.0, 6.0])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_leaves_nothing_behind(tmp_path: Path, after_s: float, how: signal.Signals) -> None:
    before = namespaces()
    with subprocess.Popen(short(tmp_path), stderr=subprocess.PIPE, text=True) as running:
        time.sleep(after_s)
        running.send_signal(how)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 128 + how
    assert said.splitlines()[-1] == f"record.py: stopped by {how.name}"
    assert namespaces() == before
    assert not any(tmp_path.iterdir())
    for name in ("memcached -l 198.18", "replay.lab.spinner"):
        assert subprocess.run(["pgrep", "-f", name]).returncode == 1
