"""What `replay capture` asks of perf, ethtool and tcpdump: small programs that stand for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from replay import capture as module
from replay.capture import ALL_RINGS_MB, EVENTS, capture, perf_command
from replay.cli import run
from replay.errors import TraceError
from replay.ingest.ingest import Summary

PERF = """#!/bin/sh
echo "$@" > "$WORDS"
while [ $# -gt 0 ]; do
  case "$1" in
    -o) out="$2"; shift 2 ;;
    --) shift; break ;;
    *) shift ;;
  esac
done
printf recorded > "$out"
"$@"
"""
ETHTOOL = """#!/bin/sh
case "$1" in
  -c|-S|-i) echo "said $1 $2" ;;
  *) exit 1 ;;
esac
"""
TCPDUMP = """#!/bin/sh
while [ "$1" != -w ]; do shift; done
printf packets > "$2"
exec sleep 60
"""


@pytest.fixture
def ingested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A host with these tools, of which root asks; what would be ingested."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("perf", PERF), ("ethtool", ETHTOOL), ("tcpdump", TCPDUMP)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    for name in ("sh", "sleep", "cat"):
        (tools / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("WORDS", str(tmp_path / "words"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    calls: list[dict[str, Any]] = []

    def ingest(files: list[Path], output: Path, **options: Any) -> Summary:
        texts = {path.name: path.read_text() for path in files}
        calls.append({"files": texts, "output": output, **options})
        return Summary(Path(output))

    monkeypatch.setattr(module, "ingest", ingest)
    return calls


def test_settings_and_counters_stand_around_the_recording(
    tmp_path: Path, ingested: list[dict[str, Any]]
) -> None:
    mark = tmp_path / "ran"
    command = ["sh", "-c", f": > {mark}; exit 3"]
    summary = capture("lo", command, tmp_path / "x.trace", policy="base", keep=tmp_path / "kept")
    (call,) = ingested
    assert mark.exists()
    files = call["files"]
    assert next(iter(files)) == "perf.data"
    assert files["perf.data"] == "recorded"
    assert files["coalescing.txt"] == "said -c lo\n"
    assert files["driver.txt"] == "said -i lo\n"
    before, after = files["statistics.before"], files["statistics.after"]
    assert before.splitlines()[1] == after.splitlines()[1] == "said -S lo"
    assert 0 < float(before.splitlines()[0]) <= float(after.splitlines()[0])
    assert (call["device"], call["policy"]) == ("lo", "base")
    assert summary.inferred == ["the command ended with status 3"]
    assert any(line.startswith("ring: ethtool -g lo") for line in summary.lost)
    assert any("ynl is not installed" in line for line in summary.lost)
    assert (tmp_path / "kept" / "perf.data").read_text() == "recorded"
    words = (tmp_path / "words").read_text().split()
    assert "--" in words
    for event in EVENTS:
        assert event in words
    assert words[words.index("-k") + 1] == "CLOCK_MONOTONIC"


def test_packets_are_captured_beside(tmp_path: Path, ingested: list[dict[str, Any]]) -> None:
    capture("lo", ["cat", "/dev/null"], tmp_path / "x.trace", packets=True)
    assert ingested[0]["files"]["packets.pcap"] == "packets"


def test_rings_of_many_cpus_fit_into_memory() -> None:
    for cpus, ring in ((1, "128M"), (32, "128M"), (64, "64M"), (100, "32M"), (9_999, "1M")):
        words = perf_command(Path("x"), cpus)
        assert words[words.index("-m") + 1] == ring
        assert int(ring[:-1]) == 1 or int(ring[:-1]) * cpus <= ALL_RINGS_MB


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["eth-none", "-o", "x.trace", "--", "true"], "interface 'eth-none' is none of"),
        (["lo", "-o", "here", "--", "true"], "here: already exists"),
    ],
)
def test_what_cannot_be_recorded_is_said_first(
    tmp_path: Path,
    ingested: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert run(["capture", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"replay: {says}")
    assert not ingested


def test_root_and_tools_are_needed(
    tmp_path: Path, ingested: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(TraceError, match="needs root"):
        capture("lo", ["true"], tmp_path / "x.trace")
    (tmp_path / "tools" / "perf").unlink()
    with pytest.raises(TraceError, match="perf is missing"):
        capture("lo", ["true"], tmp_path / "x.trace")
    with pytest.raises(TraceError, match="no command"):
        capture("lo", [], tmp_path / "x.trace")


def test_a_perf_that_fails_says_why(tmp_path: Path, ingested: list[dict[str, Any]]) -> None:
    (tmp_path / "tools" / "perf").write_text("#!/bin/sh\necho 'event syntax error' >&2\nexit 129\n")
    with pytest.raises(TraceError, match="perf record failed: event syntax error"):
        capture("lo", ["true"], tmp_path / "x.trace")
    (tmp_path / "tools" / "tcpdump").write_text("#!/bin/sh\necho 'no such device' >&2\nexit 1\n")
    with pytest.raises(TraceError, match="tcpdump failed: no such device"):
        capture("lo", ["true"], tmp_path / "x.trace", packets=True)
    assert not ingested
