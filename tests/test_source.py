from __future__ import annotations

from pathlib import Path

import pytest

from replay.errors import TraceError
from replay.source import only_trace, opened
from tests.tiny import tiny_trace


def test_the_only_trace_here_or_in_traces(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no trace is named"):
        only_trace(tmp_path)
    (tmp_path / "traces").mkdir()
    inner = tiny_trace(tmp_path / "traces")
    assert only_trace(tmp_path) == inner.path
    outer = tiny_trace(tmp_path)
    assert only_trace(tmp_path) == outer.path
    tiny_trace(tmp_path, name="other.trace")
    with pytest.raises(TraceError, match="2 traces to choose from"):
        only_trace(tmp_path)


def test_a_trace_taken_by_itself_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_trace(tmp_path)
    monkeypatch.chdir(tmp_path)
    with opened(None) as (trace, notes):
        assert trace.name == "tiny"
        assert notes == ["trace tiny.trace"]
    with opened(tmp_path / "tiny.trace") as (_, notes):
        assert notes == []


def test_a_trace_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such trace"), opened(tmp_path / "none.trace"):
        pass
