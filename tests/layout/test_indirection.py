"""Indirection tables are those that ethtool -X writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import PolicyError
from replay.layout import Layout, indirection_equal, indirection_weights, parse_indirection


def test_equal_deals_entries_in_turn() -> None:
    assert indirection_equal(3, size=8) == (0, 1, 2, 0, 1, 2, 0, 1)
    assert len(indirection_equal(3)) == 128


def test_weights_are_contiguous_blocks_and_zero_gets_none() -> None:
    assert indirection_weights([1, 1], size=4) == (0, 0, 1, 1)
    assert indirection_weights([1, 2, 1], size=8) == (0, 0, 1, 1, 1, 1, 2, 2)
    assert indirection_weights([0, 1, 0, 3], size=4) == (1, 3, 3, 3)
    # 8 entries over a sum of 3: blocks end at floor(8/3) = 2, floor(16/3) = 5 and 8
    assert indirection_weights([1, 1, 1], size=8) == (0, 0, 1, 1, 1, 2, 2, 2)


@given(st.lists(st.integers(0, 16), min_size=1, max_size=8).filter(any))
def test_every_queue_gets_its_share_to_within_one_entry(weights: list[int]) -> None:
    table = indirection_weights(weights, size=128)
    assert len(table) == 128
    assert list(table) == sorted(table)
    for queue, weight in enumerate(weights):
        assert abs(table.count(queue) - 128 * weight / sum(weights)) < 1


def test_text() -> None:
    assert parse_indirection("equal", 2, size=4) == (0, 1, 0, 1)
    assert parse_indirection("1,3", 2, size=4) == (0, 1, 1, 1)
    assert parse_indirection("1", 2, size=2) == (0, 0)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: indirection_equal(0), "queues = 0 is outside 1 to 4096"),
        (lambda: indirection_equal(2, size=100), "100 is not a power of two from 1 to 4096"),
        (lambda: indirection_weights([0, 0]), "sum to 0, outside 1 to 128"),
        (lambda: indirection_weights([3, 2], size=4), "sum to 5, outside 1 to 4"),
        (lambda: indirection_weights([-1, 3]), "weight -1 is outside 0 to 128"),
        (lambda: indirection_weights([]), "queues = 0 is outside"),
        (lambda: parse_indirection("even", 2), "'even' is neither 'equal' nor weights"),
        (lambda: parse_indirection("1,1,1", 2), "3 weights; 1 to 2"),
        (lambda: Layout(2, (0, 2)), "entry 2 is outside 0 to 1"),
        (lambda: Layout(2, (0, -1)), "entry -1 is outside 0 to 1"),
        (lambda: Layout(2, key=b"short"), "key of 5 bytes is outside 40 to 256"),
    ],
)
def test_refusals_name_the_range(call, reason: str) -> None:
    with pytest.raises(PolicyError, match=reason) as caught:
        call()
    assert "\n" not in str(caught.value)
