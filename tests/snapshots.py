"""Texts kept beside the tests: what a report said when a person last read it.

REPLAY_SNAPSHOTS=write pytest ... writes them anew; read the difference before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path


def same_as_kept(text: str, path: Path) -> bool:
    """Compare `text` with the snapshot at `path`."""
    if os.environ.get("REPLAY_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8") == text
