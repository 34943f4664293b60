"""What a text says beside its events, and which of its lines were left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.ingest.little_endian import Bytes
from replay.ingest.perf_header import CLOCKS
from replay.ingest.text_names import NO_SLOT, Names, spelled
from replay.ingest.text_walk import (
    CPU_MISSING,
    FUNCTION_CALL,
    INCOMPLETE,
    MOST_DECIMALS,
    OTHER_EVENT,
    POINT,
    SHOWN,
    TID_MISSING,
    UNPARSED,
    Found,
)

_HEAD = 1 << 16  # bytes in which a tool speaks of the recording
_WIDEST = 72  # of a line that is shown
_NAMES = 8

#: Of perf script --header, and of ftrace's `trace` file.
_HOST = {
    "hostname": re.compile(rb"^# hostname : (.+)$", re.MULTILINE),
    "kernel": re.compile(rb"^# os release : (.+)$", re.MULTILINE),
    "cpu": re.compile(rb"^# cpudesc : (.+)$", re.MULTILINE),
    "cpus": re.compile(
        rb"^# nrcpus online : (\d{1,6})$|^#.*#P:(\d{1,6})$|^cpus=(\d{1,6})$", re.MULTILINE
    ),
}
_COMMAND = re.compile(rb"^# cmdline : (.+)$", re.MULTILINE)
_CLOCK = re.compile(rb"^# clockid: \S+ \((\d{1,3})\)", re.MULTILINE)
_REFERENCE = re.compile(
    rb"^# reference time: .* = (\d{1,10})\.(\d{6}) \(TOD\) = (\d{1,9})\.(\d{9}) ", re.MULTILINE
)
_WRITTEN = re.compile(
    rb"^# entries-in-buffer/entries-written: (\d{1,15})/(\d{1,15}) ", re.MULTILINE
)


@dataclass
class Said:
    """What is kept of lines that are no points."""

    head: bytes = b""
    shown: dict[int, list[str]] = field(default_factory=lambda: {UNPARSED: [], INCOMPLETE: []})

    def collect(self, data: Bytes, start: int, before: npt.NDArray[np.int64], found: Found) -> None:
        """Keep, of a chunk that begins at `start`, what was found since counts were `before`."""
        if not self.head:
            self.head = data[start : start + _HEAD].tobytes()
        for status, lines in self.shown.items():
            for number in range(int(before[status]), min(int(found.counts[status]), SHOWN)):
                place, length = found.shown[status, number]
                lines.append(_clipped(data[place : place + length].tobytes()))

    @property
    def overwritten(self) -> int:
        """How many events ftrace's ring no longer held when it was read."""
        said = _WRITTEN.search(self.head)
        return max(int(said[2]) - int(said[1]), 0) if said else 0


def facts(said: Said, found: Found, origin: int) -> tuple[str, dict[str, Any]]:
    """Return the clock's name, and what the text says of the host and the recorder."""
    host: dict[str, Any] = {}
    for name, pattern in _HOST.items():
        match = pattern.search(said.head)
        if match is not None:
            host[name] = next(group for group in match.groups() if group).decode("utf-8", "replace")
    if "cpus" in host:
        host["cpus"] = int(host["cpus"])
    known: dict[str, Any] = {
        "host": host,
        "resolution_ns": 10 ** (9 - int(found.counts[MOST_DECIMALS])),
    }
    command = _COMMAND.search(said.head)
    if command is not None:
        known["recorded_by"] = command[1].decode("utf-8", "replace").strip()
    clock = _CLOCK.search(said.head)
    if clock is None:
        return "unknown: the text does not name it", known
    reference = _REFERENCE.search(said.head)
    if reference is not None:
        wall = int(reference[1]) * 10**9 + int(reference[2]) * 1000
        known["wall_origin_ns"] = wall - int(reference[3]) * 10**9 - int(reference[4]) + origin
    return CLOCKS.get(int(clock[1]), f"clock {int(clock[1])}"), known


def left_out(said: Said, found: Found, names: Names) -> list[str]:
    """Return lines for the summary on what is not used, and on what the dialect does not tell."""
    count = found.counts
    lines = []
    if count[UNPARSED]:
        lines.append(f"{count[UNPARSED]:,} lines not understood: {_listed(said.shown[UNPARSED])}")
    if count[INCOMPLETE]:
        shown = _listed(said.shown[INCOMPLETE])
        lines.append(f"{count[INCOMPLETE]:,} lines lack what their event needs: {shown}")
    if count[OTHER_EVENT]:
        others = ", ".join(_other_names(names))
        lines.append(f"{count[OTHER_EVENT]:,} lines of other events left out: {others}")
    if count[FUNCTION_CALL]:
        lines.append(f"{count[FUNCTION_CALL]:,} lines of the function tracer left out")
    points = count[POINT]
    if count[CPU_MISSING]:
        lines.append(
            f"{_part(count[CPU_MISSING], points)} no CPU: their causes and durations unknown"
        )
    if count[TID_MISSING]:
        lines.append(f"{_part(count[TID_MISSING], points)} no thread")
    if count[MOST_DECIMALS] < 9:
        unit = {6: "whole microseconds", 3: "whole milliseconds"}
        decimals = int(count[MOST_DECIMALS])
        said_unit = unit.get(decimals, f"units of {10 ** (9 - decimals):,} ns")
        lines.append(f"times are in {said_unit} (perf script --ns, trace-cmd report -t)")
    return lines


def nothing_known(said: Said, found: Found, names: Names) -> str:
    """Return why a text yields nothing."""
    lines = int(found.counts[: len(said.shown) + 6].sum())
    others = ", ".join(_other_names(names))
    shown = _listed(said.shown[UNPARSED] or said.shown[INCOMPLETE])
    what = f"its events: {others}" if others else f"it begins with {shown}" if shown else "empty"
    return (
        f"{lines:,} lines, none of a tracepoint that is known ({what}); record napi:napi_poll,"
        " net:napi_gro_receive_entry, net:net_dev_start_xmit and sched:sched_switch at least"
    )


def _part(some: int, points: int) -> str:
    return "its lines name" if some == points else f"{some:,} of {points:,} lines name"


def _other_names(names: Names) -> list[str]:
    """Return the names of events that are not understood, the most frequent first."""
    others = [
        (-int(names.lines[place]), spelled(names, int(place)))
        for place in np.flatnonzero((names.slot == NO_SLOT) & (names.lines > 0))
    ]
    listed = [_clipped(name.encode()) for _, name in sorted(others)[:_NAMES]]
    return [*listed, "..."] if len(others) > _NAMES else listed


def _listed(lines: list[str]) -> str:
    return " | ".join(lines)


def _clipped(line: bytes) -> str:
    """Return a line as it can be shown: short, and without control characters."""
    text = line.decode("utf-8", "replace").strip()
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."
