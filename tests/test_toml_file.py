from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from replay.errors import PolicyError
from replay.toml_file import LONGEST, read_toml


def refuse(tables: dict[str, Any]) -> None:
    raise PolicyError(f"irq_ns = {tables['irq_ns']} is none")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("irq_ns = 7", "host.toml: irq_ns = 7 is none"),
        ("irq_ns =", "host.toml: not TOML: "),
        ("irq_ns = " + "[" * 100_000, "host.toml: not TOML: "),
        ("irq_ns = 1" + "0" * 5_000, "host.toml: not TOML: "),
        ("#" * (LONGEST + 1), "host.toml: is longer than 1,048,576 bytes"),
        (None, "host.toml: cannot be read: No such file"),
    ],
)
def test_one_line_names_the_file(text: str | None, says: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "host.toml").write_text(text)
    with pytest.raises(PolicyError, match=says):
        read_toml(tmp_path / "host.toml", refuse)


def test_tables_become_what_is_made_of_them(tmp_path: Path) -> None:
    (tmp_path / "host.toml").write_text("[costs]\nirq_ns = 7\n")
    assert read_toml(tmp_path / "host.toml", dict) == {"costs": {"irq_ns": 7}}
