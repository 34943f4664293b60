"""Bundles of kept runs: a stranger's file of runs names nothing outside of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.errors import TraceError
from replay.lab.bundles import write_bundles


@pytest.mark.parametrize(
    ("rig", "take"),
    [("memcached", "base-../../other"), ("../other", "base-10k"), ("/a", "base-1k")],
)
def test_a_bundle_that_would_lie_elsewhere_is_refused(tmp_path: Path, rig: str, take: str) -> None:
    folder, other = tmp_path / "kept", tmp_path / "other.trace"
    folder.mkdir()
    other.mkdir()
    runs = {"sweep": [], "takes": [{"name": take}], "rig": {"name": rig}, "timer": {}}
    with pytest.raises(TraceError, match="is no name of a bundle"):
        write_bundles(runs, folder, folder)
    assert other.is_dir()
