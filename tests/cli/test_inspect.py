from __future__ import annotations

import json
from pathlib import Path

import pytest

from replay.cli import run
from tests.tiny import REQUESTS, tiny_trace


def test_it_shows_what_a_bundle_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tiny_trace(tmp_path)
    assert run(["inspect", str(trace.path)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# trace     tiny\n")
    assert "# the heaviest flows, of 8" in shown
    assert run(["inspect", str(trace.path), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["packets"][0]["packets"] == REQUESTS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.trace"], "nowhere.trace: no such trace"),
        (["--format", "xml"], "format = 'xml' is none of table, json, md"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", *arguments]) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err == f"replay: {says}\n"
