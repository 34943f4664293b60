"""The hash table of flows numbers keys as a dictionary would, and finds the opposite direction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest.flows import (
    LEVELS,
    NO_FLOW,
    Keys,
    addresses,
    new_keys,
    new_table,
    number_flows,
    one_of_two,
    with_room,
)

_word = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 3)
_packed = st.integers(-1, 1 << 56) | st.sampled_from([0, 1 << 13, 2 << 13, 3 << 13])
_tunnel = st.integers(0, 2) | st.integers(0, (1 << 37) - 1)
_key = st.tuples(_word, _word, _word, _word, _packed, st.tuples(_tunnel, _tunnel, _tunnel))


def _keys(rows: list) -> Keys:
    """Keys of rows of five words and the words of three tunnels."""
    keys = new_keys(len(rows))
    keys.tunnels[:] = 0
    for i, (*ends, tunnels) in enumerate(rows):
        keys.ends[i] = ends
        keys.tunnels[i, :LEVELS] = tunnels
    return keys


@given(st.lists(_key, max_size=60))
@settings(deadline=None)  # the first example compiles
def test_keys_are_numbered_in_order_of_appearance(rows: list) -> None:
    table, flows = new_table(2), 0
    expected: dict = {}
    for i in range(0, len(rows), 3):
        wanted = _keys(rows[i : i + 3])
        found = np.empty(len(wanted.ends), dtype=np.int32)
        table = with_room(table, flows, len(found))
        flows = number_flows(wanted, len(found), table, flows, found)
        for (*ends, tunnels), flow in zip(rows[i : i + 3], found.tolist(), strict=True):
            key = (*ends, *tunnels[: ends[4] >> 13 & 3])
            assert flow == (NO_FLOW if ends[4] < 0 else expected.setdefault(key, len(expected)))
    assert flows == len(expected)
    for flow, key in enumerate(expected):
        assert (*table.keys.ends[flow], *table.keys.tunnels[flow, : len(key) - 5]) == key


def test_the_ends_of_tunnels_are_those_of_the_first_packet() -> None:
    rows = [(0, 1, 0, 2, 1 << 13, (7, 0, 0))] * 2
    wanted = _keys(rows)
    wanted.tunnels[:, LEVELS:] = [[10, 11, 12, 13, 14], [20, 21, 22, 23, 24]]
    table, found = new_table(2), np.empty(2, dtype=np.int32)
    assert number_flows(wanted, 2, table, 0, found) == 1
    assert table.keys.tunnels[0].tolist() == [7, 0, 0, 10, 11, 12, 13, 14]
    assert with_room(table, 1, 9).keys.tunnels[0].tolist() == [7, 0, 0, 10, 11, 12, 13, 14]


def test_both_directions_have_a_key_in_common_of_the_same_protocol_vlan_and_tunnels() -> None:
    def key(one: int, port: int, other: int, other_port: int, rest: int, *tunnel: int) -> tuple:
        levels = len(tunnel) << 13
        packed = port << 40 | other_port << 24 | rest | levels
        return (0, one, 0, other, packed, (*tunnel, *[9] * (LEVELS - len(tunnel))))

    there, back = (1, 10, 2, 20), (2, 20, 1, 10)
    keys = _keys(
        [
            key(*there, 5),
            key(*back, 5),
            key(*back, 6),
            key(7, 9, 7, 9, 5),
            key(*there, 5, 3),
            key(*back, 5, 4),
            key(*back, 5, 3),
            key(7, 9, 7, 8, 5),
            key(7, 8, 7, 9, 5),
        ]
    )
    common, own = one_of_two(keys)
    table, found = new_table(9), np.empty(9, dtype=np.int32)
    assert number_flows(common, 9, table, 0, found) == 6
    assert found.tolist() == [0, 0, 1, 2, 3, 4, 3, 5, 5]
    assert own.tolist() == [False, False, False, True, False, False, False, False, False]


def test_addresses_are_bytes_in_network_order() -> None:
    words = np.array([[-1, 0xFFFF << 32 | 0x0A000001]])
    assert addresses(words)[0].tobytes() == b"\xff" * 8 + bytes([0, 0, 255, 255, 10, 0, 0, 1])


@pytest.mark.parametrize("shape", ["ports", "addresses", "upper", "canceling", "tunnels"])
def test_keys_that_are_made_to_meet_spread_over_the_table(shape: str) -> None:
    count = 16_384
    keys, rows = new_keys(count), np.arange(count)
    keys.ends[:], keys.tunnels[:] = (0, 1, 0, 2, 6 << 16), 0
    if shape == "ports":
        keys.ends[:, 4] |= rows << 24
    elif shape == "addresses":
        keys.ends[:, 1] += rows << 16
    elif shape == "upper":
        keys.ends[:, 0] = rows << 40
    elif shape == "canceling":  # of words that are shifted and mixed by xor
        keys.ends[:, 0] = rows
        keys.ends[:, 1] = rows ^ rows << 7
    else:
        keys.ends[:, 4] |= 2 << 13
        keys.tunnels[:, 0], keys.tunnels[:, 1] = rows << 1, rows
    drawn = np.random.default_rng(1).integers(-(1 << 63), 1 << 63, 8, dtype=np.int64)
    table, found = new_table(2 * count), np.empty(count, dtype=np.int32)
    assert not np.array_equal(table.secret, new_table(1).secret)
    table = table._replace(secret=drawn)  # the same in every run
    assert number_flows(keys, count, table, 0, found) == count
    free = np.flatnonzero(table.slots == 0)
    assert np.diff(free).max() < 100  # the longest search; of 4 slots, one is taken
