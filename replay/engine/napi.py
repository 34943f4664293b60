"""NAPI: polls in softirq, ksoftirqd or a NAPI thread, and what follows each of them."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.cpu import NAPI_SCHEDULED, spend_quietly, wake, work_while_owned
from replay.engine.packets import packets
from replay.engine.ring import arm, refresh, refresh_timers, row_of, take
from replay.engine.state import (
    KERNEL,
    KSOFTIRQD,
    NOBODY,
    SOFTIRQ,
    THROTTLED,
)
from replay.units import MILLISECOND

MAX_SOFTIRQ_RESTART = 10  # kernel/softirq.c
MAX_SOFTIRQ_TIME = 2 * MILLISECOND


@jit_inside
def run_napi(s: Any, k: Any) -> None:
    """Poll until the queue is empty and left, or NAPI has to wait for the CPU.

    net_rx_action and handle_softirqs, or napi_threaded_poll.
    """
    while True:
        if k.threaded and not s.unparked:
            _throttle(s, k)
            if s.parked == THROTTLED:
                return
        s.unparked = 0
        work = poll(s, k, SOFTIRQ, k.poll, k.weight)
        if s.over:
            return
        done = False
        if work < k.weight or s.prefer_bit:  # __napi_poll gives way to a busy poller
            done = complete(s, k, work, work < k.weight)
        else:
            s.passes += 1
            if not k.threaded:
                _hand_off(s, k)
                if s.parked == KSOFTIRQD and not (s.asleep or s.ksoftirqd_turn):
                    return
        if done and work_while_owned(s, k, SOFTIRQ, s.arming + k.exit) != NAPI_SCHEDULED:
            return
        if s.over:
            return


@jit_inline
def poll(s: Any, k: Any, kind: int, cost: int, budget: int) -> int:
    """Poll once, in NAPI or in a busy loop. Returns the packets taken, at most `budget`."""
    p = packets(k)
    work, ended = _take_quietly(s, k, kind, cost, budget)
    if not ended:
        work = _take_disturbed(s, k, kind, cost if work < 0 else 0, max(work, 0), budget)
        if s.over:
            return int(work)
    s.polls += 1
    s.polls_empty += work == 0
    s.busy_polls += kind == KERNEL
    p.memory[k.sizes_at + work] += 1
    return int(work)


@jit_inline
def _take_quietly(s: Any, k: Any, kind: int, cost: int, budget: int) -> tuple[int, bool]:
    """Take packets while no interrupt is due and no packet can find the ring full.

    Returns the number of packets, -1 where not even the poll could begin, and whether that was all.
    """
    p = packets(k)
    now, first, limit = s.now + cost, s.head, s.quiet
    when, service = p.when, p.service
    if first + k.ring < s.known:
        limit = min(limit, when[first + k.ring] - 1)
    if s.armed or s.tail > first or now > limit:
        return -1, False
    packet, last = first, min(first + budget, s.known)
    cost_each, times, requests = k.packet, k.times, 0
    ended = True
    while packet < last and when[packet] <= now:
        if now + cost_each > limit:
            ended = False
            break
        now += cost_each
        requests += service[packet] >= 0
        if times:
            p.memory[k.delivered_at + packet] = now
        packet += 1
    spend_quietly(s, kind, now - s.now)
    s.head = packet
    s.delivered += packet - first
    if requests > 0:
        s.ready += requests
        s.napi_id = k.busy  # ep_poll_callback
        if s.asleep:
            wake(s, k)
    return packet - first, ended


@jit_inside
def _take_disturbed(s: Any, k: Any, kind: int, cost: int, work: int, budget: int) -> int:
    """Take packets one by one, with all that can happen meanwhile."""
    p = packets(k)
    work_while_owned(s, k, kind, cost)
    while work < budget and not s.over:
        packet = take(s, k)
        if packet < 0:
            break
        work += 1
        work_while_owned(s, k, kind, k.packet)
        if s.over:
            break
        if k.times:
            p.memory[k.delivered_at + row_of(k, packet)] = s.now
        if p.service[packet] >= 0:
            s.ready += 1
            s.napi_id = k.busy  # ep_poll_callback
            if s.asleep:
                wake(s, k)
    return work


@jit_inline
def complete(s: Any, k: Any, work: int, driver: bool) -> bool:
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
        s.timer = s.now + timeout + k.timer_latency
        s.arming = k.timer_start
    if arms:
        arm(s, k)
        refresh(s, k)
    else:
        refresh_timers(s, k)
    return True


@jit_inside
def _throttle(s: Any, k: Any) -> None:
    """sched_rt_runtime_exceeded: SCHED_FIFO threads get rt_runtime of each rt_period."""
    window = s.now // k.rt_period
    if window != s.rt_window:
        s.rt_window, s.rt_used = window, 0
    if s.rt_used >= k.rt_runtime:
        s.parked = THROTTLED
        s.unthrottle = (window + 1) * k.rt_period
        refresh_timers(s, k)


@jit_inside
def _hand_off(s: Any, k: Any) -> None:
    """handle_softirqs: after ten passes, two milliseconds or a wake-up, ksoftirqd goes on."""
    if s.parked == KSOFTIRQD:  # it is ksoftirqd that polls
        if not s.asleep and s.now >= s.slice_end:
            s.ksoftirqd_turn, s.slice_end = 0, s.now + k.slice
        return
    late = s.now - s.softirq_start >= MAX_SOFTIRQ_TIME
    if late or s.passes >= MAX_SOFTIRQ_RESTART or s.need_resched:
        s.parked, s.quiet = KSOFTIRQD, -1
        s.ksoftirqd_turn, s.slice_end = 0, s.now + k.slice
