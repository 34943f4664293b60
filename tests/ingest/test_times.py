"""Times that are missing, out of order or set back."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest.decode import Batch, Decoded
from replay.ingest.flows import new_table
from replay.ingest.records import KINDS, NO_TIME, Columns
from replay.ingest.rows import put_aside, rows_in_order
from replay.ingest.spool import Spool
from replay.ingest.times import Clock

SECOND = 10**9


class Timed(NamedTuple):
    clock: Clock
    time: list[int]
    length: list[int]  # the packet's place in the file
    earliest: list[int]
    latest: list[int]


def _settle(folder: Path, times: list[int], each: int = 3) -> Timed:
    """Pass packets without a flow through both passes, so many a batch."""
    columns, sequence, none = Columns.empty(each), np.full(each, -1), new_table(1)
    columns.flow[:] = -1
    with Spool(folder, KINDS) as spool:
        decoded = Decoded()
        for first in range(0, len(times), each):
            rows = len(times[first : first + each])
            part = Batch(columns.part(0, rows), sequence[:rows], 0, none)
            part.columns.time[:] = times[first : first + each]
            part.columns.length[:] = range(first, first + len(part.columns.time))
            for column in (part.columns.payload, part.columns.marks, part.columns.status):
                column[:] = 0
            put_aside(part, decoded.add(part), spool)
        found = Timed(decoded.clock, [], [], [], [])
        for rows in rows_in_order(decoded, spool, folder):
            found.time.extend(rows.columns.time.tolist())
            found.length.extend(rows.columns.length.tolist())
            found.earliest.extend([] if rows.earliest is None else rows.earliest.tolist())
            found.latest.extend([] if rows.latest is None else rows.latest.tolist())
    return found


@given(st.lists(st.integers(0, 1 << 61) | st.integers(0, 9), min_size=1, max_size=30))
@settings(deadline=None)  # the first example compiles
def test_packets_are_in_order_of_time_and_ties_in_order_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, times: list[int]
) -> None:
    timed = _settle(tmp_path_factory.getbasetemp(), times)
    order = sorted(range(len(times)), key=lambda i: times[i])
    assert timed.clock.origin == min(times)
    assert timed.length == order
    assert timed.time == [times[i] - min(times) for i in order]
    assert timed.clock.duration == max(times) - min(times) + 1
    assert timed.clock.backwards == sum(b < a for a, b in pairwise(times))


@pytest.mark.parametrize("each", [1, 2, 6])
def test_missing_times_are_filled_and_bounded(tmp_path: Path, each: int) -> None:
    timed = _settle(tmp_path, [NO_TIME, 70, NO_TIME, NO_TIME, 90, NO_TIME], each)
    assert timed.time == [0, 0, 0, 0, 20, 20]
    assert timed.earliest == [-1, -1, 0, 0, -1, 20]
    assert timed.latest == [0, -1, 20, 20, -1, -1]
    assert timed.clock.untimed == 4


@pytest.mark.parametrize("each", [1, 3])
def test_bounds_are_sorted_with_their_packets(tmp_path: Path, each: int) -> None:
    timed = _settle(tmp_path, [70, NO_TIME, 50], each)
    assert timed.length == [2, 0, 1]
    assert timed.earliest == [-1, -1, 20]


def test_no_times_at_all(tmp_path: Path) -> None:
    timed = _settle(tmp_path, [NO_TIME, NO_TIME])
    assert timed.clock.origin is None
    assert timed.time == [0, 0]
    assert timed.earliest == []
    assert _settle(tmp_path, []).clock.duration == 0


def test_steps_back_of_a_second_are_told(tmp_path: Path) -> None:
    timed = _settle(tmp_path, [5 * SECOND, 4 * SECOND, 4 * SECOND + 5, 4 * SECOND + 1], 1)
    assert timed.clock.steps == [(SECOND, 0)]
    assert timed.clock.backwards == 2
