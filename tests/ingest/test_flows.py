"""The hash table of flows numbers keys as a dictionary would, and finds the opposite direction."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest.flows import (
    NO_FLOW,
    addresses,
    new_table,
    number_flows,
    reverse_flows,
    with_room,
)

_word = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 3)


@given(st.lists(st.tuples(_word, _word, _word, _word, st.integers(-1, 1 << 56)), max_size=60))
@settings(deadline=None)  # the first example compiles
def test_keys_are_numbered_in_order_of_appearance(keys: list[tuple[int, ...]]) -> None:
    table, flows = new_table(2), 0
    expected: dict[tuple[int, ...], int] = {}
    for i in range(0, len(keys), 3):
        wanted = np.array(keys[i : i + 3], dtype=np.int64)
        found = np.empty(len(wanted), dtype=np.int32)
        table = with_room(table, flows, len(wanted))
        flows = number_flows(wanted, len(wanted), table.keys, table.slots, flows, found)
        for key, flow in zip(keys[i : i + 3], found.tolist(), strict=True):
            assert flow == (NO_FLOW if key[4] < 0 else expected.setdefault(key, len(expected)))
    assert flows == len(expected)
    assert [tuple(key) for key in table.keys[:flows].tolist()] == list(expected)


def test_the_opposite_direction_has_the_same_protocol_and_vlan() -> None:
    def key(one: int, port: int, other: int, other_port: int, rest: int) -> tuple[int, ...]:
        return (0, one, 0, other, port << 40 | other_port << 24 | rest)

    there, back = (1, 10, 2, 20), (2, 20, 1, 10)
    keys = np.array([key(*there, 5), key(*back, 5), key(*back, 6), key(7, 9, 7, 9, 5)])
    table, found = new_table(8), np.empty(4, dtype=np.int32)
    assert number_flows(keys, 4, table.keys, table.slots, 0, found) == 4
    assert reverse_flows(table, 4).tolist() == [1, 0, NO_FLOW, 3]
    assert np.count_nonzero(table.slots) == 4


def test_addresses_are_bytes_in_network_order() -> None:
    words = np.array([[-1, 0xFFFF << 32 | 0x0A000001]])
    assert addresses(words)[0].tobytes() == b"\xff" * 8 + bytes([0, 0, 255, 255, 10, 0, 0, 1])
