"""Two snapshots: which came first, and how far apart they were."""

from __future__ import annotations

import pytest

from replay.errors import TraceError
from replay.ingest.snapshots import Snapshot, pairs, stamp_of
from replay.units import SECOND


def snapshot(count: int, written_s: float, taken_s: float | None = None) -> Snapshot[int]:
    taken = None if taken_s is None else round(taken_s * SECOND)
    return Snapshot(f"at{count}", count, round(written_s * SECOND), taken)


def test_the_first_line_may_say_when() -> None:
    assert stamp_of("1700000000.000000007\nrest\n") == (1_700_000_000 * SECOND + 7, "rest\n")
    assert stamp_of("1700000000\nrest")[0] == 1_700_000_000 * SECOND
    for text in ("rest", "17\nrest", "1700000000 x\nrest", ""):
        assert stamp_of(text) == (None, text)


def test_pairs_are_in_the_order_of_what_they_count() -> None:
    taken = [snapshot(7, 20), snapshot(1, 10), snapshot(9, 34), snapshot(8, 30)]
    one, two = pairs(taken, lambda count: count)
    assert [(it.before.counters, it.after.counters, it.seconds) for it in (one, two)] == [
        (1, 7, 10.0),
        (8, 9, 4.0),
    ]
    assert "when the two files were written" in one.method
    (stamped,) = pairs([snapshot(1, 50, 1.5), snapshot(2, 50, 4.0)], lambda count: count)
    assert (stamped.seconds, stamped.method) == (2.5, "before and after, 2.5 s apart")


@pytest.mark.parametrize(
    ("taken", "reason"),
    [
        ([snapshot(1, 1)], "1 snapshot of its kind: one before and one after"),
        ([snapshot(i, i) for i in range(3)], "3 snapshots of its kind"),
        (
            [snapshot(1, 10), snapshot(2, 10.01)],
            "0.01 s after at1; what they enclose took 3 s, by when",
        ),
        ([snapshot(1, 10), snapshot(2, 12)], "what they enclose took 3 s"),
        ([snapshot(1, 1, 9), snapshot(2, 30, 5)], r"at2: -4 s after at1; what"),
    ],
)
def test_snapshots_that_cannot_be_a_pair(taken: list[Snapshot[int]], reason: str) -> None:
    with pytest.raises(TraceError, match=reason):
        pairs(taken, lambda count: count, 3.0)
