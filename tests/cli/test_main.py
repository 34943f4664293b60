from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from replay.cli import main, run
from tests.tiny import tiny_trace

HEAVY = {"numpy", "numba", "polars", "pyarrow", "altair"}
COMMANDS = ("ingest", "calibrate", "whatif", "policies")


def replay(
    *arguments: str, stdout: int | None = subprocess.PIPE, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    code = "from replay.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    )


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)])
def test_help_says_what_there_is_and_imports_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys; from replay.cli import run; status = run(sys.argv[1:]);"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"
    assert "Usage: " in done.stdout
    if not command:
        assert all(name in done.stdout for name in COMMANDS)


def test_policies_are_listed_without_anything_heavy_to_import() -> None:
    done = replay("policies")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines() if line][:2] == ["policy", "base"]
    assert done.stderr == ""


def test_a_full_disk_is_one_line_and_status_2() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = replay("policies", stdout=full)
    finally:
        os.close(full)
    assert done.returncode == 2
    assert done.stderr == "replay: output: No space left on device\n"


def test_an_error_of_the_system_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object, **__: object) -> str:
        raise OSError(errno.EIO, "Input/output error", "some.trace")

    monkeypatch.setattr("replay.report.policies.policy_list", failing)
    assert run(["policies"]) == 2
    assert capfd.readouterr().err == "replay: some.trace: Input/output error\n"


def test_the_exit_status_is_the_processs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["replay", "--nonsense"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2


def test_a_reader_that_goes_away_is_met_with_silence() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = replay("policies", stdout=writing)
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""


def test_an_interrupt_is_status_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("replay.whatif.what_if", interrupted)
    assert run(["whatif", str(tiny_trace(tmp_path).path)]) == 130
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_our_own_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object, **__: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("replay.report.policies.policy_list", faulty)
    with pytest.raises(ZeroDivisionError):
        run(["policies"])


def test_one_process_from_a_trace_to_a_table(tmp_path: Path) -> None:
    tiny_trace(tmp_path)
    done = replay("whatif", "--policy", "defer20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "defer20" in done.stdout
