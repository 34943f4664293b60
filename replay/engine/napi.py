"""NAPI: polls in softirq, ksoftirqd or a NAPI thread, and what follows each of them."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_in_place
from replay.engine.cpu import NAPI_SCHEDULED, spend, undisturbed, wake, work_while_owned
from replay.engine.ring import arm, refresh, row_of, take
from replay.engine.state import (
    KERNEL,
    KSOFTIRQD,
    NOBODY,
    SOFTIRQ,
    THROTTLED,
    Packets,
)
from replay.units import MILLISECOND

MAX_SOFTIRQ_RESTART = 10  # kernel/softirq.c
MAX_SOFTIRQ_TIME = 2 * MILLISECOND


@jit_in_place
def run_napi(s: Any, p: Packets, k: Any) -> None:
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
        if done and work_while_owned(s, p, k, SOFTIRQ, s.arming + k.exit) != NAPI_SCHEDULED:
            return
        if s.over:
            return


@jit_in_place
def poll(s: Any, p: Packets, k: Any, kind: int, cost: int, budget: int) -> int:
    """Poll once, in NAPI or in a busy loop. Returns the packets taken, at most `budget`."""
    bound = s.now + cost + budget * k.packet
    full = s.head + k.ring
    roomy = s.tail <= s.head and (full >= s.known or p.when[full] > bound)
    if roomy and not s.armed and undisturbed(s, k, bound):
        work = _take_undisturbed(s, p, k, kind, cost, budget)
    else:
        work = _take_disturbed(s, p, k, kind, cost, budget)
        if s.over:
            return work
    s.polls += 1
    s.polls_empty += work == 0
    s.busy_polls += kind == KERNEL
    p.memory[k.sizes_at + work] += 1
    return work


@jit_in_place
def _take_undisturbed(s: Any, p: Packets, k: Any, kind: int, cost: int, budget: int) -> int:
    """Take packets while there are any: no interrupt is due, and none can be dropped."""
    now = s.now + cost
    first = packet = s.head
    last = min(first + budget, s.known)
    cost_each, times, requests = k.packet, k.times, 0
    when, service = p.when, p.service
    while packet < last and when[packet] <= now:
        now += cost_each
        requests += service[packet] >= 0
        if times:
            p.memory[k.delivered_at + packet] = now
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


@jit_in_place
def _take_disturbed(s: Any, p: Packets, k: Any, kind: int, cost: int, budget: int) -> int:
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
            p.memory[k.delivered_at + row_of(p, k, packet)] = s.now
        if p.service[packet] >= 0:
            s.ready += 1
            s.napi_id = k.busy  # ep_poll_callback
            if s.asleep:
                wake(s, k)
    return work


@jit_in_place
def complete(s: Any, p: Packets, k: Any, work: int, driver: bool) -> bool:
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
    s.arming = 0
    if timeout > 0:
        s.timer = s.now + timeout
        s.arming = k.timer_start
    if arms:
        arm(s, p, k)
    refresh(s, p, k)
    return True


@jit_in_place
def _throttle(s: Any, p: Packets, k: Any) -> None:
    """sched_rt_runtime_exceeded: SCHED_FIFO threads get rt_runtime of each rt_period."""
    window = s.now // k.rt_period
    if window != s.rt_window:
        s.rt_window, s.rt_used = window, 0
    if s.rt_used >= k.rt_runtime:
        s.parked = THROTTLED
        s.unthrottle = (window + 1) * k.rt_period
        refresh(s, p, k)


@jit_in_place
def _hand_off(s: Any, k: Any) -> None:
    """handle_softirqs: after ten passes, two milliseconds or a wake-up, ksoftirqd goes on."""
    if s.parked == KSOFTIRQD:  # it is ksoftirqd that polls
        if not s.asleep and s.now >= s.slice_end:
            s.ksoftirqd_turn, s.slice_end = 0, s.now + k.slice
        return
    late = s.now - s.softirq_start >= MAX_SOFTIRQ_TIME
    if late or s.passes >= MAX_SOFTIRQ_RESTART or s.need_resched:
        s.parked = KSOFTIRQD
        s.ksoftirqd_turn, s.slice_end = 0, s.now + k.slice
