"""What a batch of requests takes the thread: for each request and notification, once, interrupted.

A recorded service lies between two transmissions or returns, so it says nothing of what follows the
last of them; batches as a whole say that, and a second request of a batch is cheaper than the only
one: what is done once is done.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from replay.calibration.fit import Flags, Floats
from replay.intervals import Int64s, Recorder, Timeline
from replay.trace.schema import EventKind

#: Batches alike that say something together, and what of them is left out above: pauses.
FEWEST = 30
PAUSES = 0.05


@dataclass(frozen=True)
class Batches:
    """Costs in ns, recording taken off."""

    request_ns: float  # more for each request, up to the next or to the next call
    notified_ns: float  # more for each notification of the other side
    once_ns: float  # more for each batch
    count: int  # batches seen
    interrupted_ns: Floats  # what each NAPI thread that came between took, but for its own time


def batches(line: Timeline, recorder: Recorder) -> Batches | None:
    """Return what undisturbed batches of a NAPI thread's host tell; None where they are too few.

    From the return of epoll_wait to the same worker's next call, with nothing between but
    transmissions and the softirqs that they raise.
    """
    mine = np.isin(line.tid, line.workers)
    rows = np.flatnonzero(mine & np.isin(line.kind, (EventKind.EPOLL_RETURN, EventKind.EPOLL_WAIT)))
    back = line.kind[rows] == EventKind.EPOLL_RETURN
    same = line.tid[rows[:-1]] == line.tid[rows[1:]]
    whole = np.flatnonzero(back[:-1] & ~back[1:] & same)
    begin, end = rows[whole], rows[whole + 1]

    def within(flags: np.ndarray) -> np.ndarray:
        before = np.append(0, np.cumsum(flags))
        counted: np.ndarray = before[end] - before[begin + 1]
        return counted

    sent = mine & (line.kind == EventKind.XMIT)
    raised = mine & (line.kind == EventKind.SOFTIRQ) & np.append(False, sent[:-1])
    sends, notices, requests = within(sent), within(raised), line.value[begin]
    # a second notification is mostly due to a delay, and would be charged with it
    others = within(~(sent | raised))
    spent = line.time[end] - line.time[begin] - recorder.event_ns * (1 + sends + 2 * notices)
    plain = (others == 0) & (notices <= 1)
    said, means, weights = [], [], []
    for size, told in np.unique(np.stack([requests, notices])[:, plain], axis=1).T:
        alike = np.sort(spent[plain & (requests == size) & (notices == told)])
        if size and len(alike) >= FEWEST:
            said.append((1.0, size, told))
            means.append(float(np.mean(alike[: int(len(alike) * (1 - PAUSES))])))
            weights.append(np.sqrt(len(alike)))
    if len(said) < 3 or len({size for _, size, _ in said}) < 2:
        return None
    weight = np.array(weights)
    matrix = np.array(said) * weight[:, None]
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        return None
    once, request, notified = np.linalg.lstsq(matrix, np.array(means) * weight, rcond=None)[0]
    if min(request, notified) < 0:
        return None
    count = int(np.count_nonzero(plain))
    usual = once + request * requests + notified * notices
    between = _between(line, begin, end, others) & (notices <= 1)
    switches = np.flatnonzero(line.kind == EventKind.RUN)
    away = switches[np.minimum(np.searchsorted(switches, begin[between]), len(switches) - 2)]
    back_at = switches[np.searchsorted(switches, away) + 1]
    lasted = line.time[back_at] - line.time[away] + recorder.event_ns
    more: Floats = (spent - usual)[between] - lasted
    return Batches(float(request), float(notified), max(0.0, float(once)), count, more)


def _between(line: Timeline, begin: Int64s, end: Int64s, others: Int64s) -> Flags:
    """Return in which batches a NAPI thread had the CPU once, and nothing else happened."""
    run = line.kind == EventKind.RUN
    runs = np.append(0, np.cumsum(run))
    switches = np.append(np.flatnonzero(run), [len(run), len(run)])
    first = np.searchsorted(switches[:-2], begin)
    away, back = switches[first], switches[first + 1]
    napi = np.isin(line.tid[np.minimum(away, len(run) - 1)], line.napi_threads)
    found: Flags = (runs[end] - runs[begin + 1] == 2) & napi & (others == back - away + 1)
    return found
