"""Kernel events as one recorder saw them: what every reader of a recording yields.

Readers (perf.data, text, trace.dat, JSON) make a Recording; `rebuild.rebuild` makes events, packets
and the manifest out of it, the same for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.ingest.points_order import in_order
from replay.ingest.reconstruct_points import Points
from replay.ingest.reconstruct_survey import Counting

CLOCK_MONOTONIC = "CLOCK_MONOTONIC"


@dataclass(frozen=True)
class Loss:
    """Records that the kernel could not store."""

    time: int  # ns since the trace's start; 0 where it is not known
    cpu: int  # -1 where it is not known
    records: int


@dataclass(frozen=True)
class Recording:
    """Tracepoints, the names that their numbers stand for, and what was lost."""

    points: Points  # at least one
    origin: int  # of the recording's clock, ns, at the trace's zero: the first point's time
    devices: list[str]  # by the number that points name them by
    threads: dict[int, str]  # names by thread id; NAPI threads' begin with "napi/"
    clock: str  # as people call it; CLOCK_MONOTONIC lets timers' lengths be told
    losses: list[Loss] = field(default_factory=list)
    cpus: set[int] | None = None  # that were recorded; None: the recorder does not say
    cut: str | None = None  # where it ends too early ("byte 4711", "line 12"); None: it is whole
    watchdog: int | None = None  # what stands for napi_watchdog() in `other`; None: to be found
    #: Of the manifest: host (hostname, kernel, cpu, cpus), recorded_by, wall_origin_ns, ...
    facts: dict[str, Any] = field(default_factory=dict)
    #: Lines for the summary on what this reader had to leave out, and how to record it next time.
    left_out: list[str] = field(default_factory=list)
    counted: Counting | None = None  # the points, where that was done as they were read
    runs: npt.NDArray[np.int64] | None = None  # numbers of points earlier than the one before

    def blocks(self) -> Iterator[Points]:
        """Yield all points in order of time, block by block; a block lasts until the next one."""
        return in_order(self.points, self.runs)

    @property
    def duration(self) -> int:
        """Nanoseconds from the first point up to and with the last."""
        ends = np.append([] if self.runs is None else self.runs, len(self.points.time)) - 1
        return int(self.points.time[ends.astype(np.int64)].max()) + 1
