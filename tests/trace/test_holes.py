"""What a recording lacks: read from a manifest, and what it does to confidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.errors import TraceError
from replay.trace.bundle import Trace
from replay.trace.holes import Hole, confidence, holes_of


def trace(holes: object) -> Trace:
    return Trace(Path("some.trace"), {"holes": holes})


def test_entries_are_read_as_they_were_written() -> None:
    holes = [Hole("the records were lost", 0.25, "arrivals"), Hole("its end is missing", None, "x")]
    assert holes_of(trace([hole.to_dict() for hole in holes])) == holes
    assert holes_of(Trace(Path("some.trace"), {})) == []
    assert str(holes[0]) == "25% of the records were lost (arrivals less certain)"
    assert str(holes[1]) == "its end is missing (x less certain)"


@pytest.mark.parametrize(
    ("shares", "level"),
    [
        ((), "full"),
        ((0.001,), "full"),
        ((0.001, 0.01), "lowered"),
        ((None,), "lowered"),
        ((0.02, 0.1), "low"),
    ],
)
def test_the_largest_share_decides(shares: tuple[float | None, ...], level: str) -> None:
    assert confidence(Hole("x", share, "y") for share in shares) == level


@pytest.mark.parametrize(
    "holes",
    [
        {"cause": "x"},
        "x",
        [1],
        [{"cause": "x"}],
        [{"cause": 1, "share": 0.1, "affects": "y"}],
        [{"cause": "x", "share": 1.1, "affects": "y"}],
        [{"cause": "x", "share": True, "affects": "y"}],
    ],
)
def test_what_is_malformed_is_refused(holes: object) -> None:
    with pytest.raises(TraceError, match=r"some: manifest\.json: holes"):
        holes_of(trace(holes))
