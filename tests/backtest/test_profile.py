"""The bench's own file: read again as it was written, refused where it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.backtest.profile import kind_of, read_profile, shipped_profile, write_profile
from replay.errors import PolicyError


def test_a_profile_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    shipped = shipped_profile()
    write_profile(tmp_path / "clients.toml", shipped)
    assert read_profile(tmp_path / "clients.toml") == shipped


def test_moderation_decides_where_nothing_is_deferred() -> None:
    found = {
        kind: [
            it
            for it in ("base", "defer10", "suspend0", "suspend20", "fullbusy")
            if kind_of(it) == kind
        ]
        for kind in ("moderated", "timed")
    }
    assert found["moderated"] == ["base", "suspend0"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("base_us", "bse_us", "unknown key 'bse_us'"),
        ("[missed.timed]", "[missed.timer]", r"\[missed\]: unknown key 'timer'"),
        ("200000 = ", "fast = ", "'fast' is no number of queries/s"),
        ("200000 = ", '"\u00b2" = ', "is no number of queries/s"),
        ("200000 = ", "200000 = 7", r"200000 = 7\S* is outside 0 to 1"),
        ("jitter_us = ", "jitter_us = -", "jitter_us = -.* is outside 0 to 10000"),
        ("avg = ", "avg = 10", r"\[missed.moderated\]: avg = \S* is outside 0 to 100$"),
        ("about", "base_us = 1\nabout", "not TOML"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    place = tmp_path / "clients.toml"
    write_profile(place, shipped_profile())
    place.write_text(place.read_text().replace(old, new, 1))
    with pytest.raises(PolicyError, match=said) as caught:
        read_profile(place)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        read_profile(tmp_path / "none.toml")
