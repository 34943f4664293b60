"""Quartiles of differences that are counted, not sorted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.ingest.join_match import FAR
from replay.ingest.join_summary import quartiles


@given(st.lists(st.lists(st.integers(-FAR, FAR), max_size=20), min_size=1, max_size=5))
def test_quartiles_are_those_of_all_values(parts: list[list[int]]) -> None:
    whole = [value for part in parts for value in part]
    if whole:
        arrays = [np.array(part, np.int64) for part in parts]
        found = quartiles(lambda: iter(arrays), len(whole))
        assert found == pytest.approx(np.quantile(whole, [0.25, 0.5, 0.75]).tolist(), abs=1e-6)
