"""Rows sorted by time in stretches: as one stable sort of all of them would have it."""

from __future__ import annotations

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
)
@settings(deadline=None, max_examples=200)
def test_sorting_in_stretches_is_one_stable_sort(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[int]],
    stride: int,
    stretch: int,
    most: int,
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
        if pieces:
            sort_rows(pieces, runs, most, given_rows.append)
    assert all(0 < len(time) <= most for time, _ in given_rows)
    order = np.argsort(all_times, kind="stable").tolist()
    assert [row for _, rows in given_rows for row in rows.tolist()] == order
    assert [t for times, _ in given_rows for t in times.tolist()] == sorted(all_times)
