"""Rows sorted by time in stretches: as one stable sort of all of them would have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest import sorting
from replay.ingest.sorting import sort_rows
from replay.ingest.spool import Spool


@given(
    st.lists(st.lists(st.integers(0, 20) | st.integers(0, 1 << 60), min_size=1, max_size=30)),
    st.integers(1, 8),
    st.integers(1, 5),
    st.integers(1, 10),
    st.integers(2, 5),
)
@settings(deadline=None, max_examples=200)
def test_sorting_in_stretches_is_one_stable_sort(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[int]],
    stride: int,
    stretch: int,
    most: int,
    together: int,
) -> None:
    given_rows: list[np.ndarray] = []
    all_times = [time for batch in batches for time in batch]
    numbers = np.arange(len(all_times), dtype=np.int16)
    ends = np.cumsum([len(batch) for batch in batches])
    pieces = [
        (np.array(batch), numbers[end - len(batch) : end])
        for batch, end in zip(batches, ends, strict=True)
    ]
    with (
        pytest.MonkeyPatch.context() as patch,
        Spool(tmp_path_factory.getbasetemp(), [np.int64, np.int16]) as runs,
    ):
        patch.setattr(sorting, "_STRIDE", stride)
        patch.setattr(sorting, "_STRETCH", stretch)
        patch.setattr(sorting, "_TOGETHER", together)
        sort_rows(pieces, runs, most, given_rows.append)
    assert all(0 < len(time) <= most for time, _ in given_rows)
    order = np.argsort(all_times, kind="stable").tolist()
    assert [row for _, rows in given_rows for row in rows.tolist()] == order
    assert [t for times, _ in given_rows for t in times.tolist()] == sorted(all_times)


@pytest.mark.parametrize("order", ["random", "equal", "turned", "risen"])
def test_work_grows_little_faster_than_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(sorting, "_STRIDE", 2)
    monkeypatch.setattr(sorting, "_STRETCH", 4)
    monkeypatch.setattr(sorting, "_TOGETHER", 4)
    pieces_read: list[int] = []
    whole = Spool.part

    def part(self: Spool, number: int, column: int, rows: slice) -> np.ndarray:
        pieces_read.append(number)
        return whole(self, number, column, rows)

    monkeypatch.setattr(Spool, "part", part)
    read = []
    for runs in (32, 512):
        rows = 8 * runs
        turned = np.arange(rows)[::-1]
        risen = np.where(np.arange(rows) % 8, rows, 0) + np.arange(rows)
        random = np.random.default_rng(1).integers(0, rows, rows)
        times = {"random": random, "equal": np.zeros(rows), "turned": turned, "risen": risen}
        found: list[np.ndarray] = []
        with Spool(tmp_path, [np.int64]) as spool:
            batches = ([piece] for piece in times[order].astype(np.int64).reshape(runs, 8))
            sort_rows(batches, spool, 8, lambda columns, to=found: to.append(columns[0]))  # type: ignore[misc]
        assert np.concatenate(found).tolist() == sorted(times[order].tolist())
        read.append(len(pieces_read))
        pieces_read.clear()
    assert read[1] < 3 * 16 * read[0]  # of 16 times the rows; all runs in one pass: 16 * 16
