from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from replay.cli import run
from replay.convert import convert
from replay.errors import ReplayError, TraceError
from replay.trace import schema
from replay.trace.bundle import Trace, write_trace
from replay.trace.schema import TABLES, Cause, EventKind
from tests.tiny import REQUESTS, tiny_trace


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    tiny = tiny_trace(tmp_path)
    event = {"time_ns": 1, "cpu": 0, "kind": int(EventKind.POLL), "cause": int(Cause.TIMER)}
    events = pa.Table.from_pylist([event, {**event, "cause": None}], schema=schema.EVENTS)
    tables = {name: getattr(tiny, name) for name in ("packets", "flows", "outcomes")}
    return write_trace(tmp_path / "some.trace", tiny.manifest, {**tables, "events": events})


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_every_table_is_written_with_words_and_addresses(
    trace: Trace, tmp_path: Path, form: str
) -> None:
    place = convert(trace, tmp_path / "out", form)
    written = {"manifest.json", *(f"{name}.{form}" for name in TABLES)}
    assert {it.name for it in place.iterdir()} == written
    assert json.loads((place / "manifest.json").read_text()) == trace.manifest
    rows = {}
    for name in TABLES:
        if form == "parquet":
            rows[name] = parquet.read_table(place / f"{name}.parquet").to_pylist()
        else:
            with (place / f"{name}.csv").open(newline="") as file:
                rows[name] = [
                    {k: v or None for k, v in row.items()} for row in csv.DictReader(file)
                ]
    assert len(rows["packets"]) == 3 * REQUESTS
    assert {row["kind"] for row in rows["packets"]} == {"request", "tx", "ack"}
    assert rows["packets"][0]["status"] == "ok"
    assert rows["flows"][0]["source"] == "198.18.0.2"
    assert [row["cause"] for row in rows["events"]] == ["timer", None]
    assert {row["kind"] for row in rows["events"]} == {"poll"}
    column = [int(row["arrival_ns"]) for row in rows["packets"]]
    assert column == trace.packets["arrival_ns"].to_pylist()


def test_bad_requests_leave_nothing(
    trace: Trace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ReplayError, match=r"none of parquet, csv, pcapng"):
        convert(trace, tmp_path / "out", "xml")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    with pytest.raises(TraceError, match="already exists"):
        convert(trace, tmp_path / "out", "csv")
    assert run(["convert", str(trace.path), "-o", str(tmp_path / "out"), "--to", "csv"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run(["convert", str(trace.path), "-o", str(tmp_path / "new"), "--to", "csv"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'new'}\n"


@pytest.mark.parametrize(
    ("name", "written"),
    [("x.csv", "packets.csv"), ("x.parquet", "packets.parquet"), ("x", "packets.parquet")],
)
def test_the_output_s_name_says_the_format(
    trace: Trace, tmp_path: Path, name: str, written: str
) -> None:
    assert (convert(trace, tmp_path / name) / written).is_file()
    assert convert(trace, tmp_path / "x.pcapng").is_file()
