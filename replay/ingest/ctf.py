"""A CTF trace, of LTTng or of perf data convert: what babeltrace2 prints of it, as a Recording."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import replace
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import Any

from replay.errors import TraceError
from replay.ingest.recording import Recording
from replay.ingest.text import read_text

_TOOL = "babeltrace2"
_LONGEST = 1 << 20  # bytes of metadata that are hashed
_MOST_ERRORS = 1 << 12


class _Pipe:
    """What read_text takes, over a tool's output."""

    note: str | None = None

    def __init__(self, name: str, output: FileIO) -> None:
        self.name, self._output = name, output

    def readinto(self, room: memoryview) -> int:
        """Fill `room` as far as one read does."""
        return self._output.readinto(room) or 0


def read_ctf(folder: Path) -> Recording:
    """Read the traces in `folder`, at any depth. Raises TraceError where babeltrace2 is missing."""
    tool = shutil.which(_TOOL)
    if tool is None:
        raise TraceError(f"{folder}: a CTF trace is read by {_TOOL}, which is not installed")
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [tool, "--clock-seconds", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
        ) as run,
    ):
        try:
            assert isinstance(run.stdout, FileIO)
            recording = read_text(_Pipe(str(folder), run.stdout))
        except TraceError:
            run.kill()
            if run.wait() > 0:
                raise TraceError(f"{folder}: {_TOOL}: {_first_line(errors)}") from None
            raise
        failed = run.wait()
        said = _first_line(errors) if failed else ""
    recording.facts["recorded_by"] = "CTF"
    if failed:
        return replace(recording, cut=f"what {_TOOL} could not read ({said})")
    return recording


def ctf_entry(folder: Path) -> dict[str, Any]:
    """Return the manifest's entry of a CTF folder; the hash is of its metadata."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = next((path for path in sorted(files) if path.name == "metadata"), None)
    digest = sha256(found.read_bytes()[:_LONGEST] if found else b"").hexdigest()
    size = sum(path.stat().st_size for path in files)
    return {"name": folder.name, "size": size, "sha256": digest}


def _first_line(errors: Any) -> str:
    """Return the first line that the tool wrote to standard error."""
    errors.seek(0)
    lines = errors.read(_MOST_ERRORS).decode("utf-8", "replace").strip().splitlines()
    return lines[0][:200] if lines else "it failed without a word"
