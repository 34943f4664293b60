"""What a recording of kernel events did not see: told by events that cannot follow each other.

A CPU's switches form a chain: each names the thread before it. Where that is not the one that got
the CPU last, a switch is missing. A thread that gets the CPU from the idle task was woken before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.engine.accelerate import jit_in_place
from replay.ingest.reconstruct_events import Events
from replay.ingest.reconstruct_points import Point
from replay.ingest.reconstruct_state import Columns
from replay.ingest.recording import Recording
from replay.trace.holes import Hole
from replay.trace.schema import EventKind

Int64s = npt.NDArray[np.int64]

_RUN, _WAKE = int(EventKind.RUN), int(EventKind.WAKE)

#: Breaks of a chain that are kept one by one in `gaps`.
MOST_BREAKS = 10_000
#: Fewer than one in so many are the edges of a sound recording: threads on their way at its start.
_SOUND = 1_000
#: A recording this long in which a CPU says nothing did not record it: each has housekeeping.
_LONG_NS = 2_000_000_000


class Holes(NamedTuple):
    """What is missing, and where."""

    holes: list[Hole]
    gaps: list[dict[str, Any]]  # rows of the gaps table


class _Chain(NamedTuple):
    """How the events of switches and wake-ups fit together."""

    counts: Int64s  # (4,) switches, missing before them; from idle, of these without a wake-up
    breaks: Int64s  # (MOST_BREAKS, 2) from the last event on a CPU to the switch that shows it


def find_holes(recording: Recording, events: Events) -> Holes:
    """Return what is missing from a recording's events."""
    holes: list[Hole] = []
    gaps: list[dict[str, Any]] = []
    total, lost = len(recording.points.time), sum(loss.records for loss in recording.losses)
    if lost:
        share = lost / (lost + total)
        holes.append(Hole("the records were lost", share, "arrivals and service times"))
    chain = _follow(events)
    switches, missing, from_idle, unwoken = (int(count) for count in chain.counts)
    if missing * _SOUND > switches:
        share = missing / (switches + missing)
        cause = "the switches between threads were not recorded, as of an idle CPU in some VMs"
        holes.append(Hole(cause, share, "service times and idle time"))
        gaps += [_gap(begin, end) for begin, end in chain.breaks[:missing].tolist()]
    if events.survey.of(Point.WAKEUP, Point.WAKING) and unwoken * _SOUND > from_idle:
        cause = "the wake-ups of threads from idle were not recorded"
        holes.append(Hole(cause, unwoken / from_idle, "causes of polls and interrupt counts"))
    absent, online = _absent(recording, events)
    if absent:
        cause = f"the CPUs were not recorded ({_listed(absent)})"
        holes.append(Hole(cause, len(absent) / online, "what ran there, and what it sent"))
        gaps.append(_gap(0, recording.duration))
    if recording.cut is not None:
        holes.append(Hole("the recording's end is missing", None, "everything after the cut"))
    return Holes(holes, gaps)


def _gap(begin: int, end: int) -> dict[str, Any]:
    return {"start_ns": begin, "end_ns": end, "source": 0, "cause": "unrecorded", "lost": None}


def _absent(recording: Recording, events: Events) -> tuple[list[int], int]:
    """Return the CPUs that were online and not recorded, and how many were online."""
    online = recording.facts.get("host", {}).get("cpus")
    if not isinstance(online, int) or not 1 <= online <= 1 << 16:
        return [], 0
    told = set(np.flatnonzero(events.survey.per_cpu).tolist())
    if recording.cpus is not None:
        told |= recording.cpus
    elif recording.duration < _LONG_NS or not events.survey.of(Point.SWITCH):
        return [], online
    return sorted(set(range(online)) - told), online


def _listed(cpus: list[int]) -> str:
    return ", ".join(map(str, cpus[:8])) + ", ..." * (len(cpus) > 8)


def _follow(events: Events) -> _Chain:
    """Follow each CPU's switches and each thread's wake-ups."""
    chain = _Chain(np.zeros(4, np.int64), np.zeros((MOST_BREAKS, 2), np.int64))
    cpus = len(events.survey.per_cpu)
    threads = events.survey.highest_tid + 1
    runs, times = np.full(cpus, -1, np.int64), np.zeros(cpus, np.int64)
    began, woken = np.zeros(threads, np.int64), np.zeros(threads, np.int64)
    for part in mapped.steps(len(events.columns.time)):
        _walk(events.columns, part.start, part.stop, runs, times, began, woken, chain)
    return chain


@jit_in_place
def _walk(
    events: Columns,
    begin: int,
    end: int,
    runs: Int64s,
    times: Int64s,
    began: Int64s,
    woken: Int64s,
    chain: _Chain,
) -> None:
    """Fill `chain`. runs, times: by CPU, who has it and its last event; began, woken: by thread,
    1 + when it got a CPU last and when it was woken last; 0, -1 of runs: not known.
    """
    for row in range(begin, end):
        kind = events.kind[row]
        cpu = events.cpu[row]
        time = events.time[row]
        if kind == _RUN:
            tid = events.tid[row]
            before = events.value[row]
            chain.counts[0] += 1
            if runs[cpu] >= 0 and runs[cpu] != before:
                if chain.counts[1] < len(chain.breaks):
                    chain.breaks[chain.counts[1], 0] = times[cpu]
                    chain.breaks[chain.counts[1], 1] = time
                chain.counts[1] += 1
            if before == 0 and tid != 0 and began[tid] > 0:
                chain.counts[2] += 1
                if woken[tid] < began[tid]:
                    chain.counts[3] += 1
            runs[cpu] = tid
            if tid != 0:
                began[tid] = time + 1
        elif kind == _WAKE:
            woken[events.tid[row]] = time + 1
        times[cpu] = time
