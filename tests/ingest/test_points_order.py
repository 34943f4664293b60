"""Points of several sorted stretches come in one order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest.points_order import in_order
from replay.ingest.reconstruct_points import Points


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_runs_are_merged_as_a_stable_sort_would(data: st.DataObject) -> None:
    times = np.array(data.draw(st.lists(st.integers(0, 30), max_size=60)), np.int64)
    points = Points.empty(len(times))
    for column in points:
        column[:] = np.arange(len(times))
    points.time[:] = times
    runs = np.flatnonzero(np.diff(times) < 0) + 1
    order = np.argsort(times, kind="stable")
    blocks = [
        [column.copy() for column in block] for block in in_order(points, runs.astype(np.int64))
    ]
    got = np.concatenate([block[5] for block in blocks]) if blocks else np.zeros(0)
    assert got.tolist() == order.tolist()
