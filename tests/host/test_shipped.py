from __future__ import annotations

from pathlib import Path

import pytest

from replay.errors import PolicyError
from replay.host import GENERIC, host_of, shipped_names, write_host


def test_every_shipped_host_says_what_it_is_and_where_its_costs_come_from() -> None:
    names = shipped_names()
    assert {"bench", "epyc-7662-cx5", GENERIC.name} <= set(names)
    for name in names:
        host = host_of(name)
        assert host.name == name
        assert host.about
    assert all(host_of("bench").costs[name].source for name in ("irq_ns", "packet_ns"))


def test_a_file_is_a_host_too(tmp_path: Path) -> None:
    write_host(tmp_path / "mine.toml", GENERIC)
    assert host_of(tmp_path / "mine.toml") == GENERIC
    with pytest.raises(PolicyError, match="cannot be read"):
        host_of("benhc")
