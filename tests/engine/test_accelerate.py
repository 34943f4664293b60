"""Parts: compiled into their callers, and found again by callers of another process."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from enum import Enum
from pathlib import Path

import numpy as np
import pytest

from replay.engine.compiler import compiled_sources

PARTS = """
from replay.engine.accelerate import jit, jit_inline, jit_inside

@jit_inline
def twice(number):
    return 2 * number

@jit_inside
def countdown(number):
    steps = 0
    while number > 0:
        number -= twice(1)
        steps += 1
    return steps

@jit
def steps_to(number):
    return countdown(number)

@jit
def steps_beyond(number):
    return countdown(twice(number)) + 1
"""

ASKED = """
import sys
import parts

print(getattr(parts, sys.argv[1])(10), sum(parts.countdown.stats.cache_hits.values()))
for part in parts.countdown.overloads.values():
    assert not part.library.get_pointer_to_function(part.fndesc.llvm_func_name)
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_another_process_links_the_parts_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "asked.py").write_text(ASKED)
    places = [str(tmp_path), str(Path(__file__).parents[2])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(places),
        "REPLAY_CACHE": str(tmp_path / "cache"),
    }
    answers = [
        subprocess.run(
            [sys.executable, "asked.py", function],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for function in ("steps_to", "steps_beyond", "steps_beyond")
    ]
    assert answers == [["5", "0"], ["11", "1"], ["11", "0"]]


ADDED = """
import numpy as np
from replay.engine.accelerate import jit
from replay.engine.intrinsics import LINE, add_line

@jit
def added(numbers, to, line):
    add_line(numbers, to, line)

numbers = np.arange(3 * LINE)
added(numbers, 2 * LINE - 1, 3)
print(*numbers)
"""


@pytest.mark.parametrize("interpreted", ["0", "1"])
def test_a_line_is_added_wherever_it_lies(tmp_path: Path, interpreted: str) -> None:
    answer = _answer(tmp_path, ADDED, interpreted)
    numbers = list(range(24))
    numbers[15:23] = [sum(pair) for pair in zip(numbers[15:23], numbers[3:11], strict=True)]
    assert answer == [str(number) for number in numbers]


def _answer(folder: Path, script: str, interpreted: str) -> list[str]:
    """Return the words that a script of its own process prints, compiled or interpreted."""
    (folder / "script.py").write_text(script)
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "REPLAY_CACHE": str(folder / "cache"),
        "NUMBA_DISABLE_JIT": interpreted,
    }
    command = [sys.executable, str(folder / "script.py")]
    run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return run.stdout.split()


ALONE = """
import sys

import numpy as np

from replay.engine.accelerate import jit, jit_in_place

@jit_in_place
def halves(numbers, by, rest):
    for i in range(len(numbers)):
        rest[i] = numbers[i] % by
        numbers[i] //= by
    return numbers[0], float(len(numbers)), True

@jit
def copied(numbers):
    return np.concatenate((numbers, numbers))

numbers, rest = np.arange(6).reshape(3, 2)[:, 1], np.zeros(3, np.int32)
print(*halves(numbers, 2, rest), numbers.tolist(), rest.tolist())
try:
    halves(numbers, 0, rest)
except ZeroDivisionError as error:
    print(error)
hits = sum(halves.stats.cache_hits.values())
if sys.argv[1:]:  # to compile is possible, too
    print(copied(numbers).tolist())
print(hits)
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_a_function_that_allocates_nothing_is_loaded_alone(tmp_path: Path) -> None:
    (tmp_path / "alone.py").write_text(ALONE)
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "REPLAY_CACHE": str(tmp_path / "cache"),
    }

    def run(*asked: str) -> list[str]:
        command = [sys.executable, "alone.py", *asked]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.splitlines()

    first = ["0 3.0 True [0, 1, 2] [1, 1, 1]", "integer modulo by zero"]
    assert run() == [*first, "0"]
    assert run() == [*first, "1"]
    assert run("compile") == [*first, "[0, 1, 2, 0, 1, 2]", "1"]


COLLECTED = """
import gc
from numba import types
from numba.extending import intrinsic
from replay.engine.accelerate import jit_here

seen = []

@intrinsic
def look(typing, value):
    seen.append(gc.isenabled())
    return types.void(value), lambda *rest: None

@jit_here
def called():
    look(1)

@jit_here
def calls():
    called()
    look(1.0)

calls()
print(any(seen), len(seen) > 1, gc.isenabled())
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_no_garbage_is_collected_while_a_function_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "collected.py").write_text(COLLECTED)
    command = [sys.executable, str(tmp_path / "collected.py")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert answer.stdout.split() == ["False", "True", "True"]


def test_a_change_of_any_number_that_is_compiled_in_is_noticed() -> None:
    """The cache holds machine code with the numbers that other files name."""
    hashed = {str(path) for path in compiled_sources()}
    for path in compiled_sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not str(node.module).startswith("replay."):
                continue
            source = importlib.import_module(str(node.module))
            for name in (alias.name for alias in node.names):
                value = getattr(source, name, None)
                number = type(value) is int or (isinstance(value, type) and issubclass(value, Enum))
                assert not number or str(source.__file__) in hashed, (path, name)


FOLDED = """
import numpy as np
from replay.engine.accelerate import jit
from replay.engine.intrinsics import folded

@jit
def fold(one, other):
    return folded(one, other)

for one, other in ((3, 5), (-3, 5), (2**62 + 1, 2**61 + 7), (-(2**63), 2**63 - 1)):
    print(fold(np.int64(one), np.int64(other)))
"""


@pytest.mark.parametrize("interpreted", ["0", "1"])
def test_the_halves_of_a_product_are_folded(tmp_path: Path, interpreted: str) -> None:
    answer = _answer(tmp_path, FOLDED, interpreted)
    pairs = ((3, 5), (-3, 5), (2**62 + 1, 2**61 + 7), (-(2**63), 2**63 - 1))
    products = [(one * other).to_bytes(16, "little", signed=True) for one, other in pairs]
    halves = [np.frombuffer(it, np.int64) for it in products]
    assert answer == [str(lower ^ upper) for lower, upper in halves]
