"""What a replay does not change: policy, host, the trace's end, and where its arrays lie."""

from __future__ import annotations

import numpy as np

from replay.engine.followers import FOLLOWER, bucket_shift, buckets
from replay.engine.histogram import BUCKETS, MAX_BITS
from replay.engine.tally import KINDS, RECORD, ROW, STRIDE, TOGETHER
from replay.engine.workload import Workload
from replay.host import Host, arming_ns, suspending_ns
from replay.policy import Policy
from replay.units import MICROSECOND, MILLISECOND

MAX_SOFTIRQ_TIME = 2 * MILLISECOND  # kernel/softirq.c

#: Numbers that a replay does not change, all int64: policy, host, the trace's end (ns, packets),
#: and where in `Packets.memory` each array begins.
CONSTANTS = np.dtype(
    [
        (name, np.int64)
        for name in [
            "end",
            "closed",
            "glides",  # whether cycles may be replayed by `glide`
            "times",  # whether each packet's times are written
            "causes",  # whether it is counted why each request waited
            "rx_delay",  # -1: no timer, frames only
            "rx_frames",
            "weight",
            "defer",
            "timeout",
            "suspend",
            "usecs",
            "budget",
            "prefer",
            "busy",
            "gro_batch",
            "looks_again",
            "pass_budget",  # netdev_budget
            "pass_jiffies",  # netdev_budget_usecs
            "softirq_jiffies",  # after which ksoftirqd has to go on
            "jiffy",
            "threaded",
            "epoll_timeout",
            "irq_latency",
            "irq",
            "timer_latency",
            "timer",
            "poll",
            "packet",
            "timer_start",  # of gro_flush_timeout, and of irq_suspend_timeout:
            "suspend_start",
            "exit",
            "idle",
            "transmit",
            "notify",
            "preemption",
            "wake",
            "sleep",
            "epoll",
            "event",
            "busy_poll",
            "ring",
            "rt_period",
            "rt_runtime",
            "slice",
            # where the arrays of Packets lie, and their sizes
            "when",
            "service",
            "lost",
            "memory",
            "offered",
            "memory_size",
            # in the memory, results: latencies by bucket, polls by packets, times by packet
            "latency_at",
            "sizes_at",
            "delivered_at",
            "started_at",
            "done_at",
            # with causes (see tally.py)
            "cause_at",  # of each cause, times by bucket
            "tail_at",  # sums of each cause by the latency's bucket
            "parts_at",  # of each request that is explained now, its latency's causes
            "place_at",
            "why_at",
            # closed arrivals: packets in the order they arrive, and which of the workload they are
            "when_at",
            "service_at",
            "row_at",
            # the workload's packets, and those whose time is known (see followers.py)
            "follower_at",
            "heap_at",  # from the end of `row`: a row is there once it is known, or in the heap
            "bucket_at",
            "bucket_shift",
            "buckets",
            # of the packets that follow nobody, when the first arrives, and how many there are
            "first_arrival",
            "first_waiting",
            "scheduled_at",  # before when none arrives; -1: whenever it follows
        ]
    ]
)


def new_constants(
    workload: Workload, policy: Policy, host: Host, times: bool, causes: bool = False
) -> np.record:
    """Return the numbers of a scenario. What the policy leaves open, the host says."""
    rx_usecs = host.rx_usecs if policy.rx_usecs is None else policy.rx_usecs
    rx_frames = host.rx_frames if policy.rx_frames is None else policy.rx_frames
    threaded = host.threaded if policy.threaded is None else policy.threaded
    k: np.record = np.zeros(1, CONSTANTS).view(np.recarray)[0]
    k.end = workload.duration_ns
    k.closed = workload.closed
    k.times = times
    k.causes = causes
    k.rx_delay = rx_usecs * MICROSECOND if rx_usecs or not rx_frames else -1
    k.rx_frames = rx_frames
    k.weight = policy.weight
    k.defer = policy.defer_hard_irqs
    k.timeout = policy.gro_flush_timeout_ns
    k.suspend = policy.irq_suspend_timeout_ns
    k.usecs = policy.busy_poll_usecs
    k.budget = policy.busy_poll_budget
    k.prefer = policy.prefer_busy_poll
    k.busy = policy.busy_polls
    k.gro_batch = host.gro_batch
    k.looks_again = host.looks_again
    k.jiffy = host.jiffy_ns
    k.pass_budget = policy.netdev_budget
    usecs = policy.netdev_budget_usecs
    k.pass_jiffies = 2 if usecs is None else -(-usecs * MICROSECOND // k.jiffy)
    k.softirq_jiffies = -(-MAX_SOFTIRQ_TIME // k.jiffy)
    k.threaded = threaded
    k.epoll_timeout = policy.epoll_timeout_ns
    for name in _COSTS:
        k[name] = getattr(host, f"{name}_ns")
    k.timer_start = arming_ns(host, policy.gro_flush_timeout_ns)
    k.suspend_start = suspending_ns(host, policy)
    k.ring = host.ring
    k.preemption = host.preemption or not threaded
    k.glides = _glides(k)
    _lay_out(k, len(workload.arrival_ns), workload.scheduled)
    if not workload.scheduled:
        k.scheduled_at = -1
    return k


def _glides(k: np.record) -> bool:
    """Return whether `glide` can replay cycles of this scenario."""
    lanes = 5  # `drain` looks at four packets before it asks how many are allowed
    plain = not k.times and k.epoll_timeout < 0 and not k.looks_again
    deferred = k.defer > 0 and k.timeout > 0
    suspends = k.prefer and k.suspend > 0 and k.usecs == 0 and deferred and k.budget >= lanes
    longest = k.poll + k.weight * k.packet
    unsqueezed = k.weight <= k.pass_budget and longest <= (k.pass_jiffies - 1) * k.jiffy
    return bool(
        plain
        and (unsqueezed or k.threaded)
        and (suspends or not k.busy)
        and (deferred or k.defer == 0)
        and k.rx_delay >= 0
        and k.rx_frames == 0
        and k.weight >= lanes
        and k.ring >= max(k.weight, suspends * k.budget)
        and k.preemption
        and k.poll > 0
        and k.end < 1 << MAX_BITS
    )


_COSTS = (
    *("irq_latency", "irq", "timer_latency", "timer", "poll", "packet", "exit", "idle"),
    *("transmit", "notify"),
    *("wake", "sleep", "epoll", "event", "busy_poll", "rt_period", "rt_runtime", "slice"),
)


def _lay_out(k: np.record, packets: int, scheduled: bool) -> None:
    """Say where in the memory each array begins."""
    times, closed = packets * int(k.times), packets * int(k.closed)
    if k.closed:
        k.bucket_shift = bucket_shift(packets, int(k.end))
        k.buckets = buckets(packets, int(k.end))
    causes = int(k.causes)
    sizes = {
        "tail": causes * ROW * BUCKETS,
        "parts": causes * ROW * TOGETHER,
        "place": causes * ROW * TOGETHER,
        "cause": causes * KINDS * STRIDE,
        "latency": BUCKETS,
        "sizes": max(int(k.weight), int(k.budget)) + 1,
        "delivered": times,
        "started": times,
        "done": times,
        "why": causes * RECORD * (packets + 1),
        "when": closed,
        "service": closed,
        "row": closed,
        "follower": FOLLOWER * closed,
        "bucket": int(k.buckets),
        "scheduled": closed * scheduled,
    }
    for name, size in sizes.items():
        k[f"{name}_at"] = k.memory_size
        k.memory_size += size
    k.heap_at = k.row_at + closed - 1
