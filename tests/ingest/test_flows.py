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
    pack,
    reverse_flows,
    unpack,
    with_room,
)

_word = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 3)
_port = st.integers(0, 65_535)


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


@given(_port, _port, st.integers(0, 255), st.sampled_from([4, 6]), st.integers(-1, 4095))
@settings(deadline=None)  # the first example compiles
def test_packed_words_unpack(port: int, other: int, protocol: int, version: int, vlan: int) -> None:
    parts = unpack(np.array([pack(port, other, protocol, version == 6, vlan)]))
    assert [int(value[0]) for value in parts.values()] == [port, other, protocol, version, vlan]


def test_the_opposite_direction_has_the_same_protocol_and_vlan() -> None:
    keys = np.array(
        [
            (0, 1, 0, 2, pack(10, 20, 6, False, 5)),
            (0, 2, 0, 1, pack(20, 10, 6, False, 5)),
            (0, 2, 0, 1, pack(20, 10, 17, False, 5)),
            (0, 2, 0, 1, pack(20, 10, 6, False, -1)),
            (3, 3, 3, 3, pack(9, 9, 6, True, -1)),  # to itself
        ]
    )
    table, found = new_table(8), np.empty(5, dtype=np.int32)
    assert number_flows(keys, 5, table.keys, table.slots, 0, found) == 5
    assert reverse_flows(table, 5).tolist() == [1, 0, NO_FLOW, NO_FLOW, 4]
    assert table.slots.astype(bool).sum() == 5


def test_addresses_are_bytes_in_network_order() -> None:
    words = np.array([[-1, 0xFFFF << 32 | 0x0A000001]])
    assert addresses(words)[0].tobytes() == b"\xff" * 8 + bytes([0, 0, 255, 255, 10, 0, 0, 1])
