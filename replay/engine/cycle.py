"""The cycle of an interrupt that nothing disturbs: handler, poll, and when the next one is due."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.arrivals import arrive, next_arrival
from replay.engine.intrinsics import at
from replay.engine.packets import packets
from replay.engine.tally import COALESCING, CPU, TIMER, note
from replay.engine.workload import Int64s
from replay.units import NEVER


class Cycle(NamedTuple):
    """What is the same in each cycle of one kind of interrupt: the device's, or napi_watchdog.

    The next one comes `latency` after `delay` since the first packet and `pause` since the poll.
    """

    when: Int64s
    service: Int64s
    memory: Int64s
    sizes_at: int
    most: int
    limit: int
    before: int  # from the interrupt until its poll looks at the ring
    poll: int
    packet: int
    after: int  # from the last packet's end until NAPI is left
    weight: int
    delay: int
    pause: int
    latency: int
    causes: bool
    why: int  # the cause of what this interrupt ends
    why_at: int
    gro_batch: int
    closed: bool


@jit_inline
def new_cycle(s: Any, k: Any, limit: int, causes: bool, closed: bool) -> Cycle:
    """Return the cycle of napi_watchdog where the policy defers, of the device's otherwise."""
    p = packets(k)
    deferred = k.defer > 0
    return Cycle(
        p.when,
        p.service,
        p.memory,
        k.sizes_at,
        max(k.defer - 1, 0),
        limit,
        (k.timer if deferred else k.irq) + k.poll,
        k.poll,
        k.packet,
        k.exit + (k.timer_start if deferred else 0),
        k.weight,
        -NEVER if deferred else k.rx_delay,
        k.timeout if deferred else 0,
        k.timer_latency if deferred else k.irq_latency,
        causes,
        TIMER if deferred else COALESCING,
        k.why_at,
        k.gro_batch,
        closed,
    )


@jit_inline
def note_all(s: Any, c: Cycle, why: Any, t: int, first: int, beyond: int) -> None:
    """Hand the packets of a poll that ends at `t` to the stack, a batch after the other."""
    t -= (beyond - first) * c.packet
    while first < beyond:
        batch = min(c.gro_batch, beyond - first)
        first += batch
        t += batch * c.packet
        note(s, c.memory, c.why_at, first, why, t)


@jit_inline
def following(s: Any, c: Cycle, head: int) -> int:
    """Return when packet `head` arrives, as far as that is known."""
    if c.closed and head == s.known:
        return int(s.upcoming)
    return int(c.when[at(head)])


@jit_inline
def drain(s: Any, k: Any, c: Cycle, t: int, head: int, weight: int) -> tuple[bool, int, int, int]:
    """Take packets from `head` on, in a poll that looks at the ring at `t`.

    Returns whether they were fewer than `weight`, the time and the head then, and the requests.
    """
    if c.closed:
        return drain_answers(s, k, t, head, weight)
    return _drain(c, t, head, weight)


@jit_inside
def drain_answers(s: Any, k: Any, t: int, head: int, weight: int) -> tuple[bool, int, int, int]:
    """The same where packets follow responses: until the poll ends, nobody sends one."""
    p = packets(k)
    found, last = 0, head + weight
    while head < last and next_arrival(s, k, head) <= t:
        if head == s.known:
            arrive(s, k)
        t += k.packet
        found += p.service[at(head)] >= 0
        head += 1
    return head < last, t, head, found


@jit_inline
def _drain(c: Cycle, t: int, head: int, weight: int) -> tuple[bool, int, int, int]:
    """The same where all arrivals are known.

    How many packets a poll finds cannot be foreseen: the first few are counted without branches.
    """
    each = c.packet
    n0 = np.int64(c.when[at(head)] <= t)
    n1 = n0 & np.int64(c.when[at(head + 1)] <= t + 1 * each)
    n2 = n1 & np.int64(c.when[at(head + 2)] <= t + 2 * each)
    n3 = n2 & np.int64(c.when[at(head + 3)] <= t + 3 * each)
    few = int(n0 + n1 + n2 + n3)
    if (
        few < 4
        and (
            c.service[at(head + 0)]
            | c.service[at(head + 1)]
            | c.service[at(head + 2)]
            | c.service[at(head + 3)]
        )
        >= 0
    ):
        return True, t + few * each, head + few, few
    found = 0
    last = head + weight
    while head < last and c.when[at(head)] <= t:
        t += each
        found += c.service[at(head)] >= 0
        head += 1
    return head < last, t, head, found


@jit_inline
def interrupt(s: Any, k: Any, c: Cycle, due: int, head: int) -> tuple[bool, int, int, int, int]:
    """Run the interrupt that is due and NAPI, unless that is unusual.

    Returns whether it was done, its end, when the next is due, the head and the requests found.
    """
    if c.closed and due == c.limit:  # no interrupt: a response may be sent before any poll
        return False, due, due, head, 0
    fewer, t, packet, found = drain(s, k, c, due + c.before, head, c.weight)
    next_due = max(t + c.pause, following(s, c, packet) + c.delay) + c.latency
    next_due = min(next_due, c.limit)
    end = t + c.after
    if not fewer or packet == head or end > next_due:
        return False, end, due, head, 0
    s.count = c.most
    s.polled_at = t
    c.memory[at(c.sizes_at + packet - head)] += 1
    if c.causes:
        note_all(s, c, (c.why, due - c.latency, due + c.before - c.poll), t, head, packet)
    return True, end, next_due, packet, found


@jit_inline
def disturbed(
    s: Any, k: Any, c: Cycle, now: int, until: int, due: int, head: int, ready: int, irqs: int
) -> tuple[int, int, int, int, int, int]:
    """Work until `until`, which each interrupt moves; where one is unusual, it stays past `due`."""
    while until > due:
        usual, end, next_due, packet, found = interrupt(s, k, c, due, head)
        if not usual:
            break
        until += end - due
        now, due, head = end, next_due, packet
        ready += found
        irqs += 1
    return now, until, due, head, ready, irqs


@jit_inline
def skip_empty(s: Any, k: Any, c: Cycle, now: int, due: int, first: int) -> tuple[int, int]:
    """Account for the timer's polls before a packet arrives, at `first`, while the thread sleeps.

    Returns the last one's end and when the next is due. The caller accounts from s.now on.
    """
    rest = c.pause + c.latency - c.after
    period = c.before + c.pause + c.latency
    empty = min((first - due - c.before + period - 1) // period, (c.limit - due) // period, s.count)
    if empty <= 0 or rest < 0:
        return now, due
    s.hardirq += min(due - now, k.idle) + (empty - 1) * min(rest, k.idle)
    s.hardirq += empty * (c.before - k.poll)
    s.softirq += empty * (k.poll + c.after)
    s.rt_used += empty * (k.poll + c.after)
    s.timers += empty
    s.polls += empty
    s.count -= empty
    c.memory[at(c.sizes_at)] += empty
    due += empty * period
    s.now += due - rest - now
    s.polled_at = due - rest - c.after
    return due - rest, due


@jit_inline
def look(
    s: Any, k: Any, c: Cycle, now: int, due: int, head: int
) -> tuple[bool, int, int, int, int]:
    """napi_busy_loop polls once, busy_poll_stop once more; where both find nothing, NAPI does.

    Returns whether that was undisturbed, when it ends, the next due, head, requests. The caller
    accounts from s.now and s.head on.
    """
    fewer, t, one, found = drain(s, k, c, now + k.busy_poll, head, k.budget)
    first_end = t
    usual = fewer and t <= due
    watchdog = min(t + c.pause + c.latency, c.limit)
    fewer, t, two, more = drain(s, k, c, t + k.timer_start + k.busy_poll, one, k.budget)
    usual = usual and fewer and t <= watchdog
    watchdog = min(t + c.pause + c.latency, c.limit)
    found += more
    end, three, polled_at, count = t + k.timer_start, two, t, c.most
    second_end = t
    usual = usual and end <= watchdog
    softirq = 0
    resumes = found == 0
    if resumes:  # napi_resume_irqs
        fewer, t, three, found = drain(s, k, c, end + k.poll, two, c.weight)
        usual = usual and fewer and t <= watchdog
        watchdog = min(t + c.pause + c.latency, c.limit)
        count -= three == two
        polled_at = t
        softirq = t + c.after - end
        end = t + c.after
        usual = usual and count >= 0 and end <= watchdog
    if not usual:
        return False, now, due, head, 0
    if c.causes:
        note_all(s, c, (CPU, now, now), first_end, head, one)
        note_all(s, c, (CPU, now, now), second_end, one, two)
        if resumes:
            resumed = second_end + k.timer_start
            note_all(s, c, (CPU, resumed, resumed), polled_at, two, three)
    c.memory[at(c.sizes_at + one - head)] += 1
    c.memory[at(c.sizes_at + two - one)] += 1
    s.polls += 2
    s.busy_polls += 2
    if resumes:
        c.memory[at(c.sizes_at + three - two)] += 1
        s.polls += 1
        s.resumes += 1
        s.napi_id = 0
        s.unseen = 0 if k.threaded else found
    s.softirq += softirq
    s.rt_used += softirq
    s.kernel += end - now - softirq
    s.now += end - now
    s.head += three - head
    s.delivered += three - head
    s.count, s.polled_at = count, polled_at
    return True, end, watchdog, three, found
