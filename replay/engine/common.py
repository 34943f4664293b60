"""The common island: one queue, one CPU, one thread, from its packets to its outcome."""

from __future__ import annotations

from typing import Any

import numpy as np

from replay.engine.accelerate import jit_in_place, jit_inline
from replay.engine.arrivals import materialise
from replay.engine.causes import CAUSES, Causes
from replay.engine.constants import new_constants
from replay.engine.glide import glide
from replay.engine.histogram import BUCKETS, Histogram
from replay.engine.outcome import CpuTime, Outcome, Times
from replay.engine.packets import Packets, new_packets
from replay.engine.ring import admit, refresh
from replay.engine.state import new_state
from replay.engine.tally import ROW, STRIDE
from replay.engine.thread import step
from replay.engine.workload import Workload, count_requests
from replay.host import Host
from replay.policy import Policy
from replay.progress import watch
from replay.units import NEVER


def replay_common(
    workload: Workload, policy: Policy, host: Host, *, times: bool, causes: bool = False
) -> Outcome:
    """Replay a common island; `host` is as the policy finds it (see `costs_of`)."""
    k = new_constants(workload, policy, host, times, causes)
    p = new_packets(workload, k)
    s = new_state()
    s.known = 0 if k.closed else len(p.when)
    watch(lambda: int(s.now) / workload.duration_ns)
    (_run_with_causes if causes else _run)(s, k)
    return _outcome(s, p, k, workload)


@jit_in_place
def _run(s: Any, k: Any) -> None:
    """Replay to the end: glide as far as that goes, then take a step, over and over."""
    _begin(s, k)
    while not s.over:
        if k.glides:
            if k.closed:
                glide(s, k, causes=False, closed=True)
            else:
                glide(s, k, causes=False, closed=False)
        step(s, k)
    _end(s, k)


@jit_in_place
def _run_with_causes(s: Any, k: Any) -> None:
    """The same with causes, compiled only where they are asked for."""
    _begin(s, k)
    while not s.over:
        if k.glides:
            if k.closed:
                glide(s, k, causes=True, closed=True)
            else:
                glide(s, k, causes=True, closed=False)
        step(s, k)
    _end(s, k)


@jit_inline
def _begin(s: Any, k: Any) -> None:
    """No request was served yet; the first packet may interrupt."""
    s.latency_low = NEVER
    if k.closed:
        s.upcoming, s.waiting = k.first_arrival, k.first_waiting
    refresh(s, k)


@jit_inline
def _end(s: Any, k: Any) -> None:
    """Look once more at who got into the ring."""
    s.now = k.end - 1
    materialise(s, k, s.now)
    admit(s, k)


def _outcome(s: Any, p: Packets, k: Any, workload: Workload) -> Outcome:
    """Gather the results of a finished replay."""
    packets = int(s.known)
    served = int(s.served)
    busy = int(s.hardirq) + int(s.softirq) + int(s.kernel) + int(s.app)
    return Outcome(
        duration_ns=workload.duration_ns,
        packets=packets,
        requests=count_requests(p.service[:packets]) if k.closed else workload.requests,
        delivered=int(s.delivered),
        dropped=int(s.dropped),
        left=packets - int(s.delivered) - int(s.dropped),
        served=served,
        irqs=int(s.irqs),
        irqs_no_work=int(s.irqs_no_work),
        squeezes=int(s.squeezes),
        timers=int(s.timers),
        polls=int(s.polls),
        polls_empty=int(s.polls_empty),
        busy_polls=int(s.busy_polls),
        epoll_returns=int(s.epoll_returns),
        resumes=int(s.resumes),
        tx_packets=served,
        cpu=CpuTime(
            hardirq=int(s.hardirq),
            softirq=int(s.softirq),
            kernel=int(s.kernel),
            app=int(s.app),
            idle=workload.duration_ns - busy,
        ),
        latency=Histogram(
            p.memory[k.latency_at :][:BUCKETS],
            int(s.latency_sum),
            int(s.latency_low) if served else 0,
            int(s.latency_high),
        ),
        poll_sizes=p.memory[k.sizes_at : k.delivered_at],
        causes=_causes(p, k, served) if k.causes else None,
        times=_times(p, k, workload, packets) if k.times else None,
    )


def _causes(p: Packets, k: Any, served: int) -> Causes:
    """Return why requests waited; causes that took no time are not counted one by one."""
    counts = p.memory[k.cause_at : k.latency_at].reshape(len(CAUSES), STRIDE)[:, :BUCKETS]
    counts[:, 0] = served - counts[:, 1:].sum(axis=1)
    tail = p.memory[k.tail_at : k.parts_at].reshape(BUCKETS, ROW)[:, : len(CAUSES)]
    return Causes(counts, tail)


def _times(p: Packets, k: Any, workload: Workload, packets: int) -> Times:
    """Return each packet's times in the workload's order."""
    arrival = np.full(len(workload.arrival_ns), -1, np.int64)
    rows = p.memory[k.row_at :][:packets] if k.closed else slice(packets)
    arrival[rows] = p.when[:packets]
    count = len(arrival)
    delivered, started, done = (
        p.memory[at:][:count] for at in (k.delivered_at, k.started_at, k.done_at)
    )
    return Times(arrival, delivered, started, done)
