"""Numbers of flows are the places of their hashes in order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay import mapped
from replay.ingest import flow_numbers
from replay.ingest.flow_numbers import number_flows

HASHES = st.one_of(st.integers(-1, 9), st.integers(0, (1 << 32) - 1))


@given(st.lists(st.tuples(HASHES, st.integers(0, 1)), max_size=80), st.sampled_from([2, 4, 1024]))
@settings(max_examples=60, deadline=None)
def test_numbers_are_places_in_order(packets: list[tuple[int, int]], slots: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(flow_numbers, "_SLOTS", slots)
        patched.setattr(mapped, "STEP", 16)
        flow = np.array([value for value, _ in packets], np.int64)
        values, versions = number_flows(flow, np.array([six for _, six in packets], np.uint8))
    ordered = sorted({value for value, _ in packets if value >= 0})
    first = dict(reversed(packets))
    assert values.tolist() == ordered
    assert versions.tolist() == [6 if first[value] else 4 for value in ordered]
    assert flow.tolist() == [ordered.index(value) if value >= 0 else -1 for value, _ in packets]


@pytest.mark.parametrize(("step", "first"), [(1, 0), (1 << 18, 0), (1 << 18, 4711), (3, 1 << 31)])
def test_hashes_that_somebody_chose_spread_over_the_table(step: int, first: int) -> None:
    values = first + step * np.arange(1 << 13)
    secret = np.random.default_rng(7).integers(-(1 << 63), 1 << 63, 2)
    slots = np.full(2 * len(values), -1, np.int64)
    flow_numbers._put(values, len(values), secret, slots)
    free = np.flatnonzero(slots < 0)
    assert len(free) == len(values)
    side_by_side = np.diff(free, prepend=-1, append=len(slots))  # a look may walk along them
    assert side_by_side.max() < 200
