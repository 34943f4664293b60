"""What is counted part by part is what numpy counts at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest.reconstruct_points import NO_DEVICE, Point, Points
from replay.ingest.reconstruct_survey import Counting

DEVICES = 3


@given(st.integers(1, 60), st.integers(0, 2**32), st.lists(st.integers(0, 60), max_size=4))
@settings(max_examples=60, deadline=None)
def test_parts_are_counted_as_the_whole(rows: int, seed: int, cuts: list[int]) -> None:
    draw = np.random.default_rng(seed)
    points = Points(
        time=np.zeros(rows, np.int64),
        cpu=draw.integers(0, 5, rows).astype(np.int32),
        kind=draw.choice(np.array(Point), rows).astype(np.uint8),
        device=draw.choice([*range(DEVICES), NO_DEVICE], rows).astype(np.uint16),
        tid=draw.integers(0, 9, rows).astype(np.int32),
        object=draw.integers(0, 4, rows) * 1000,
        value=draw.integers(0, 20, rows),
        other=draw.integers(70, 73, rows),
    )
    counting = Counting()
    edges = [0, *sorted(min(cut, rows) for cut in cuts), rows]
    for begin, end in pairwise(edges):
        counting.count(points.part(begin, end))
    found = counting.survey(DEVICES, watchdog=71)
    timers = np.isin(points.kind, (Point.TIMER_START, Point.TIMER_FIRE))
    moved = np.isin(points.kind, (Point.SWITCH, Point.WAKEUP, Point.WAKING))
    for kind in Point:
        mine = points.device[points.kind == kind]
        assert found.by_device(kind).tolist() == [int((mine == it).sum()) for it in range(DEVICES)]
        assert found.of(kind) == len(mine)
    assert found.per_cpu.tolist() == np.bincount(points.cpu).tolist()
    assert found.highest_tid == max(points.tid.max(), points.value[moved].max(initial=0))
    assert found.napis.tolist() == sorted(set(points.object[points.kind == Point.POLL].tolist()))
    pairs = zip(points.object[timers].tolist(), points.other[timers].tolist(), strict=True)
    assert [tuple(it) for it in counting.timers.tolist()] == sorted(set(pairs))
    assert found.watchdog == 71
