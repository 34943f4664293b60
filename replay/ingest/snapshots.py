"""Counters read twice, before and after: what they counted in between, and how long that was.

A snapshot says when it was taken if its first line is what `date +%s.%N` prints; else the time at
which its file was last written stands for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from replay.errors import TraceError
from replay.units import SECOND

#: Snapshots closer than this were copied, not taken.
_SHORTEST_NS = SECOND // 10

_STAMP = re.compile(r"\s*(\d{9,11})(?:[.,](\d{1,9}))?\s*\n")

Counters = TypeVar("Counters")


@dataclass(frozen=True)
class Snapshot(Generic[Counters]):
    """Counters at one instant."""

    where: str
    counters: Counters
    written_ns: int  # wall clock, when its file was last written
    taken_ns: int | None  # wall clock, as its first line says; None where that says nothing


@dataclass(frozen=True)
class Pair(Generic[Counters]):
    """Two snapshots, the earlier one first."""

    before: Snapshot[Counters]
    after: Snapshot[Counters]
    seconds: float
    stamped: bool  # both say themselves when they were taken

    @property
    def method(self) -> str:
        """How the time between them is known."""
        how = "" if self.stamped else ", by when the two files were written"
        return f"before and after, {self.seconds:.6g} s apart{how}"


def stamp_of(text: str) -> tuple[int | None, str]:
    """Return the time that the first line of `text` says, ns since 1970, and the rest."""
    match = _STAMP.match(text)
    if match is None:
        return None, text
    return int(match[1]) * SECOND + int((match[2] or "0").ljust(9, "0")), text[match.end() :]


def pairs(
    snapshots: Sequence[Snapshot[Counters]],
    total: Callable[[Counters], int],
    at_least_s: float = 0.0,
) -> list[Pair[Counters]]:
    """Return snapshots two by two, in the order of what they count, which only ever grows.

    `at_least_s`: how long what they enclose took. Raises TraceError where one has no partner, or
    where their times cannot be those of two snapshots around it.
    """
    ordered = sorted(snapshots, key=lambda one: total(one.counters))
    if len(ordered) % 2:
        raise TraceError(
            f"{ordered[-1].where}: {len(ordered)} snapshot{'s'[: len(ordered) != 1]} of its kind:"
            " one before and one after are needed"
        )
    return [
        _pair(before, after, at_least_s)
        for before, after in zip(ordered[::2], ordered[1::2], strict=True)
    ]


def _pair(
    before: Snapshot[Counters], after: Snapshot[Counters], at_least_s: float
) -> Pair[Counters]:
    if before.taken_ns is not None and after.taken_ns is not None:
        apart, stamped = after.taken_ns - before.taken_ns, True
    else:
        apart, stamped = after.written_ns - before.written_ns, False
    if apart < max(_SHORTEST_NS, at_least_s * SECOND):
        needed = f"; what they enclose took {at_least_s:.6g} s" if at_least_s else ""
        unsaid = ", by when the files were written: let each begin with a line of date +%s.%N"
        raise TraceError(
            f"{after.where}: {apart / SECOND:.6g} s after {before.where}{needed}"
            f"{'' if stamped else unsaid}"
        )
    return Pair(before, after, apart / SECOND, stamped)
