"""Acknowledgements by themselves: as each connection's events in order have them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from replay.backtest.acknowledged import DELAYED_NS, acknowledgements


def of(connection: list[int], sent: list[int], received: list[int]) -> list[int]:
    return acknowledgements(
        *(np.array(it, np.int64) for it in (connection, sent, received))
    ).tolist()


def one_by_one(connection: list[int], sent: list[int], received: list[int]) -> list[int]:
    """The same, event by event."""
    left = []
    for number in set(connection):
        mine = [place for place, it in enumerate(connection) if it == number]
        events = [(sent[it], 0) for it in mine] + [(received[it], 1) for it in mine]
        events = sorted(event for event in events if event[0] >= 0)
        waiting = 0
        for place, (time, answer) in enumerate(events):
            waiting = waiting + 1 if answer else 0
            following = events[place + 1][0] if place + 1 < len(events) else None
            if answer and waiting % 2 == 0:
                left.append(time)
            elif answer and (following is None or following - time > DELAYED_NS):
                left.append(time + DELAYED_NS)
                waiting = 0
    return sorted(left)


def test_a_request_carries_what_is_to_be_acknowledged() -> None:
    assert of([0, 0], [0, 1_000], [500, 1_500]) == [1_500 + DELAYED_NS]


def test_every_second_answer_without_a_request_between_is_acknowledged_at_once() -> None:
    assert of([0] * 4, [0, 1, 2, 3], [10, 20, 30, 40]) == [20, 40]
    assert of([0, 1], [0, 1], [10, 20]) == [10 + DELAYED_NS, 20 + DELAYED_NS]


def test_what_follows_a_late_acknowledgement_is_a_first_answer_again() -> None:
    later = 10 + 3 * DELAYED_NS
    assert of([0, 0], [0, 1], [10, later]) == [10 + DELAYED_NS, later + DELAYED_NS]


def test_what_was_not_answered_is_not_acknowledged() -> None:
    assert of([0, 0, 0], [0, 1, 2], [10, -1, 20]) == [20]
    assert of([], [], []) == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 200_000_000),
            st.one_of(st.just(-1), st.integers(0, 100_000_000)),
        ),
        max_size=30,
    )
)
def test_it_is_what_each_connection_sees(drawn: list[tuple[int, int, int]]) -> None:
    connection, sent = [it for it, _, _ in drawn], [it for _, it, _ in drawn]
    received = [at + took if took >= 0 else -1 for _, at, took in drawn]
    assert of(connection, sent, received) == one_by_one(connection, sent, received)
