"""Hash keys and transforms as people write them, and as a manifest keeps them."""

from __future__ import annotations

import pytest

from replay.errors import PolicyError
from replay.layout import VERIFICATION_KEY, Layout, hash_entries, hash_of
from replay.layout.key import SYMMETRIC_KEY, parse_key


def test_keys_have_names_or_digits() -> None:
    assert parse_key("microsoft") == VERIFICATION_KEY
    assert parse_key(" Symmetric ") == SYMMETRIC_KEY
    assert parse_key(VERIFICATION_KEY.hex(":")) == VERIFICATION_KEY  # as ethtool -x prints it
    assert parse_key(VERIFICATION_KEY.hex().upper()) == VERIFICATION_KEY
    assert len(SYMMETRIC_KEY) == 40
    assert set(SYMMETRIC_KEY[::2]) == {0x6D}
    assert set(SYMMETRIC_KEY[1::2]) == {0x5A}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("xyz", "RSS key 'xyz' is neither hexadecimal"),
        ("6d:5a", "RSS key of 2 bytes is outside 40 to 256 bytes"),
        ("00" * 257, "of 257 bytes is outside"),
        ("", "of 0 bytes is outside"),
    ],
)
def test_other_keys_are_refused(text: str, reason: str) -> None:
    with pytest.raises(PolicyError, match=reason):
        parse_key(text)


def test_a_manifest_keeps_what_was_said() -> None:
    entries = hash_entries("symmetric", "symmetric-xor", True)
    assert entries["rss_key"] == SYMMETRIC_KEY.hex(":")
    layout = Layout(**hash_of(entries))
    assert layout == Layout(key=SYMMETRIC_KEY, transform="symmetric-xor", inner=True)
    assert hash_entries() == {}
    assert hash_of({}) == {}
    for wrong in ({"rss_transform": "xor"}, {"rss_key": "1"}):
        with pytest.raises(PolicyError):
            hash_of(wrong)
    with pytest.raises(PolicyError, match="RSS transform 'xor' is none of none, symmetric-xor"):
        hash_entries(None, "xor")
