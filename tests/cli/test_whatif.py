from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from replay.cli import app, run
from replay.host import write_host
from tests.tiny import HOST, answer_by_rule, tiny_trace


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("replay.whatif.replay_island", answer_by_rule)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "traces").mkdir()
    tiny_trace(tmp_path / "traces")
    return tmp_path


def test_the_shortest_question_works_as_it_stands(folder: Path) -> None:
    done = CliRunner().invoke(app, ["whatif", "--policy", "suspend20"])
    assert done.exit_code == 0
    table, _, likely = done.stdout.partition("\n\n")
    policies = [line.split()[0] for line in table.splitlines() if line[0] != "#"]
    assert likely.startswith("# Likely: nine in ten draws")
    assert policies == ["policy", "base", "base", "suspend20", "suspend20", "zero-cost"]
    assert "note: trace traces/tiny.trace\n" in done.stderr
    assert all(line.startswith("note: ") for line in done.stderr.splitlines())


@pytest.mark.parametrize("form", ["table", "json", "tsv", "md"])
def test_data_alone_on_stdout_and_the_same_every_time(folder: Path, form: str) -> None:
    texts = {
        CliRunner().invoke(app, ["whatif", "--format", form, "--queues", "2"]).stdout
        for _ in range(2)
    }
    (text,) = texts
    assert "note:" not in text
    if form == "json":
        assert json.loads(text)["version"] == 1


def test_every_option_reaches_the_question(folder: Path) -> None:
    write_host(folder / "host.toml", HOST)
    options = (
        "--host host.toml --load 2 --queues 3 --indirection 1,1,2 --per-queue --arrivals closed"
        " --policy defer50:rx-usecs=8 --format json"
    )
    done = CliRunner().invoke(app, ["whatif", "traces/tiny.trace", *options.split()])
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert (data["arrivals"], data["host"]) == ("closed", "tiny-host")
    assert {row["load"] for row in data["rows"]} == {2.0}
    assert {row["queue"] for row in data["rows"]} >= {None, 0, 1, 2}
    assert "defer50:rx-usecs=8" in {row["policy"] for row in data["rows"]}


def test_every_place_reaches_the_question(folder: Path) -> None:
    options = (
        "--queues 4 --nic mlx5 --cpus 4 --workers 2 --irq-cpus 0,0,1,1 --worker-cpus 2,float"
        " --cache-domains 0,0,1,1 --queue-nics 0,0,1,1 --spread flows --load 2"
        " --load-by superposition --policy base:weight=64+base:weight=16"
    )
    done = CliRunner().invoke(app, ["whatif", *options.split()])
    assert done.exit_code == 0, done.output
    assert (
        "# places    4 CPUs on 2 caches, queues' interrupts on 0,0,1,1, 2 workers on 2,float,"
        " 2 NICs, 1 island" in done.stdout
    )
    assert "2 independent copies at once (superposition)" in done.stdout
    assert "NIC mlx5: ConnectX" in done.stdout
    assert "base:weight=64+base:weight=16" in done.stdout
    assert "ipi_ns, handoff_ns and far_ns are 0" in done.stderr
    assert "the copies' flows are hashed anew" in done.stderr


HOOK = "def after_poll(timeout_ns, work, count):\n    return 500_000\n"


def test_each_policy_is_replayed_with_hooks_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAY_HOOKS", "")  # set by the command: put back afterwards
    monkeypatch.setattr("replay.engine.hooks.FILE", folder.resolve() / "mine.py")
    monkeypatch.setattr("replay.engine.hooks.DECIDES", ["after_poll"])
    options = "--policy base --policy defer20 --policy free-busy --hooks mine.py --format json"
    done = CliRunner().invoke(app, ["whatif", *options.split()])
    assert done.exit_code == 0, done.output
    names = [row["policy"] for row in json.loads(done.stdout)["rows"]]
    assert [name for name in dict.fromkeys(names) if name != "zero-cost"] == [
        *("base", "base~mine", "defer20", "defer20~mine", "free-busy")
    ]
    assert "note: ~mine: after_poll of mine.py decides, not the kernel\n" in done.stderr


def test_one_file_of_hooks_a_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REPLAY_HOOKS", "")
    (folder / "mine.py").write_text(HOOK)
    for has in (None, folder / "other.py"):
        monkeypatch.setattr("replay.engine.hooks.FILE", has)
        assert run(["whatif", "--hooks", "mine.py"]) == 2
        out, err = capfd.readouterr()
        assert (out, err.count("\n")) == ("", 1 + err.count("note: "))
        assert f"process, and its hooks are {f'those of {has}' if has else 'none'}: set" in err


def whatif_alone(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `replay whatif` in a process of its own."""
    command = [sys.executable, "-c", "from replay.cli import main; main()", "whatif", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


def test_hooks_decide_in_their_rows_alone(folder: Path) -> None:
    (folder / "mine.py").write_text(HOOK)
    options = "--policy defer20 --policy base:weight=63 --hooks mine.py --format json"
    done = whatif_alone(*options.split(), NUMBA_DISABLE_JIT="1")
    assert done.returncode == 0, done.stderr
    rows = [row for row in json.loads(done.stdout)["rows"] if row["kind"] != "measured"]
    counts = {row["policy"]: (row["irqs"], row["timers"]) for row in rows}
    assert counts["base:weight=63"][1] == 0 < counts["base:weight=63~mine"][1]
    assert counts["base:weight=63~mine"][0] < counts["base:weight=63"][0]
    assert counts["defer20~mine"] == counts["base:weight=63~mine"] != counts["defer20"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "mine.py: cannot be read: No such file or directory"),
        ("def after_poll(:", "mine.py:1: invalid syntax"),
        ("def after_pol():\n    pass", "mine.py:1: after_pol is none of interrupt_at, after_poll,"),
    ],
)
def test_a_file_of_hooks_that_cannot_be_used(folder: Path, text: str | None, message: str) -> None:
    if text is not None:
        (folder / "mine.py").write_text(text)
    done = whatif_alone("--hooks", "mine.py")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("replay: ")
    assert message in done.stderr


def test_verbose_has_more_columns(folder: Path) -> None:
    short = CliRunner().invoke(app, ["whatif"]).stdout
    long = CliRunner().invoke(app, ["whatif", "-v"]).stdout
    assert "softirq%" in long
    assert "softirq%" not in short


def test_causes_are_told_where_they_are_asked_for(folder: Path) -> None:
    plain = CliRunner().invoke(app, ["whatif"]).stdout
    asked = CliRunner().invoke(app, ["whatif", "--causes"]).stdout
    assert asked.startswith(plain)
    assert "main cause" in asked
    assert "causes" not in CliRunner().invoke(app, ["whatif", "--format", "json"]).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("whatif missing.trace", "missing.trace: no such trace"),
        ("whatif traces", "traces: not a bundle: it has no manifest.json"),
        ("whatif --policy suspnd20", "unknown policy 'suspnd20'; did you mean suspend20?"),
        ("whatif --policy defer20:wieght=1", "did you mean weight?"),
        ("whatif --policy defer20:weight=70000", "weight = 70000 is outside 1 to 65,535 packets"),
        ("whatif --load 0", "load = 0 is outside 0.01 to 1000 times the recorded rate"),
        ("whatif --load-by half", "load-by = 'half' is none of compression, superposition"),
        ("whatif --load 2 --load-by superposition --arrivals closed", "cannot be laid over each"),
        ("whatif --nic mlx", "nic = 'mlx' is none of mlx5, ice"),
        ("whatif --cpus 0", "cpus = 0 is outside 1 to 1024"),
        ("whatif --irq-cpus 0,1", "irq-cpus has 2 numbers for 1 queue: one for each is needed"),
        ("whatif --worker-cpus flots", "worker-cpus: 'flots' is not a number or float from 0 to"),
        ("whatif --spread users", "spread = 'users' is none of queues, flows"),
        ("whatif --policy base+base", "policy 'base+base' is for 2 NICs, and there is 1"),
        ("whatif --policy base:weight", "weight lacks its value: weight=..., 1 to 65,535 packets"),
        ("whatif --load much", "Invalid value for '--load'"),
        ("whatif --queues 0", "queues = 0 is outside 1 to 1024"),
        ("whatif --queues 1025", "queues = 1025 is outside 1 to 1024"),
        ("whatif --indirection equal", "indirection 'equal' needs a number of queues"),
        ("whatif --arrivals shut", "arrivals = 'shut' is none of auto, open, closed"),
        ("whatif --format tabel", "replay: format = 'tabel' is none of table, json, tsv, md"),
        ("whatif --host none.toml", "none.toml: cannot be read: No such file or directory"),
        ("whatif --hots none.toml", "No such option: --hots"),
        ("whatif one.trace two.trace", "unexpected extra argument"),
        ("whatfi", "No such command 'whatfi'"),
        ("", "Missing command"),
    ],
)
def test_one_line_and_status_2(
    folder: Path, capfd: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    assert run(arguments.split()) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("replay: ")
    assert message in err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.json", "", "manifest.json: cut or not a manifest"),
        ("manifest.json", "[]", "manifest.json: cut or not a manifest"),
        ("manifest.json", '{"format": {"major": 2}}', "bundle format 2, this program reads 1"),
        ("packets.arrow", "", "packets.arrow: cut or not an Arrow file"),
        ("packets.arrow", "not arrow at all", "packets.arrow: cut or not an Arrow file"),
        ("events.arrow", None, "the bundle lacks events.arrow"),
    ],
)
def test_a_bundle_that_cannot_be_read(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    message: str,
) -> None:
    place = folder / "traces" / "tiny.trace" / name
    if content is None:
        place.unlink()
    else:
        place.write_text(content)
    assert run(["whatif"]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1 + err.count("note: "))
    assert message in err


def test_no_trace_and_too_many(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny_trace(folder / "traces", name="other.trace")
    assert run(["whatif"]) == 2
    assert "2 traces to choose from: name one of traces/other.trace" in capfd.readouterr().err
    for trace in (folder / "traces").iterdir():
        trace.rename(folder / f"{trace.name}.old")
    assert run(["whatif"]) == 2
    assert "no trace is named" in capfd.readouterr().err


def test_a_page_beside_the_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "")
    assert run(["whatif", "--html", "page.html"]) == 0
    assert "base (model)" in capfd.readouterr().out
    assert (folder / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run(["whatif", "--html", "/dev/full"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "replay: /dev/full: cannot be written: No space left on device"
