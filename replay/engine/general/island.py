"""From a workload, policies, a host and a topology to an island's records, and to its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.engine.causes import CAUSES, Causes
from replay.engine.dim import DIM
from replay.engine.general.ahead import look_ahead, run_ahead
from replay.engine.general.packets import Packets, lay_out_packets
from replay.engine.general.run import run
from replay.engine.general.setup import (
    new_cpus,
    new_island,
    new_lists,
    new_queues,
    new_tasks,
    new_turns,
)
from replay.engine.histogram import BUCKETS, Histogram
from replay.engine.itr import ITR
from replay.engine.outcome import CpuTime, Outcome, Times
from replay.engine.topology import Topology
from replay.engine.workload import Workload
from replay.errors import PolicyError
from replay.host import Host
from replay.policy import Policy
from replay.progress import watch


def replay_general(
    workload: Workload,
    policies: Sequence[Policy],
    host: Host,
    topology: Topology,
    *,
    times: bool,
    causes: bool,
) -> Outcome:
    """Replay an island of any shape. `policies`: one a NIC (see `Topology.policy_of`)."""
    first = topology.policy_of(0, policies)
    g = new_island(workload, first, host, topology)
    g.times, g.causes = times, causes
    closed = workload.parent is not None
    g.plain = not (times or causes or closed or g.tx_completions or g.busy_read)
    queues = new_queues(policies, host, topology)
    tasks = new_tasks(first, host, topology, queues)
    cpus, turns = new_cpus(g, topology, queues), new_turns(len(topology.cpu_domain))
    lists, links = new_lists(len(cpus), len(queues), len(tasks))
    look_ahead(g, queues, topology)
    packets = lay_out_packets(g, workload, host, queues)
    records = {
        **{"queues": queues, "cpus": cpus, "turns": turns, "tasks": tasks},
        **{"lists": lists, "links": links},
        "dims": np.zeros(2 * len(queues), DIM),
        "itrs": np.zeros(len(queues), ITR),
    }
    for name, array in (records | packets._asdict()).items():
        g[name] = array.ctypes.data
    g.queue_count, g.task_count = len(queues), len(tasks)
    g.list_count, g.link_count = len(lists), len(links)
    watch(lambda: int(g.now) / workload.duration_ns)
    while not run(g):
        run_ahead(g)
    if g.overflow:
        raise PolicyError(
            f"transmissions that wait to be cleaned up: more than {int(g.tx_size):,} on a queue"
        )
    return _outcome(g, workload, packets, queues, cpus)


def _outcome(g: Any, workload: Workload, packets: Packets, queues: Any, cpus: Any) -> Outcome:
    """Gather the results of a finished replay."""
    spent = {
        name: int(cpus[name].sum()) for name in ("hardirq", "softirq", "kernel", "app", "other")
    }
    cpu = CpuTime(**spent, idle=workload.duration_ns * len(cpus) - sum(spent.values()))
    parts = [
        _of_queue(g, q, number, workload.duration_ns, packets, cpu)
        for number, q in enumerate(queues)
    ]
    whole = reduce(Outcome.merge, parts)
    return replace(
        whole,
        cpu=cpu,
        epoll_returns=int(g.epoll_returns),
        squeezes=int(g.squeezes),
        leaving_idle_ns=int(cpus["leaving_idle"].sum()),
        poll_sizes=packets.memory[g.sizes_at :][: g.sizes],
        causes=_causes(g, packets.memory) if g.causes else None,
        times=_times(g, packets, workload, queues) if g.times else None,
        queues=tuple(parts) if len(parts) > 1 else (),
    )


def _of_queue(
    g: Any, q: Any, number: int, duration_ns: int, packets: Packets, cpu: CpuTime
) -> Outcome:
    """Return what one queue saw. CPU time, epoll's returns and squeezes are the island's."""
    service = packets.service[q["slots"] :][: q["known"]]
    counters: dict[str, Any] = {
        name: int(q[name])
        for name in (
            *("dropped", "irqs", "irqs_no_work", "timers", "polls", "polls_empty"),
            *("busy_polls", "resumes", "served"),
        )
    }
    served = counters["served"]
    return Outcome(
        duration_ns=duration_ns,
        packets=int(q["known"]),
        requests=int(np.count_nonzero(service >= 0)),
        delivered=int(q["received"]),
        left=int(q["known"] - q["received"] - q["dropped"]),
        tx_packets=served,
        epoll_returns=0,
        cpu=cpu,
        latency=Histogram(
            packets.memory[g.latency_at + number * BUCKETS :][:BUCKETS],
            int(q["latency_sum"]),
            int(q["latency_low"]) if served else 0,
            int(q["latency_high"]),
        ),
        poll_sizes=np.zeros(1, np.int64),
        **counters,
    )


def _causes(g: Any, memory: npt.NDArray[np.int64]) -> Causes:
    """Return the causes that were counted."""
    kinds = len(CAUSES)
    return Causes(
        memory[g.cause_at :][: kinds * BUCKETS].reshape(kinds, BUCKETS),
        memory[g.tail_at :][: kinds * BUCKETS].reshape(BUCKETS, kinds),
    )


def _times(g: Any, packets: Packets, workload: Workload, queues: Any) -> Times:
    """Return each packet's times in the workload's order."""
    count, memory = len(workload.arrival_ns), packets.memory
    arrival = np.full(count, -1, np.int64)
    slots = np.concatenate([np.arange(q["slots"], q["slots"] + q["known"]) for q in queues])
    rows = slots if g.row_at < 0 else memory[g.row_at + slots]
    arrival[rows] = packets.when[slots]
    delivered, started, done = (
        memory[at:][:count] for at in (g.delivered_at, g.started_at, g.done_at)
    )
    return Times(arrival, delivered, started, done)
