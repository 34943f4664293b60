"""Tables that are made batch by batch are what they would be at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from replay import mapped
from replay.ingest.batches import batches
from replay.ingest.sorting import order_of
from replay.trace.bundle import open_trace, write_manifest, write_table
from replay.trace.schema import EVENTS, TABLES


@pytest.mark.parametrize("count", [0, 1, 7, 8, 20])
def test_batches_are_a_table(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "STEP", 8)
    columns = {
        "time_ns": np.arange(count),
        "kind": np.full(count, 2, np.uint8),
        "value": np.where(np.arange(count) % 3 == 0, -7, np.arange(count)),
        "budget": np.full(count, -1),
    }

    def part(name: str, rows: slice) -> np.ndarray[Any, Any] | None:
        return columns[name][rows] if name in columns else None

    made = batches(EVENTS, count, part, {"value": -7})
    table = made.table()
    table.validate(full=True)
    assert table.schema == EVENTS
    assert table["time_ns"].to_pylist() == list(range(count))
    assert table["value"].to_pylist() == [None if i % 3 == 0 else i for i in range(count)]
    assert table["cpu"].null_count == table["budget"].null_count == count
    if count:  # of an empty column nobody knows whether it has a value
        missing = ["budget"] if count > 1 else ["budget", "value"]
        nothing = {"cpu", "device", "napi", "tid", "cause", "duration_ns", *missing}
        assert set(EVENTS.names) - set(made.said) == nothing
    made.write(tmp_path, "events", None)
    for name in set(TABLES) - {"events"}:
        write_table(tmp_path, name, TABLES[name].empty_table())
    write_manifest(tmp_path, {})
    assert open_trace(tmp_path).events.equals(table)


@pytest.mark.parametrize("count", [0, 1, 8, 9, 100])
def test_order_is_stable_in_memory_and_on_disk(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "STEP", 8)
    times = np.random.default_rng(1).integers(0, 20, count)
    assert order_of(times).tolist() == np.argsort(times, kind="stable").tolist()


def test_arrow_types_are_those_of_the_schema() -> None:
    made = batches(EVENTS, 3, lambda name, rows: np.zeros(3, np.int64)[rows], {})
    assert [it.type for it in made.table().schema] == [it.type for it in EVENTS]
    assert isinstance(made.table(), pa.Table)
