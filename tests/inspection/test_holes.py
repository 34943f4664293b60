"""What a recording lacks, as an inspection shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.inspection import inspect
from replay.report.inspection import table
from replay.trace.bundle import Trace, write_trace
from replay.trace.schema import GAPS


def bundle(folder: Path, gaps: list[dict[str, Any]], holes: list[dict[str, Any]]) -> Trace:
    manifest = {"holes": holes, "sources": [{"name": "perf.data"}, {"name": "talk.pcap"}]}
    tables = {"gaps": pa.Table.from_pylist(gaps, schema=GAPS)}
    return write_trace(folder / "x.trace", manifest, tables)


def gap(number: int, **other: Any) -> dict[str, Any]:
    row = {"start_ns": number * 10**9, "end_ns": None, "source": 1, "cause": "lost", "lost": 2}
    return {**row, **other}


def test_holes_are_shown_with_the_confidence(tmp_path: Path) -> None:
    hole = {"cause": "the records were lost", "share": 0.05, "affects": "arrivals"}
    found = inspect(bundle(tmp_path, [gap(1)], [hole])).to_dict()
    assert found["holes"] == [
        {"missing": "the records were lost", "share_pct": 5.0, "less_certain": "arrivals"}
    ]
    assert found["gaps"] == [
        {"cause": "lost", "source": "talk.pcap", "from_s": 1.0, "to_s": None, "lost": 2}
    ]
    text = table(inspect(tmp_path / "x.trace"))
    assert "# holes: confidence in a replay is lowered" in text


def test_a_sound_recording_has_no_such_section(tmp_path: Path) -> None:
    found = inspect(bundle(tmp_path, [], [])).to_dict()
    assert not {"holes", "gaps"} & set(found)


def test_many_gaps_are_one_row_from_the_twentieth_on(tmp_path: Path) -> None:
    gaps = [gap(number) for number in range(1_000)]
    rows = inspect(bundle(tmp_path, gaps, [])).to_dict()["gaps"]
    assert len(rows) == 21
    assert rows[-1] == {
        "cause": "980 more",
        "source": None,
        "from_s": 20.0,
        "to_s": None,
        "lost": 1_960,
    }
