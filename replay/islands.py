"""Islands: queues, CPUs and workers that can influence each other, each with its packets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from replay.arrivals import Int64s, requests_of
from replay.engine.topology import FLOATS, OWN, SINGLE, Topology
from replay.engine.workload import Workload
from replay.host import Host
from replay.mapped import changed, chunks, zeros
from replay.policy import Policy


class Island(NamedTuple):
    """What a group of queues, with their CPUs and workers, has to do."""

    queues: tuple[int, ...]  # their numbers under the layout
    workload: Workload
    topology: Topology = SINGLE

    @property
    def requests(self) -> int:
        """Number of requests that were recorded within the duration."""
        return requests_of(self.workload)


@dataclass(frozen=True, eq=False)
class Placement:
    """Every packet on its queue and with its worker, on all CPUs. Arrays of shape (packets,)."""

    workload: Workload
    topology: Topology
    queue: Int64s | None = None  # of the topology; None: all queue 0
    worker: Int64s | None = None  # None: all worker 0
    names: tuple[int, ...] = (0,)  # the number under which each queue is shown

    @cached_property
    def apart(self) -> Sequence[Island]:
        """The islands, where NAPI threads stay on their CPUs."""
        return _split(self, together=False)

    @cached_property
    def together(self) -> Sequence[Island]:
        """The one island, where a NAPI thread may run on any CPU or poll any queue."""
        return _split(self, together=True)

    def islands(self, policies: Iterable[Policy], host: Host) -> Sequence[Island]:
        """Return what can be replayed each by itself under `policies`."""
        return self.together if any(_roams(it, host) for it in policies) else self.apart


def beside_its_queue(workload: Workload, queue: Int64s | None) -> Placement:
    """Return each used queue with a CPU and a worker of its own."""
    if queue is None:
        return Placement(workload, SINGLE)
    names = _distinct(queue)
    place = changed(queue, lambda numbers: np.searchsorted(names, numbers))
    own = tuple(range(len(names)))
    topology = Topology(own, (0,) * len(own), own, (0,) * len(own), own)
    return Placement(workload, topology, place, place, tuple(names.tolist()))


def _distinct(column: Int64s) -> Int64s:
    """Return the values of a column, each once, sorted."""
    found = [np.unique(column[it]) for it in chunks(len(column))]
    return np.unique(np.concatenate([np.empty(0, np.int64), *found]))


def _roams(policy: Policy, host: Host) -> bool:
    """Whether a NAPI thread may leave its CPU or serve several queues."""
    threaded = host.threaded if policy.threaded is None else policy.threaded
    kind = policy.napi_thread or host.napi_thread
    return threaded and (policy.pollers > 0 or kind == "floating")


def _split(placed: Placement, *, together: bool) -> list[Island]:
    """Split packets and topology into islands, in order of their first queues."""
    topology = placed.topology
    islands = _components(placed, together=together)
    of_queue = np.zeros(len(topology.queue_cpu), np.int64)
    for number, (queues, _, _) in enumerate(islands):
        of_queue[queues] = number
    if len(islands) == 1:
        return [_island(placed, None, *islands[0])]
    assert placed.queue is not None
    parts = _sort_out(placed, of_queue, len(islands))
    return [
        _island(part, row, *members) for (part, row), members in zip(parts, islands, strict=True)
    ]


def _sort_out(
    placed: Placement, of_queue: Int64s, islands: int
) -> Iterator[tuple[Placement, Int64s | None]]:
    """Yield each island's packets, and which of all they are where one awaits another's answer."""
    queue, work = placed.queue, placed.workload
    assert queue is not None
    rows = np.zeros(islands, np.int64)
    for part in chunks(len(queue)):
        rows += np.bincount(of_queue[queue[part]], minlength=islands)

    def dealt(column: Int64s | None) -> list[Int64s | None]:
        """Deal a column out to the islands."""
        if column is None:
            return [None] * islands
        found = [zeros(count) for count in rows.tolist()]
        ends = [0] * islands
        for part in chunks(len(column)):
            island = of_queue[queue[part]]
            for number in np.unique(island).tolist():
                mine = column[part][island == number]
                found[number][ends[number] :][: len(mine)] = mine
                ends[number] += len(mine)
        return list(found)

    at, service = dealt(work.arrival_ns), dealt(work.service_ns)
    size, answer_size = dealt(work.size), dealt(work.answer_size)
    parent, think = dealt(work.parent), dealt(work.think_ns)
    row = dealt(np.arange(len(queue)) if work.closed else None)
    queues, workers = dealt(queue), dealt(placed.worker)
    for i in range(islands):
        arrival_ns, service_ns = at[i], service[i]
        assert arrival_ns is not None
        assert service_ns is not None
        mine = replace(
            work,
            arrival_ns=arrival_ns,
            service_ns=service_ns,
            parent=parent[i],
            think_ns=think[i],
            size=size[i],
            answer_size=answer_size[i],
        )
        yield replace(placed, workload=mine, queue=queues[i], worker=workers[i]), row[i]


def _components(
    placed: Placement, *, together: bool
) -> list[tuple[list[int], list[int], list[int]]]:
    """Return the queues, CPUs and workers of each island; CPUs and workers of none are idle.

    A queue goes with its CPU and with every worker that serves its packets (one without packets:
    with the worker of its number), a pinned worker with its CPU, a floating one with all CPUs.
    """
    topology = placed.topology
    queues, cpus = len(topology.queue_cpu), len(topology.cpu_domain)
    workers = len(topology.worker_cpu)
    parent = list(range(queues + cpus + workers))  # queues, then CPUs, then workers

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def join(one: int, other: int) -> None:
        low, high = sorted((root(one), root(other)))
        parent[high] = low

    for queue, cpu in enumerate(topology.queue_cpu):
        join(queue, queues + cpu)
    for cpu, queue in enumerate(topology.cpu_tx_queue):
        if queue != OWN:
            join(queue, queues + cpu)
    for worker, cpu in enumerate(topology.worker_cpu):
        for reached in range(cpus) if cpu == FLOATS else (cpu,):
            join(queues + cpus + worker, queues + reached)
    for queue, worker in _served(placed, queues, workers):
        join(queue, queues + cpus + worker)
    if together:
        for node in range(queues + cpus):
            join(0, node)
    found: dict[int, tuple[list[int], list[int], list[int]]] = {}
    for node in range(len(parent)):
        kinds = found.setdefault(root(node), ([], [], []))
        if node < queues:
            kinds[0].append(node)
        elif node < queues + cpus:
            kinds[1].append(node - queues)
        else:
            kinds[2].append(node - queues - cpus)
    return [members for members in found.values() if members[0]]


def _served(placed: Placement, queues: int, workers: int) -> Iterable[tuple[int, int]]:
    """Return each queue with each worker that serves packets of it, at least one."""
    queue, worker = placed.queue, placed.worker
    found: set[int] = set()
    for part in chunks(len(placed.workload.arrival_ns)):
        pairs = np.zeros(1, np.int64)
        if queue is not None:
            pairs = queue[part] * workers
        if worker is not None:
            pairs = pairs + worker[part]
        found |= set(np.unique(pairs).tolist())
    pairs_found = [divmod(pair, workers) for pair in sorted(found)]
    idle = set(range(queues)) - {queue for queue, _ in pairs_found}
    return [*pairs_found, *((number, number % workers) for number in sorted(idle))]


def _island(
    placed: Placement, row: Int64s | None, queues: list[int], cpus: list[int], workers: list[int]
) -> Island:
    """Return the island of these queues, CPUs and workers, each numbered from 0 in it.

    `placed` has the island's packets; `row` says which of all packets they are, None: they are all,
    or none awaits an answer.
    """
    whole = placed.topology
    local_queue = {number: i for i, number in enumerate(queues)}
    local_cpu = {number: i for i, number in enumerate(cpus)}
    topology = Topology(
        queue_cpu=tuple(local_cpu[whole.queue_cpu[queue]] for queue in queues),
        queue_device=tuple(whole.queue_device[queue] for queue in queues),
        worker_cpu=tuple(
            FLOATS if whole.worker_cpu[it] == FLOATS else local_cpu[whole.worker_cpu[it]]
            for it in workers
        ),
        cpu_domain=tuple(whole.cpu_domain[cpu] for cpu in cpus),
        cpu_tx_queue=tuple(local_queue.get(whole.cpu_tx_queue[cpu], OWN) for cpu in cpus),
    )
    names = tuple(placed.names[queue] for queue in queues)
    if topology.single:  # nowhere else to run, no other queue to transmit on, any cache its own
        topology = Topology(queue_device=topology.queue_device)
        return Island(names, _own_parents(placed.workload, row), topology)
    queue, worker = _renumbered(placed.queue, queues), _renumbered(placed.worker, workers)
    work = replace(_own_parents(placed.workload, row), queue=queue, worker=worker)
    return Island(names, work, topology)


def _renumbered(numbers: Int64s | None, members: list[int]) -> Int64s | None:
    """Return each packet's place among the sorted `members`; None where all are 0."""
    if numbers is None or len(members) == 1:
        return None
    return changed(numbers, lambda it: np.searchsorted(members, it))


def _own_parents(work: Workload, row: Int64s | None) -> Workload:
    """Return `work` with parents numbered as in it; packet i is number `row[i]` of all, sorted.

    A packet that waits for an answer from another island comes as recorded.
    """
    if row is None or work.parent is None:
        return work
    place = np.searchsorted(row, work.parent)
    here = np.zeros(len(row), np.bool_)
    if len(row):
        here = (work.parent >= 0) & (row[np.minimum(place, len(row) - 1)] == work.parent)
    return replace(work, parent=np.where(here, place, -1))
