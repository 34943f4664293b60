"""Kernel events of every recorder but perf: one reader each, and one way from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from replay.ingest.ingested import Ingested, Made, ignore
from replay.ingest.rebuild import rebuild
from replay.ingest.recording import Recording
from replay.ingest.sniff import RETIS, TEXT, TRACE_DAT
from replay.ingest.stream import Stream


def read_kernel_events(
    stream: Stream,
    kind: str,
    *,
    device: str | None = None,
    facts: dict[str, Any] | None = None,
    made: Made = ignore,
) -> Ingested:
    """Read a recording of this kind, as `sniff` names it.

    device, facts, made: as for `rebuild`. Raises TraceError where it cannot be read, holds no
    tracepoint that is known, or `device` received nothing.
    """
    recording = read_recording(stream, kind)
    read = rebuild(recording, device=device, facts=facts, made=made)
    return replace(read, manifest={"sources": [stream.entry()], **read.manifest})


def read_recording(stream: Stream, kind: str) -> Recording:
    """Read a recording of this kind. Raises TraceError."""
    return _reader(kind)(stream)


def read_ctf_folder(
    folder: Path,
    *,
    device: str | None = None,
    facts: dict[str, Any] | None = None,
    made: Made = ignore,
) -> Ingested:
    """Read a CTF trace like read_kernel_events."""
    from replay.ingest.ctf import ctf_entry, read_ctf

    read = rebuild(read_ctf(folder), device=device, facts=facts, made=made)
    return replace(read, manifest={"sources": [ctf_entry(folder)], **read.manifest})


def _reader(kind: str) -> Callable[[Stream], Recording]:
    """Return a format's reader; each pays for its own imports only."""
    if kind == TEXT:
        from replay.ingest.text import read_text

        return read_text
    if kind == TRACE_DAT:
        from replay.ingest.tracedat import read_trace_dat_stream

        return read_trace_dat_stream
    if kind == RETIS:
        from replay.ingest.retis import read_retis

        return read_retis
    raise ValueError(kind)
