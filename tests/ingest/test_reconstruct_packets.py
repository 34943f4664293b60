"""The payload that nearly all packets have."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay import mapped
from replay.ingest import reconstruct_packets
from replay.ingest.reconstruct_points import NULL


@given(st.lists(st.tuples(st.sampled_from([NULL, -1, 0, 1, 5, 700]), st.integers(1, 60))))
def test_the_usual_payload_is_that_of_nearly_all(runs: list[tuple[int, int]]) -> None:
    payload = np.array([size for size, count in runs for _ in range(count)], np.int64)
    seen = Counter(it for it in payload.tolist() if it > 0)
    best = max(seen, key=seen.__getitem__, default=0)
    nearly = seen[best] >= reconstruct_packets._USUAL_SHARE * seen.total()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "STEP", 64)
        assert reconstruct_packets._usual(payload) == (best if nearly else 0)
