"""What may be given beside a recording: results of clients, counters, settings; known by content.

A file is read as soon as it is named, so that what is wrong with it is said before long work.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replay.errors import TraceError
from replay.ingest import device_counters, ethtool, interrupts, memtier, mutilate, sysfs, wrk
from replay.ingest.client import LONGEST_TEXT, ClientRun
from replay.ingest.ingested import source_entry
from replay.ingest.interrupts import Interrupts
from replay.ingest.netdev import document_of, is_netdev, read_netdev
from replay.ingest.settings import Settings
from replay.ingest.snapshots import Snapshot, stamp_of


@dataclass(frozen=True)
class Attachment:
    """One file, read. All but `entry` may be empty; a file is of one kind."""

    where: str
    entry: dict[str, Any]  # of the manifest's sources
    runs: list[ClientRun] = field(default_factory=list)
    settings: list[Settings] = field(default_factory=list)
    interrupts: Snapshot[Interrupts] | None = None
    counters: Snapshot[dict[str, int]] | None = None

    @property
    def kind(self) -> str:
        """What it is, as in the manifest."""
        return str(self.entry["format"])


#: kind: what marks a text of it, and its reader. Of the first that fits a text is.
_RUNS: dict[str, tuple[re.Pattern[str], Callable[[str, str], list[ClientRun]]]] = {
    "mutilate": (mutilate.HEADER, mutilate.read_mutilate),
    "wrk": (wrk.HEADER, wrk.read_wrk),
    "memtier": (memtier.HEADER, memtier.read_memtier),
}
_SETTINGS: dict[str, tuple[re.Pattern[str], Callable[[str, str], list[Settings]]]] = {
    "ethtool": (ethtool.HEADER, ethtool.read_ethtool),
    "sysfs": (sysfs.LINE, sysfs.read_sysfs),
}
_INTERRUPTS, _COUNTERS, _NETDEV = "interrupts", "ethtool -S", "netdev-genl"

#: Enough of a text to tell what it is.
_HEAD = 1 << 16


def is_attachment(path: Path) -> bool:
    """Whether the file at `path` is of a kind that may be given beside a recording."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if b"\0" in head:
            return False
        if head.lstrip()[:1] in (b"[", b"{"):
            head += file.read(LONGEST_TEXT)
    text = head.decode("utf-8", "replace")
    return _kind_of_text(text) is not None or _kind_of_document(document_of(text)) is not None


def read_attachment(path: Path) -> Attachment:
    """Read the file at `path`. Raises TraceError where it is too long, damaged or of no kind."""
    where = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST_TEXT + 1)
            written = path.stat().st_mtime_ns
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TraceError(f"{path}: cannot be read: {reason}") from None
    if len(raw) > LONGEST_TEXT:
        raise TraceError(f"{path}: longer than {LONGEST_TEXT >> 20} MiB, which no such output is")
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n")
    document = None
    kind = _kind_of_text(text)
    if kind is None:
        document = document_of(text)
        kind = _kind_of_document(document)
    if kind is None:
        raise TraceError(
            f"{path}: is none of what may stand beside a recording: output of mutilate, wrk, wrk2"
            " or memtier_benchmark, /proc/interrupts, ethtool -S -c -g -l -x -i, napi-get"
        )
    entry = {**source_entry(path, memoryview(raw)), "format": kind}
    if document is not None:
        if kind == "memtier":
            return Attachment(where, entry, runs=memtier.read_memtier_json(where, document))
        read = ethtool.read_ethtool_json if kind == "ethtool" else read_netdev
        return Attachment(where, entry, settings=read(where, document))
    if kind in _RUNS:
        return Attachment(where, entry, runs=_RUNS[kind][1](where, text))
    if kind in _SETTINGS:
        return Attachment(where, entry, settings=_SETTINGS[kind][1](where, text))
    taken, rest = stamp_of(text)
    if kind == _INTERRUPTS:
        counted = interrupts.read_interrupts(where, rest)
        return Attachment(where, entry, interrupts=Snapshot(where, counted, written, taken))
    counters = device_counters.read_counters(where, rest)
    return Attachment(where, entry, counters=Snapshot(where, counters, written, taken))


def _kind_of_text(text: str) -> str | None:
    """Return the kind of a text; None where it is none, or a document."""
    for kind, (mark, _) in {**_RUNS, **_SETTINGS}.items():
        if mark.search(text):
            return kind
    rest = stamp_of(text)[1]
    if interrupts.HEADER.match(rest):
        return _INTERRUPTS
    return _COUNTERS if device_counters.HEADER.search(rest) else None


def _kind_of_document(document: Any) -> str | None:
    """Return the kind of a document, None where it is none."""
    if memtier.is_memtier(document):
        return "memtier"
    if ethtool.is_ethtool(document):
        return "ethtool"
    return _NETDEV if document is not None and is_netdev(document) else None
