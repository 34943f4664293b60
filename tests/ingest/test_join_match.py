"""Packets of two sources matched by direction, length, time and the flow of their hash."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from replay.ingest.join_match import FAR, NEAR, NONE, Captured, Matched, Recorded, match
from replay.trace.schema import PacketKind

Rows = list[tuple[int, int, bool, int]]  # time, length, sent, flow


def matched(recorded: Rows, captured: Rows, headers: int = 54, hashes: int = 8) -> Matched:
    """Match; the recording's packets are numbered as they stand in `recorded`."""
    order = [
        number for sent in (False, True) for number, row in enumerate(recorded) if row[2] == sent
    ]
    time, length, _, flow = columns([recorded[number] for number in order])
    received = sum(not row[2] for row in recorded)
    at, size, sent, of = columns(captured)
    kind = np.where(sent, PacketKind.TX, PacketKind.REQUEST).astype(np.uint8)
    payload = size - headers if headers >= 0 else np.full(len(size), NONE)
    found = match(
        Recorded(time, length, flow), received, Captured(at, size, kind, of, payload), hashes
    )
    place = np.array([*order, NONE], np.int64)
    capture_of = np.empty(len(order), np.int64)
    capture_of[order] = found.capture_of
    return Matched(capture_of, place[found.recorded_of], found.flow_of_hash)


def columns(rows: Rows) -> list[npt.NDArray[np.int64]]:
    return [np.array(it, np.int64) for it in list(zip(*rows, strict=True)) or [()] * 4]


def pairs(found: Matched) -> int:
    return int(np.count_nonzero(found.recorded_of >= 0))


def test_the_first_free_one_of_its_length_and_direction() -> None:
    recorded = [(0, 60, False, NONE), (5, 70, True, NONE), (9, 60, False, NONE)]
    captured = [(3, 60, False, 0), (4, 60, False, 1), (6, 70, False, 0), (7, 70, True, 2)]
    found = matched(recorded, captured)
    assert found.capture_of.tolist() == [0, 3, 1]
    assert found.recorded_of.tolist() == [0, 2, NONE, 1]
    assert pairs(found) == 3


def test_too_far_off_is_another_packet() -> None:
    recorded = [(0, 60, False, NONE)]
    assert pairs(matched(recorded, [(FAR, 60, False, 0)])) == 1
    assert pairs(matched(recorded, [(FAR + 1, 60, False, 0)])) == 0
    near = [(0, 60, False, NONE), (2 * NEAR, 60, False, NONE)]
    found = matched(near, [(2 * NEAR, 60, False, 0), (2 * NEAR + 1, 60, False, 0)])
    assert found.recorded_of.tolist() == [1, 0]  # near ones first, then the one that is left


def test_hashes_are_voted_flows_and_keep_them_apart() -> None:
    # Ten packets of each flow, far apart, then two at once whose order is not the same.
    clear = [(i * 10**8, 60, False, i % 2) for i in range(20)]
    both = 10**10
    recorded = [*clear, (both, 60, False, 0), (both + 1, 60, False, 1)]
    captured = [(time + 5, length, sent, 7 + flow) for time, length, sent, flow in clear]
    captured += [(both + 5, 60, False, 8), (both + 6, 60, False, 7)]
    found = matched(recorded, captured)
    assert found.flow_of_hash.tolist()[:2] == [7, 8]
    assert found.capture_of.tolist()[-2:] == [21, 20]


def test_what_gro_made_one_of() -> None:
    parts = [(0, 154, False, 3), (1, 60, False, 4), (2, 154, False, 3), (3, 104, False, 3)]
    found = matched(parts, [(9, 304, False, 0), (10, 60, False, 1)])
    assert found.capture_of.tolist() == [0, 1, 0, 0]
    assert found.recorded_of.tolist() == [3, 1]
    assert pairs(matched(parts, [(9, 305, False, 0)])) == 0
    assert pairs(matched(parts, [(9, 304, False, 0)], headers=NONE)) == 0
    unnamed = [(time, length, sent, NONE) for time, length, sent, _ in parts]
    assert pairs(matched(unnamed, [(9, 304, False, 0)])) == 0


def test_nothing_to_match() -> None:
    assert pairs(matched([], [])) == 0
    assert matched([], [(0, 60, False, 0)], hashes=0).recorded_of.tolist() == [NONE]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5 * NEAR),
            st.sampled_from([60, 80, 154]),
            st.booleans(),
            st.integers(-1, 3),
        ),
        max_size=30,
    ),
    st.lists(
        st.tuples(
            st.integers(0, 5 * NEAR),
            st.sampled_from([60, 80, 154, 180, 254]),
            st.booleans(),
            st.integers(-1, 3),
        ),
        max_size=30,
    ),
)
def test_pairs_are_of_one_direction_and_make_up_the_length(recorded: Rows, captured: Rows) -> None:
    recorded, captured = sorted(recorded), sorted(captured)
    found = matched(recorded, captured)
    for packet, last in enumerate(found.recorded_of.tolist()):
        parts: npt.NDArray[np.int64] = np.flatnonzero(found.capture_of == packet)
        if last == NONE:
            assert not len(parts)
            continue
        assert last == parts[-1]
        time, length, sent, _ = captured[packet]
        assert sum(recorded[it][1] for it in parts) == length + 54 * (len(parts) - 1)
        for it in parts:
            assert recorded[it][2] == sent
            assert abs(recorded[it][0] - time) <= FAR


def test_parts_are_not_looked_for_without_end() -> None:
    # Packets of as many hashes, each of which could be the first part; the two that are come last.
    def found(others: int) -> int:
        recorded = [(i, 60, False, i) for i in range(others)]
        recorded += [(others + i, 154, False, others) for i in range(2)]
        captured = [(others + 2, 254, False, NONE)]
        return pairs(matched(recorded, captured, hashes=others + 1))

    assert found(100) == 1
    assert found(600) == 0  # 180,000 looks
