"""Points as a recorder saw them, written down a line each, and the events that they make."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from replay.ingest.reconstruct_events import Events, make_events
from replay.ingest.reconstruct_points import NO_DEVICE, NULL, Point, Points, detail
from replay.trace.schema import Cause, EventKind

SRV, CLI = 0, 1  # devices
NAPI, TIMER, WATCHDOG = 1_000_000, 1_000_288, 77
NAPI_TID, WORKER, CLIENT, SPINNER = 50, 60, 70, 80
HEADERS = 66  # Ethernet, IPv4, TCP with time stamps: the length of a pure ACK


class P(NamedTuple):
    """One point."""

    time: int
    kind: Point
    tid: int = SPINNER
    cpu: int = 1
    device: int = NO_DEVICE
    object: int = NULL
    value: int = NULL
    other: int = NULL


def poll(
    time: int,
    work: int,
    tid: int = NAPI_TID,
    *,
    budget: int = 64,
    napi: int = NAPI,
    cpu: int = 1,
    device: int = SRV,
) -> P:
    return P(time, Point.POLL, tid, cpu, device, napi, work, budget)


def gro(
    time: int,
    payload: int = 9,
    flow: int | None = 1,
    tid: int = NAPI_TID,
    *,
    cpu: int = 1,
    napi_id: int = 264,
    protocol: int = 0x800,
) -> P:
    return P(
        time, Point.GRO, tid, cpu, SRV, napi_id, HEADERS + payload, detail(flow, None, protocol)
    )


def receive(
    time: int, payload: int = 9, tid: int = NAPI_TID, *, device: int = SRV, cpu: int = 1
) -> P:
    return P(time, Point.RECEIVE, tid, cpu, device, value=HEADERS + payload)


def send(
    time: int,
    payload: int = 55,
    tid: int = WORKER,
    *,
    device: int = SRV,
    kind: Point = Point.XMIT,
    cpu: int = 1,
) -> P:
    other = detail(None, 20, 0x800) if kind == Point.XMIT else NULL
    return P(time, kind, tid, cpu, device, value=HEADERS + payload, other=other)


def switch(time: int, before: int, after: int, cpu: int = 1) -> P:
    return P(time, Point.SWITCH, before, cpu, value=after, other=before)


def wake(time: int, tid: int, waker: int, cpu: int = 1, kind: Point = Point.WAKEUP) -> P:
    return P(time, kind, waker, cpu, value=tid, other=1)


def softirq(time: int, kind: Point, tid: int = SPINNER, *, vector: int = 3, cpu: int = 1) -> P:
    return P(time, kind, tid, cpu, value=vector)


def irq(time: int, kind: Point, tid: int = SPINNER, number: int = 27) -> P:
    return P(time, kind, tid, 1, value=number)


def arm(
    time: int, expires: int, tid: int = NAPI_TID, *, timer: int = TIMER, function: int = WATCHDOG
) -> P:
    return P(time, Point.TIMER_START, tid, 1, object=timer, value=expires, other=function)


def fire(time: int, tid: int = SPINNER, *, timer: int = TIMER, function: int = WATCHDOG) -> P:
    return P(time, Point.TIMER_FIRE, tid, 1, object=timer, other=function)


def wait(time: int, tid: int = WORKER, limit: int = 64, cpu: int = 1) -> P:
    return P(time, Point.EPOLL_WAIT, tid, cpu, value=-1, other=limit)


def back(time: int, events: int, tid: int = WORKER, cpu: int = 1) -> P:
    return P(time, Point.EPOLL_RETURN, tid, cpu, value=events)


def events_of(
    *points: P,
    threads: dict[int, str] | None = None,
    clock: int | None = 0,
    watchdog: int | None = None,
) -> Events:
    """Sort the points by time (those at one time stay in order) and make events of them."""
    ordered = sorted(points, key=lambda point: point.time)
    columns = Points.empty(len(ordered))
    for place, point in enumerate(ordered):
        columns.time[place] = point.time
        columns.cpu[place] = point.cpu
        columns.kind[place] = point.kind
        columns.device[place] = point.device
        columns.tid[place] = point.tid
        columns.object[place] = point.object
        columns.value[place] = point.value
        columns.other[place] = point.other
    names = {NAPI_TID: "napi/srv-264"} if threads is None else threads
    return make_events(columns, 2, names, clock=clock, watchdog=watchdog)


def causes(events: Events, kind: EventKind = EventKind.POLL) -> list[Cause]:
    """The causes of all events of a kind."""
    mine = events.columns.kind == kind
    return [Cause(int(cause)) for cause in events.columns.cause[mine]]


def durations(events: Events, kind: EventKind) -> list[int]:
    mine = events.columns.kind == kind
    return [int(value) for value in events.columns.duration[mine]]


def column(events: Events, kind: EventKind, name: str) -> list[int]:
    mine = events.columns.kind == kind
    return [int(value) for value in np.asarray(getattr(events.columns, name))[mine]]
