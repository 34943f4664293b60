"""Kernel threads and softirqs that poll: handle_softirqs, net_rx_action, napi_threaded_poll."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.general.lists import (
    AGAIN,
    POLL_LIST,
    THIS_PASS,
    cpu_list,
    first,
    move_all,
    pop,
    push,
    task_list,
)
from replay.engine.general.napi import ENDED, begin_poll, complete, go_on_polling
from replay.engine.general.sched import (
    ASLEEP,
    LEAVE,
    LEFT,
    PASS,
    POLLING,
    block,
    enable_bh,
    enqueue,
    jiffies,
    leave_softirq,
    passes_quietly,
    rotate,
    slice_is_over,
)
from replay.engine.general.state import KWORKER, NOTHING, OTHER, SOFTIRQ, cpu_of, queue_of, task_of

MAX_SOFTIRQ_RESTART = 10  # kernel/softirq.c

# Where a NAPI thread stands
NEXT_QUEUE, THROTTLED, POLLING_ONE, POLLED_ONE, LEAVING = 1, 2, 3, 4, 5


@jit_inside
def go_on_in_softirq(g: Any, cpu: int) -> None:
    """A step of the softirq is over: begin the next, or end it."""
    c = cpu_of(g, cpu)
    cost = _softirq(g, c, cpu, NOTHING)
    if cost == ENDED:
        c.in_softirq, c.in_exit = 0, 0
        g.quiet = NOTHING
    else:
        c.softirq_left = cost


@jit_inside
def _softirq(g: Any, c: Any, cpu: int, ksoftirqd: int) -> int:
    """handle_softirqs: pass after pass. Return the next step's cost, or ENDED."""
    while True:
        if c.softirq_pc == PASS:
            if first(g, cpu_list(cpu, POLL_LIST)) == NOTHING:
                c.softirq_pc = LEAVE
                continue
            c.bh_off = ksoftirqd
            c.budget = g.budget
            c.deadline = jiffies(g) + g.budget_jiffies
            move_all(g, cpu_list(cpu, POLL_LIST), cpu_list(cpu, THIS_PASS))
            _begin_next(g, c, cpu)
            if not passes_quietly(g, c, SOFTIRQ, g.poll):
                return int(g.poll)
        elif c.softirq_pc == POLLING:
            cost = go_on_polling(g, c, cpu, c.polling, SOFTIRQ)
            if cost != ENDED:
                return cost
            if _polled(g, c, cpu):
                _begin_next(g, c, cpu)
                if not passes_quietly(g, c, SOFTIRQ, g.poll):
                    return int(g.poll)
                continue
            if _pass_ended(g, c, cpu, ksoftirqd):
                return ENDED
            if c.softirq_pc == PASS and not passes_quietly(g, c, SOFTIRQ, 0):
                return 0
        elif c.softirq_pc == LEAVE:
            if ksoftirqd != NOTHING:
                return ENDED
            c.softirq_pc, c.in_exit = LEFT, 1
            cost = c.leaving + g.exit
            c.leaving = 0
            if not passes_quietly(g, c, SOFTIRQ, cost):
                return int(cost)
        else:
            return ENDED


@jit_inline
def _begin_next(g: Any, c: Any, cpu: int) -> None:
    """Poll the first queue of the list."""
    c.polling = pop(g, cpu_list(cpu, THIS_PASS))
    q = queue_of(g, c.polling)
    begin_poll(g, q, q.weight)
    c.softirq_pc = POLLING


@jit_inside
def _polled(g: Any, c: Any, cpu: int) -> bool:
    """A poll has ended: complete it. Return whether this pass goes on with another queue."""
    q = queue_of(g, c.polling)
    work = q.work
    if work == q.weight and not q.prefer_bit:
        push(g, cpu_list(cpu, AGAIN), c.polling)
    else:  # a full poll gives way to a busy poller
        arming = complete(g, cpu, c.polling, work, work < q.weight)
        if arming == ENDED:
            push(g, cpu_list(cpu, POLL_LIST), c.polling)
        else:
            c.leaving += arming
    c.budget -= work
    if c.budget <= 0 or jiffies(g) >= c.deadline:
        g.squeezes += 1
        return False
    if first(g, cpu_list(cpu, THIS_PASS)) == NOTHING and first(g, cpu_list(cpu, AGAIN)) == NOTHING:
        move_all(g, cpu_list(cpu, POLL_LIST), cpu_list(cpu, THIS_PASS))  # scheduled meanwhile
    return first(g, cpu_list(cpu, THIS_PASS)) != NOTHING


@jit_inside
def _pass_ended(g: Any, c: Any, cpu: int, ksoftirqd: int) -> bool:
    """net_rx_action ends: whether ksoftirqd has to go on. Each queue was polled once."""
    poll_list, todo = cpu_list(cpu, POLL_LIST), cpu_list(cpu, THIS_PASS)
    again = cpu_list(cpu, AGAIN)
    c.passes += 1
    if first(g, poll_list) == first(g, again) == first(g, todo) == NOTHING:
        c.softirq_pc = LEAVE
        return False
    c.softirq_pc = PASS
    move_all(g, poll_list, todo)
    move_all(g, again, todo)
    move_all(g, todo, poll_list)
    if ksoftirqd != NOTHING:
        c.bh_off, g.quiet = NOTHING, NOTHING
        if slice_is_over(g, c):
            rotate(g, cpu)
        return False
    late = jiffies(g) >= c.start_jiffy + g.softirq_jiffies
    if late or c.passes >= MAX_SOFTIRQ_RESTART or c.need_resched:
        task_of(g, c.ksoftirqd).asleep = 0
        enqueue(g, cpu, c.ksoftirqd, False)
        return True
    return False


@jit_inside
def go_on_in_ksoftirqd(g: Any, cpu: int, number: int) -> None:
    """ksoftirqd polls what a softirq left, other threads in turn with it."""
    c, t = cpu_of(g, cpu), task_of(g, number)
    t.work = SOFTIRQ
    if t.pc == ASLEEP:
        t.pc = 1
        c.softirq_pc = PASS
        if not passes_quietly(g, c, SOFTIRQ, 0):
            t.left = 0
            return
    cost = _softirq(g, c, cpu, number)
    if cost != ENDED:
        t.left = cost
        return
    c.bh_off = NOTHING
    leave_softirq(g, cpu)
    t.pc, t.left, t.asleep = ASLEEP, 0, 1
    block(g, cpu, number)


@jit_inside
def go_on_in_background(g: Any, cpu: int, number: int, t: Any) -> None:
    """Other work on the CPU: what a kworker is owed, or once each time it is woken."""
    if t.pc == ASLEEP or t.owed > 0:
        t.pc, t.work, t.left = 1, OTHER, g.background
        if t.kind == KWORKER:
            t.left, t.owed = t.owed, 0
        return
    t.pc, t.left, t.asleep = ASLEEP, 0, 1
    block(g, cpu, number)


@jit_inside
def go_on_in_napi_thread(g: Any, cpu: int, number: int) -> None:
    """napi_threaded_poll, for one queue or (TAPI) for several in turn."""
    c, t = cpu_of(g, cpu), task_of(g, number)
    t.work = SOFTIRQ
    while True:
        if t.pc == ASLEEP or t.pc == POLLED_ONE:
            t.pc = NEXT_QUEUE if first(g, task_list(g, number)) != NOTHING else LEAVING
            if t.pc == LEAVING:
                t.in_exit = 1
                t.left = t.leaving + g.exit
                t.leaving = 0
                return
            if t.fifo:
                _throttle(g, c)
                t.pc = THROTTLED
                if c.throttled or not passes_quietly(g, c, SOFTIRQ, 0):
                    t.left = 0
                    return
        elif t.pc == NEXT_QUEUE or t.pc == THROTTLED:
            t.queue = pop(g, task_list(g, number))
            q = queue_of(g, t.queue)
            c.bh_off = number
            begin_poll(g, q, q.weight)
            t.pc = POLLING_ONE
            if not passes_quietly(g, c, SOFTIRQ, g.poll):
                t.left = g.poll
                return
        elif t.pc == POLLING_ONE:
            cost = go_on_polling(g, c, cpu, t.queue, SOFTIRQ)
            if cost != ENDED:
                t.left = cost
                return
            q = queue_of(g, t.queue)
            again = q.work == q.weight and not q.prefer_bit
            if not again:
                arming = complete(g, cpu, t.queue, q.work, q.work < q.weight)
                again = arming == ENDED
                if not again:
                    t.leaving += arming
            enable_bh(g, cpu)
            if again:
                push(g, task_list(g, number), t.queue)
            if not t.fifo and slice_is_over(g, c):
                rotate(g, cpu)
            t.pc = POLLED_ONE
            if not passes_quietly(g, c, SOFTIRQ, 0):
                t.left = 0
                return
        else:  # LEAVING
            t.pc, t.left, t.asleep, t.in_exit = ASLEEP, 0, 1, 0
            block(g, cpu, number)
            return


@jit_inline
def _throttle(g: Any, c: Any) -> None:
    """sched_rt_runtime_exceeded: FIFO threads get rt_runtime of each rt_period."""
    window = g.now // g.rt_period
    if window != c.rt_window:
        c.rt_window, c.rt_used = window, 0
    if c.rt_used >= g.rt_runtime:
        c.throttled, c.unthrottle = 1, (window + 1) * g.rt_period
        c.due = min(c.due, c.unthrottle)
        g.quiet = NOTHING
