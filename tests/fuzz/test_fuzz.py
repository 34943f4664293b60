"""A short run of every fuzz target, as plain Python: NumPy checks every index."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS

INPUTS = 400


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_keep_what_must_hold(target: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.fuzz", target, "--inputs", str(INPUTS)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert f"{target}: {INPUTS} inputs" in run.stdout


def test_inputs_are_the_same_every_time() -> None:
    seeds = [bytes(range(100)), b"abc"]
    inputs = [mutated(seeds, 1, number) for number in range(200)]
    assert inputs == [mutated(seeds, 1, number) for number in range(200)]
    assert inputs != [mutated(seeds, 2, number) for number in range(200)]
    assert len(set(inputs)) > 150
