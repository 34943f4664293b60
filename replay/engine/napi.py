"""NAPI: polls in softirq, ksoftirqd or a NAPI thread, and what follows each of them."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit
from replay.engine.cpu import NAPI_SCHEDULED, spend, wake, work_while_owned
from replay.engine.ring import arm, refresh, take
from replay.engine.state import (
    KERNEL,
    KSOFTIRQD,
    NOBODY,
    SOFTIRQ,
    THROTTLED,
    Constants,
    Packets,
)
from replay.units import MILLISECOND

MAX_SOFTIRQ_RESTART = 10  # kernel/softirq.c
MAX_SOFTIRQ_TIME = 2 * MILLISECOND


@jit
def run_napi(s: Any, p: Packets, k: Constants) -> None:
    """Poll until the queue is empty and left, or NAPI has to wait for the CPU.

    net_rx_action and handle_softirqs, or napi_threaded_poll.
    """
    while True:
        if k.threaded and not s.unparked:
            _throttle(s, p, k)
            if s.parked == THROTTLED:
                return
        s.unparked = 0
        work = poll(s, p, k, SOFTIRQ, k.poll, k.weight)
        if s.over:
            return
        done = False
        if work < k.weight:
            done = complete(s, p, k, work, True)
        elif s.prefer_bit:  # __napi_poll gives way to a busy poller
            done = complete(s, p, k, work, False)
        else:
            s.passes += 1
            if not k.threaded:
                _hand_off(s, k)
                if s.parked == KSOFTIRQD and not (s.asleep or s.ksoftirqd_turn):
                    return
        if done and work_while_owned(s, p, k, SOFTIRQ, k.exit) != NAPI_SCHEDULED:
            return
        if s.over:
            return


@jit
def poll(s: Any, p: Packets, k: Constants, kind: int, cost: int, budget: int) -> int:
    """Poll once, in NAPI or in a busy loop. Returns the packets taken, at most `budget`."""
    bound = s.now + cost + budget * k.packet
    full = s.head + k.ring
    quiet = s.due >= bound and bound <= k.end and not s.armed and s.parked != KSOFTIRQD
    roomy = s.tail <= s.head and (full >= s.known or p.when[full] > bound)
    if quiet and roomy and not k.closed:
        work = _undisturbed(s, p, k, kind, cost, budget)
    else:
        work = _disturbed(s, p, k, kind, cost, budget)
        if s.over:
            return work
    s.polls += 1
    s.polls_empty += work == 0
    s.busy_polls += kind == KERNEL
    p.sizes[work] += 1
    return work


@jit
def _undisturbed(s: Any, p: Packets, k: Constants, kind: int, cost: int, budget: int) -> int:
    """Take packets while there are any: no interrupt is due, and none can be dropped."""
    now = s.now + cost
    first = packet = s.head
    last = min(first + budget, s.known)
    requests = 0
    while packet < last and p.when[packet] <= now:
        now += k.packet
        if p.service[packet] >= 0:
            requests += 1
        if k.times:
            p.delivered[packet] = now
        packet += 1
    spend(s, k, kind, now)
    s.head = packet
    s.delivered += packet - first
    if requests > 0:
        s.ready += requests
        s.napi_id = k.busy  # ep_poll_callback
        if s.asleep:
            wake(s, k)
    return int(packet - first)


@jit
def _disturbed(s: Any, p: Packets, k: Constants, kind: int, cost: int, budget: int) -> int:
    """Take packets one by one, with all that can happen meanwhile."""
    work = 0
    work_while_owned(s, p, k, kind, cost)
    while work < budget and not s.over:
        packet = take(s, p, k)
        if packet < 0:
            break
        work += 1
        work_while_owned(s, p, k, kind, k.packet)
        if s.over:
            break
        if k.times:
            p.delivered[p.row[packet] if k.closed else packet] = s.now
        if p.service[packet] >= 0:
            s.ready += 1
            s.napi_id = k.busy  # ep_poll_callback
            if s.asleep:
                wake(s, k)
    return work


@jit
def complete(s: Any, p: Packets, k: Constants, work: int, driver: bool) -> bool:
    """napi_complete_done; whether NAPI is done. A driver then arms the interrupt."""
    arms, timeout = True, 0
    if work > 0:
        s.count = k.defer
    if s.count > 0:
        s.count -= 1
        timeout = k.timeout
        arms = timeout == 0
    s.prefer_bit = 0
    if s.missed or (arms and not driver):
        s.missed = 0
        return False
    s.owner = NOBODY
    s.parked = 0
    if timeout > 0:
        s.timer = s.now + timeout
    if arms:
        arm(s, p, k)
    refresh(s, p, k)
    return True


@jit
def _throttle(s: Any, p: Packets, k: Constants) -> None:
    """sched_rt_runtime_exceeded: SCHED_FIFO threads get rt_runtime of each rt_period."""
    window = s.now // k.rt_period
    if window != s.rt_window:
        s.rt_window, s.rt_used = window, 0
    if s.rt_used >= k.rt_runtime:
        s.parked = THROTTLED
        s.unthrottle = (window + 1) * k.rt_period
        refresh(s, p, k)


@jit
def _hand_off(s: Any, k: Constants) -> None:
    """handle_softirqs: after ten passes, two milliseconds or a wake-up, ksoftirqd goes on."""
    if s.parked == KSOFTIRQD:  # it is ksoftirqd that polls
        if not s.asleep and s.now >= s.slice_end:
            s.ksoftirqd_turn, s.slice_end = 0, s.now + k.slice
        return
    late = s.now - s.softirq_start >= MAX_SOFTIRQ_TIME
    if late or s.passes >= MAX_SOFTIRQ_RESTART or s.need_resched:
        s.parked = KSOFTIRQD
        s.ksoftirqd_turn, s.slice_end = 0, s.now + k.slice
