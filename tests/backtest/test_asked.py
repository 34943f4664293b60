from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.backtest.asked import NEVER_PAUSES, Pauses, pauses_of, seen, sent


def test_what_falls_due_in_a_pause_leaves_at_its_end_one_after_the_other() -> None:
    pauses = np.array([[100, 50]])
    found = sent(np.array([90, 100, 120, 149, 150, 400]), pauses, 10)
    assert found.tolist() == [90, 150, 160, 170, 180, 400]


def test_an_answer_in_a_pause_is_seen_at_its_end() -> None:
    pauses = np.array([[100, 50], [120, 10], [200, 5]])  # one within another
    found = seen(np.array([99, 100, 125, 131, 149, 150, 203, 206]), pauses)
    assert found.tolist() == [99, 150, 150, 150, 150, 150, 205, 206]


instants = st.lists(st.integers(0, 10_000), min_size=1, max_size=40).map(sorted)
spans = st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 3_000)), max_size=6).map(sorted)


@given(instants, spans, st.integers(0, 50))
def test_nothing_leaves_early_in_a_pause_or_closer_than_sending_takes(
    due: list[int], pauses: list[tuple[int, int]], send_ns: int
) -> None:
    found = sent(np.array(due), np.array(pauses, np.int64).reshape(-1, 2), send_ns)
    assert np.all(found >= due)
    assert np.all(np.diff(found) >= send_ns)
    assert not any(start <= found[0] < start + length for start, length in pauses)


def test_the_client_pauses_more_often_the_busier_the_server_is() -> None:
    def run(policy: str, idle_ns: int, pauses: int) -> dict[str, object]:
        return {
            "policy": {"name": policy},
            "load": {"rate": 1_000},
            "window_start_ns": 0,
            "window_end_ns": 1_000,
            "spinner": {"idle_ns": idle_ns},
            "client": {"pauses": [[5, 400 + number] for number in range(pauses)]},
        }

    found = pauses_of([run("base", 800, 1), run("base", 600, 2), run("napibusy", 100, 4)])
    assert found.busy == pytest.approx((30, 90))
    assert found.per_s == (1.5e6, 4e6)
    assert found.lengths.tolist() == [400, 400, 400, 401, 401, 402, 403]
    assert pauses_of([]) is NEVER_PAUSES


def test_pauses_are_drawn_at_their_rate() -> None:
    random = np.random.default_rng(1)
    pauses = Pauses((20.0, 40.0), (10.0, 30.0), np.array([1_000, 3_000]))
    drawn = pauses.draw(30.0, 100_000_000_000, random)
    assert 1_850 < len(drawn) < 2_150  # 20 a second for 100 s
    assert set(drawn[:, 1].tolist()) == {1_000, 3_000}
    assert np.all(np.diff(drawn[:, 0]) >= 0)
    assert not len(NEVER_PAUSES.draw(90.0, 10**9, random))
