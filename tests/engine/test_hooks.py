from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from replay.engine import compiler, hooks
from replay.engine.accelerate import interpreted
from replay.engine.hook_file import read_hooks
from replay.errors import PolicyError
from replay.units import NEVER

ROOT = Path(__file__).parent.parent.parent
THREE = Path("tests/engine/three_hooks.py")
EXAMPLE = Path("notebooks/adaptive_deferral.py")


def _at(first_ns: int, armed_ns: int, last_ns: int) -> int:
    return first_ns


def _after(timeout_ns: int, work: int, count: int) -> int:
    return timeout_ns


DEFAULTS = {"interrupt_at": _at, "after_poll": _after}

HOOK = "def after_poll(timeout_ns, work, count):\n"


def run_with(path: Path, *arguments: str, **environment: str) -> str:
    """Run Python in a process of its own where REPLAY_HOOKS names `path`; return its stdout."""
    variables = os.environ | {"REPLAY_HOOKS": str(path)} | environment
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_a_file_the_kernel_decides() -> None:
    kernels, own = read_hooks(None, DEFAULTS)
    assert own == []
    assert [plain(kernels[name]) for name in kernels] == list(DEFAULTS.values())


def plain(hook: object) -> object:
    return getattr(hook, "py_func", hook)


def test_a_file_decides_what_it_defines(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("FACTOR = 2\ndef _twice(value):\n    return FACTOR * value\n" + HOOK)
    with path.open("a") as file:
        file.write("    return _twice(timeout_ns) + work\n")
    found, own = read_hooks(path, DEFAULTS)
    assert own == ["after_poll"]
    assert plain(found["interrupt_at"]) is _at
    if interpreted():
        assert found["after_poll"](20, 3, 0) == 43
    else:
        assert len(found["after_poll"].nopython_signatures) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": defines none of interrupt_at, after_poll"),
        ("LIMIT = 3\n", ": defines none of interrupt_at, after_poll"),
        ("def x(:\n", ":1: invalid syntax"),
        ("\n\0", ":1: source code string cannot contain null bytes"),
        ("import nothing_of_that_name\n", ":1: ModuleNotFoundError: No module named 'nothing"),
        ("def f():\n    1 // 0\n\nf()\n", ":2: ZeroDivisionError"),
        ("def afterpoll():\n    pass\n", ":1: afterpoll is none of interrupt_at, after_poll; did"),
        ("\ndef after_poll(a, b):\n    pass\n", ":2: after_poll(a, b) must be after_poll(timeout"),
        ("after_poll = 3\n", ": after_poll is no plain function"),
        (HOOK + "    raise ValueError\n", ":2: hooks cannot raise or assert"),
        (HOOK + "    assert work\n    return 0\n", ":2: hooks cannot raise or assert"),
    ],
)
def test_one_line_for_what_is_no_hook(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(PolicyError) as raised:
        read_hooks(path, DEFAULTS)
    assert str(raised.value).startswith(f"{path}{message}")
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(interpreted(), reason="nothing is compiled")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("    return timeout_ns / 2\n", ":1: after_poll returns float64, a whole number"),
        ("    if work:\n        return 1\n", ":1: after_poll returns OptionalType(int64)"),
        ("    return work.bar\n", ":2: after_poll cannot be compiled, only arithmetic"),
        ("    return nowhere(work)\n", ":1: after_poll cannot be compiled, only arithmetic"),
        ("    many = [work]\n    return len(many)\n", ":2: after_poll cannot be compiled"),
        ("    import math\n    return 0\n", ":2: after_poll cannot be compiled"),
    ],
)
def test_one_line_for_what_cannot_be_compiled(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HOOK + text)
    with pytest.raises(PolicyError) as raised:
        read_hooks(path, DEFAULTS)
    assert str(raised.value).startswith(f"{path}{message}")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_missing() -> None:
    with pytest.raises(PolicyError, match=r"^none\.py: cannot be read: No such file or directory$"):
        read_hooks(Path("none.py"), DEFAULTS)


def test_answers_are_kept_within_what_can_happen(tmp_path: Path) -> None:
    path = tmp_path / "wild.py"
    path.write_text(
        "def interrupt_at(first_ns, armed_ns, last_ns):\n    return first_ns\n"
        "def after_poll(timeout_ns, work, count):\n    return timeout_ns\n"
        "def found_nothing(spun_ns):\n    return spun_ns\n"
    )
    text = (
        "from replay.engine import hooks as h;"
        f"print(h.interrupt_at(3, 7, 0), h.interrupt_at(9, 7, 0),"
        f"h.interrupt_at({NEVER + 5}, 7, 0),"
        "h.after_poll(-1, 0, 0), h.after_poll(10**12, 0, 0), h.after_poll(5, 0, 0),"
        "h.found_nothing(-5), h.found_nothing(10**12), h.found_nothing(4), h.DECIDES)"
    )
    said = run_with(path, "-c", text, NUMBA_DISABLE_JIT="1")
    assert said == (
        f"7 9 {NEVER} 0 {hooks.LONGEST} 5 0 {hooks.LONGEST} 4"
        " ['interrupt_at', 'after_poll', 'found_nothing']\n"
    )


def test_only_what_calls_hooks_is_compiled_anew_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HOOK + "    return 1\n")
    monkeypatch.setattr(compiler, "HOOKS", str(path))
    for name in ("replay.engine.general.run", "replay.engine.hooks", "replay_hooks_mine"):
        assert compiler._hooks_of(type("F", (), {"__module__": name})) == str(path)
    for name in ("replay.engine.thread", "replay.ingest.pcap"):
        assert compiler._hooks_of(type("F", (), {"__module__": name})) == ""
    before, without = compiler._sources_hash(str(path)), compiler._sources_hash("")
    assert before == compiler._sources_hash(str(path)) != without
    path.write_text(HOOK + "    return 2\n")
    assert compiler._sources_hash(str(path)) not in (before, without)


@pytest.mark.parametrize(
    ("path", "reached"),
    [(THREE, "after_poll found_nothing interrupt_at\n"), (EXAMPLE, "after_poll\n")],
)
def test_equals_the_reference(path: Path, reached: str) -> None:
    """Enough examples to reach every hook: hypothesis draws others where any source changes."""
    assert run_with(path, "-m", "tests.engine.hooked", "120", NUMBA_DISABLE_JIT="1") == reached


def test_compiled_it_equals_the_reference_and_the_next_process_loads_it() -> None:
    """The entry of the general engine, with these hooks in it: a hit is counted, and no miss."""
    text = (
        "import sys; sys.argv = ['', '{}']; from tests.engine import hooked;"
        "from replay.engine.general.run import run;"
        "print(sum(run.stats.cache_hits.values()), sum(run.stats.cache_misses.values()))"
    )
    first, second = (
        run_with(THREE, "-c", text.format(examples), NUMBA_DISABLE_JIT="0").splitlines()
        for examples in (100, 1)
    )
    assert first[0] == "after_poll found_nothing interrupt_at"
    assert second[-1] == "1 0"
