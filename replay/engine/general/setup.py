"""The records of a general island before the trace: what policies, host and topology say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from replay.engine.dim import PROFILES, RX_CQE, RX_EQE, RX_GAP, START_INDEX, TX_EQE
from replay.engine.general.lists import LISTS_PER_CPU
from replay.engine.general.state import (
    BACKGROUND,
    CPU,
    ISLAND,
    KSOFTIRQD,
    KWORKER,
    LIST,
    NAPI_THREAD,
    NOTHING,
    QUEUE,
    TASK,
    TURN,
    WORKER,
)
from replay.engine.itr import START_USECS
from replay.engine.topology import FLOATS, Topology
from replay.engine.workload import Workload
from replay.host import Host, arming_ns, costs_of, suspending_ns
from replay.policy import Policy
from replay.units import MICROSECOND, MILLISECOND, NEVER

MAX_SOFTIRQ_TIME = 2 * MILLISECOND  # kernel/softirq.c

_COSTS = (
    *("irq_latency", "irq", "timer_latency", "timer", "poll", "packet", "exit"),
    *("idle", "wake", "sleep", "epoll", "event", "transmit", "notify", "busy_poll", "ipi"),
    *(
        "handoff",
        "far",
        "cold",
        "stale",
        "stale_after",
        "interrupted",
        "background",
        "background_period",
    ),
    *("program", "tx_delay", "tx", "jiffy"),
    *("rt_period", "rt_runtime", "slice"),
)
_MODES = {"timer": 0, "cqe": 1, "gap": 2}
_ADAPTIVE = {"off": 0, "dim": 1, "itr": 2}


def new_island(workload: Workload, policy: Policy, host: Host, topology: Topology) -> Any:
    """Return the island's record: costs, and the policy of its threads and softirqs."""
    host = costs_of(policy, host)
    g = np.zeros(1, ISLAND).view(np.recarray)[0]
    g.end = workload.duration_ns
    for name in _COSTS:
        g[name] = getattr(host, f"{name}_ns")
    for name in ("tx_completions", "extra_irq", "looks_again", "gro_batch", "preemption"):
        g[name] = getattr(host, name)
    g.cstates = len(host.cstates)
    g.softirq_jiffies = -(-MAX_SOFTIRQ_TIME // host.jiffy_ns)
    g.budget = policy.netdev_budget
    usecs = policy.netdev_budget_usecs
    g.budget_jiffies = 2 if usecs is None else -(-usecs * MICROSECOND // host.jiffy_ns)
    g.prefer, g.usecs = policy.prefer_busy_poll, policy.busy_poll_usecs
    g.busy_budget, g.busy = policy.busy_poll_budget, policy.busy_polls
    g.busy_read, g.hooked = policy.busy_read_usecs, policy.hooked
    g.epoll_timeout, g.max_events = policy.epoll_timeout_ns, policy.max_events
    g.cpu_count, g.worker_count = len(topology.cpu_domain), len(topology.worker_cpu)
    return g


def new_queues(policies: Sequence[Policy], host: Host, topology: Topology) -> Any:
    """Return a record for each queue, under its NIC's policy."""
    queues = np.zeros(len(topology.queue_cpu), QUEUE)
    for number, (q, cpu) in enumerate(zip(queues, topology.queue_cpu, strict=True)):
        policy = topology.policy_of(number, policies)
        own = costs_of(policy, host)
        q["mode"] = _MODES[policy.coalescing or own.coalescing]
        q["adaptive"] = _ADAPTIVE[policy.adaptive or own.adaptive]
        _program(q, policy, own)
        half = max(1, own.ring // 2)
        q["ring"], q["weight"] = own.ring, policy.weight
        q["repost_every"] = min(own.repost_every, half)
        q["repost_above"] = min(own.repost_above, own.ring // 2)
        q["plain"] = q["repost_every"] == 1 and q["adaptive"] == 0 and not own.looks_again
        q["defer"], q["timeout"] = policy.defer_hard_irqs, policy.gro_flush_timeout_ns
        q["suspend"], q["hooked"] = policy.irq_suspend_timeout_ns, policy.hooked
        q["timer_start"] = arming_ns(own, policy.gro_flush_timeout_ns)
        q["suspend_start"] = suspending_ns(own, policy)
        q["timer_first"] = arming_ns(own, 0)
        q["timer_later"] = arming_ns(own, own.jiffy_ns)
        threaded = own.threaded if policy.threaded is None else policy.threaded
        q["cpu"], q["thread"] = cpu, 0 if threaded else NOTHING
        q["armed"], q["last_signal"], q["tx_event_at"] = 1, -NEVER, -NEVER
        q["timer_cpu"] = q["polled_since"] = NOTHING
        for name in ("irq_due", "signal", "irq_at", "timer", "latency_low"):
            q[name] = NEVER
    return queues


def _program(q: Any, policy: Policy, host: Host) -> None:
    """Write the coalescing that the device begins with."""
    values = {
        name: getattr(host, name) if getattr(policy, name) is None else getattr(policy, name)
        for name in ("rx_usecs", "rx_frames", "tx_usecs", "tx_frames")
    }
    if q["adaptive"] == _ADAPTIVE["dim"]:
        kind = {"timer": RX_EQE, "cqe": RX_CQE, "gap": RX_GAP}[policy.coalescing or host.coalescing]
        values["rx_usecs"], values["rx_frames"] = PROFILES[kind, START_INDEX].tolist()
        values["tx_usecs"], values["tx_frames"] = PROFILES[TX_EQE, START_INDEX].tolist()
    elif q["adaptive"] == _ADAPTIVE["itr"]:
        values["rx_usecs"] = START_USECS
    for way in ("rx", "tx"):
        q[f"{way}_delay"] = values[f"{way}_usecs"] * MICROSECOND
        q[f"{way}_frames"] = values[f"{way}_frames"]


def new_tasks(policy: Policy, host: Host, topology: Topology, queues: Any) -> Any:
    """Return workers, then each CPU's ksoftirqd, background work and kworker, then NAPI threads."""
    cpus = len(topology.cpu_domain)
    found: list[dict[str, int]] = [
        {"kind": WORKER, "cpu": cpu if cpu != FLOATS else number % cpus, "pinned": cpu != FLOATS}
        for number, cpu in enumerate(topology.worker_cpu)
    ]
    for cpu in range(cpus):
        found.append({"kind": KSOFTIRQD, "cpu": cpu, "pinned": 1, "napi": 1})
        found.append({"kind": BACKGROUND, "cpu": cpu, "pinned": 1})
        found.append({"kind": KWORKER, "cpu": cpu, "pinned": 1})
    threads: list[int] = []
    for dealt, q in enumerate(queues[queues["thread"] != NOTHING]):
        if not policy.pollers or len(threads) < policy.pollers:
            kind = policy.napi_thread or host.napi_thread
            threads.append(len(found))
            found.append(
                {
                    **{"kind": NAPI_THREAD, "cpu": int(q["cpu"]), "napi": 1},
                    **{"pinned": kind != "floating", "fifo": kind == "fifo"},
                }
            )
        number = threads[dealt % policy.pollers] if policy.pollers else threads[-1]
        queues["thread"][np.flatnonzero(queues["thread"] != NOTHING)[dealt]] = number
    tasks = np.zeros(len(found), TASK)
    for t, values in zip(tasks, found, strict=True):
        for name, value in values.items():
            t[name] = value
    tasks["asleep"], tasks["epoll_queue"], tasks["wakes_at"] = 1, NOTHING, NEVER
    workers = tasks[: len(topology.worker_cpu)]
    workers["cold"], workers["bed"] = 1, workers["cpu"]
    if policy.epoll_timeout_ns >= 0:
        workers["wakes_at"] = policy.epoll_timeout_ns
    workers["following"] = chain(len(workers))
    return tasks


def new_cpus(g: Any, topology: Topology, queues: Any) -> Any:
    """Return a record for each CPU, idle; its queues are chained."""
    cpus = np.zeros(len(topology.cpu_domain), CPU)
    cpus["domain"], cpus["tx_queue"] = topology.cpu_domain, topology.cpu_tx_queue
    for number, c in enumerate(cpus):
        first = len(topology.worker_cpu) + 3 * number
        c["worker"] = (
            topology.worker_cpu.index(number) if number in topology.worker_cpu else NOTHING
        )
        c["ksoftirqd"], c["background"], c["kworker"] = first, first + 1, first + 2
    for name in ("unthrottle", "slice_end", "background_at"):
        cpus[name] = NEVER
    for name in ("bh_off", "running", "task", "idle_since", "first_timer"):
        cpus[name] = NOTHING
    if g.background > 0 and g.background_period > 0:
        cpus["background_at"] = g.background_period
    cpus["to_idle"] = g.idle
    for number in range(len(cpus)):
        mine = np.flatnonzero(queues["cpu"] == number)
        cpus["first_queue"][number] = mine[0] if len(mine) else NOTHING
        queues["following"][mine] = [*mine[1:], NOTHING]
    return cpus


def new_turns(cpus: int) -> Any:
    """Return when each CPU acts, not known yet."""
    turns = np.zeros(cpus, TURN)
    turns["following"] = chain(cpus)
    return turns


def chain(count: int) -> list[int]:
    """Return for each of so many which one follows."""
    return [*range(1, count), NOTHING]


def new_lists(cpus: int, queues: int, tasks: int) -> tuple[Any, Any]:
    """Return empty lists, and the links of all that can be in one."""
    lists = np.zeros(cpus * LISTS_PER_CPU + tasks, LIST)
    lists["first"] = NOTHING
    return lists, np.zeros(queues + tasks, np.int64)
