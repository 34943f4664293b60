"""Batches: what they were made of comes back, and too few of them say nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from replay.calibration.batches import batches
from replay.intervals import Recorder, Timeline
from replay.trace.schema import EventKind

WORKER, NAPI = 7, 3
REQUEST, NOTIFIED, ONCE, AWAY, SWITCHED = 5_000, 6_000, 400, 7_000, 1_500
PROBE = 300


class Told:
    """The events of a CPU, one behind the other; each takes PROBE to record."""

    def __init__(self) -> None:
        self.now = 0
        self.rows: list[tuple[int, EventKind, int, int]] = []

    def tell(self, kind: EventKind, took: int, tid: int = WORKER, value: int = 0) -> None:
        self.rows.append((self.now, kind, tid, value))
        self.now += PROBE + took

    def batch(self, requests: int, *, notified: bool, interrupted: bool = False) -> None:
        self.tell(EventKind.EPOLL_RETURN, ONCE, value=requests)
        for number in range(requests):
            if interrupted and number == 0:
                self.tell(EventKind.RUN, AWAY, NAPI)
                self.tell(EventKind.RUN, SWITCHED)
            self.tell(EventKind.XMIT, REQUEST)
            if notified and number == 0:
                self.tell(EventKind.SOFTIRQ, NOTIFIED + PROBE)  # its end is recorded, too
        self.tell(EventKind.EPOLL_WAIT, 50_000)

    def line(self) -> Timeline:
        time, kind, tid, value = (np.array(it, np.int64) for it in zip(*self.rows, strict=True))
        nothing = np.zeros(len(time), np.int64)
        return Timeline(
            *(time, kind, tid, value, nothing, nothing, nothing),
            receiver=0,
            napi_threads=np.array([NAPI]),
            workers=np.array([WORKER]),
        )


def test_what_batches_were_made_of_comes_back() -> None:
    told = Told()
    for number in range(400):
        told.batch(1 + number % 3, notified=number % 4 > 1, interrupted=number % 7 == 0)
    found = batches(told.line(), Recorder(PROBE, 1.0))
    assert found is not None
    assert found.request_ns == pytest.approx(REQUEST)
    assert found.notified_ns == pytest.approx(NOTIFIED)
    assert found.once_ns == pytest.approx(ONCE)
    assert found.interrupted_ns == pytest.approx(np.full(len(found.interrupted_ns), SWITCHED))
    assert len(found.interrupted_ns) == len(range(0, 400, 7))
    assert found.count == 400 - len(found.interrupted_ns)


def test_a_batch_that_another_worker_cut_short_tells_nothing() -> None:
    told, other = Told(), WORKER + 1
    for number in range(400):
        told.batch(1 + number % 3, notified=number % 4 > 1, interrupted=number % 7 == 0)
        told.tell(EventKind.EPOLL_RETURN, ONCE, value=1)
        told.tell(EventKind.RUN, AWAY, NAPI)
        told.tell(EventKind.RUN, SWITCHED, other)
        told.tell(EventKind.XMIT, 20 * REQUEST, other)
        told.tell(EventKind.EPOLL_WAIT, 50_000, other)
    line = replace(told.line(), workers=np.array([WORKER, other]))
    found = batches(line, Recorder(PROBE, 1.0))
    assert found is not None
    assert found.interrupted_ns == pytest.approx(np.full(len(range(0, 400, 7)), SWITCHED))


@pytest.mark.parametrize("sizes", [(1,), (1, 1, 1)])
def test_batches_of_one_size_tell_nothing_apart(sizes: tuple[int, ...]) -> None:
    told = Told()
    for _ in range(100):
        for size in sizes:
            told.batch(size, notified=True)
    assert batches(told.line(), Recorder(PROBE, 1.0)) is None


def test_few_batches_tell_nothing() -> None:
    told = Told()
    for number in range(20):
        told.batch(1 + number % 2, notified=True)
    assert batches(told.line(), Recorder(PROBE, 1.0)) is None
