from __future__ import annotations

from pathlib import Path

import pytest

from replay.cli import run
from replay.errors import PolicyError
from replay.explain import explain, explained
from replay.host import Host
from replay.result import Result
from replay.whatif import what_if
from tests.tiny import HOST, tiny_trace


def test_what_moved_and_what_it_hangs_on(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)

    def ask(host: Host, causes: bool) -> Result:
        return what_if(trace, ["defer50"], host=host, causes=causes, draws=0)

    latency, tail, work, *hangs = explain(ask, HOST, "defer50")
    assert latency.startswith("mean latency ")
    assert "under base" in latency
    assert "timer +" in latency  # the requests come alone: each waits for the timer
    assert "for timer, under base " in tail
    assert work.startswith("interrupts ")
    assert "CPU " in work
    told = " ".join(hangs)
    # 10 % of 20 us, in every latency; too few requests for a p99
    assert "p95 hangs most on client_ns +2.0" in told


def test_only_what_was_asked_can_be_explained(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)

    def ask(host: Host, causes: bool) -> Result:
        return what_if(trace, ["defer50"], host=host, causes=causes, draws=0)

    with pytest.raises(PolicyError, match="'defer20' was not asked for: name one of defer50"):
        explain(ask, HOST, "defer20")
    unknown = tiny_trace(tmp_path, name="unknown.trace", manifest={"policy": None})
    with pytest.raises(PolicyError, match="does not name its policy"):
        explained(lambda **more: what_if(unknown, ["defer50"], **more), unknown, None, "defer50")


def test_sentences_stand_below_the_table_or_beside_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = str(tiny_trace(tmp_path).path)
    assert run(["whatif", trace, "--explain", "defer50", "--draws", "0"]) == 0
    shown = capsys.readouterr()
    assert "\n# Why defer50 differs\n- mean latency" in shown.out
    assert run(["whatif", trace, "--explain", "defer50", "--draws", "0", "--format", "tsv"]) == 0
    shown = capsys.readouterr()
    assert "mean latency" not in shown.out
    assert "defer50: mean latency" in shown.err
