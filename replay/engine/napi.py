"""NAPI: polls in softirq, ksoftirqd or a NAPI thread, and what follows each of them."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.cpu import NAPI_SCHEDULED, spend_quietly, wake, work_while_owned
from replay.engine.packets import packets
from replay.engine.ring import admit, arm, refresh, refresh_timers, row_of, send_signal, take
from replay.engine.state import (
    KERNEL,
    KSOFTIRQD,
    NOBODY,
    SOFTIRQ,
    THROTTLED,
)
from replay.engine.tally import note_here

MAX_SOFTIRQ_RESTART = 10  # kernel/softirq.c


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
        if not s.in_pass:
            s.in_pass, s.pass_budget = 1, k.pass_budget
            s.deadline = s.now // k.jiffy + k.pass_jiffies
        work = poll(s, k, SOFTIRQ, k.poll, k.weight)
        if s.over:
            return
        done, more = False, work == k.weight and not s.prefer_bit
        if not more:  # a full poll, too, gives way to a busy poller
            done = complete(s, k, work, work < k.weight)
        if not k.threaded and (_squeezed(s, k, work) or more) and not done:
            s.in_pass = 0
            s.passes += 1
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
    s.handed = s.head
    if s.polled_since < 0:
        s.polled_since = s.now
    work, ended = -1, False
    if not k.looks_again:
        work, ended = _take_quietly(s, k, kind, cost, budget)
    if not ended:
        if k.looks_again:
            work = _take_in_batches(s, k, kind, cost, budget)
        else:
            work = _take_disturbed(s, k, kind, cost if work < 0 else 0, max(work, 0), budget)
        if s.over:
            return int(work)
    s.polls += 1
    s.polls_empty += work == 0
    s.busy_polls += kind == KERNEL
    s.irqs_no_work += s.interrupted & (work == 0)
    s.interrupted = 0
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
    cost_each, requests = k.packet, 0
    ended = True
    while packet < last and when[packet] <= now:
        if now + cost_each > limit:
            ended = False
            break
        now += cost_each
        requests += service[packet] >= 0
        packet += 1
    begin = now - (packet - first) * cost_each
    spend_quietly(s, kind, now - s.now)
    s.handed = packet
    if not ended:  # the last ones wait for more
        s.handed -= (packet - first) % k.gro_batch
        for waiting in range(s.handed, packet):
            requests -= service[waiting] >= 0
    if k.times:
        for handed in range(first, s.handed):
            among = ((handed - first) // k.gro_batch + 1) * k.gro_batch
            p.memory[k.delivered_at + row_of(k, handed)] = (
                begin + min(among, packet - first) * cost_each
            )
    if k.causes:
        handed = first
        while handed < s.handed:
            handed = min(handed + k.gro_batch, packet)
            note_here(s, k, handed, begin + (handed - first) * cost_each)
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
    work_while_owned(s, k, kind, cost)
    while work < budget and not s.over:
        packet = take(s, k)
        if packet < 0:
            break
        work += 1
        work_while_owned(s, k, kind, k.packet)
        if work % k.gro_batch == 0 and not s.over:
            _hand_over(s, k)
    if not s.over:
        _hand_over(s, k)
    return work


@jit_inside
def _take_in_batches(s: Any, k: Any, kind: int, cost: int, budget: int) -> int:
    """Take packets where the driver looks again after what the last ones cost.

    napi_gro_receive passes on full batches, napi_complete_done what is left: behind that only
    `complete` looks at the ring.
    """
    work_while_owned(s, k, kind, cost)
    work, full = 0, True
    while full and work < budget and not s.over:
        before, most = work, min(k.gro_batch, budget - work)
        while work - before < most and take(s, k) >= 0:
            work += 1
        full = work - before == k.gro_batch
        if work > before:
            work_while_owned(s, k, kind, (work - before) * k.packet)
            if not s.over:
                _hand_over(s, k)
    return work


@jit_inside
def _hand_over(s: Any, k: Any) -> None:
    """gro_normal_list: the stack has the packets, whoever waits for them wakes up."""
    p = packets(k)
    if k.causes and s.head > s.handed:
        note_here(s, k, s.head, s.now)
    for packet in range(s.handed, s.head):
        if p.lost[packet]:
            continue
        if k.times:
            p.memory[k.delivered_at + row_of(k, packet)] = s.now
        if p.service[packet] >= 0:
            s.ready += 1
            s.napi_id = k.busy  # ep_poll_callback
            if s.asleep:
                wake(s, k)
    s.handed = s.head


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
    if s.missed or (arms and (not driver or (k.looks_again and _poll_again(s, k)))):
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
def _poll_again(s: Any, k: Any) -> bool:
    """veth_poll, virtqueue_napi_complete: whether packets came meanwhile; no interrupt says so."""
    admit(s, k)
    if s.head >= s.tail:
        return False
    send_signal(s, k)
    s.armed = 0
    refresh(s, k)
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


@jit_inline
def _squeezed(s: Any, k: Any, work: int) -> bool:
    """net_rx_action: whether its budget or its time is over after a poll of `work` packets."""
    s.pass_budget -= work
    squeezed = s.pass_budget <= 0 or s.now // k.jiffy >= s.deadline
    s.squeezes += int(squeezed)
    return bool(squeezed)


@jit_inside
def _hand_off(s: Any, k: Any) -> None:
    """handle_softirqs: after ten passes, two milliseconds or a wake-up, ksoftirqd goes on."""
    if s.parked == KSOFTIRQD:  # it is ksoftirqd that polls
        if not s.asleep and s.now >= s.slice_end:
            s.ksoftirqd_turn, s.slice_end = 0, s.now + k.slice
        return
    late = s.now // k.jiffy >= s.softirq_start // k.jiffy + k.softirq_jiffies
    if late or s.passes >= MAX_SOFTIRQ_RESTART or s.need_resched:
        s.parked, s.quiet = KSOFTIRQD, -1
        s.ksoftirqd_turn, s.slice_end = 0, s.now + k.slice
