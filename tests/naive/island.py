"""An island: packets arrive, CPUs act one at a time, and what came of it is counted."""

from __future__ import annotations

import heapq

import numpy as np

from replay.engine.causes import CAUSES, Causes
from replay.engine.histogram import Histogram, bucket_of
from replay.engine.outcome import CpuTime, Outcome, Times
from replay.engine.topology import SINGLE, Topology
from replay.engine.workload import Workload
from replay.host import Host, costs_of
from replay.policy import Policy
from replay.units import NEVER
from tests.naive.cpu import Cpu
from tests.naive.queue import Queue, chosen
from tests.naive.task import NapiThread, Task
from tests.naive.worker import Worker

COUNTS = (
    *("packets", "requests", "delivered", "dropped", "served", "irqs", "irqs_no_work", "timers"),
    *("polls", "polls_empty", "busy_polls", "epoll_returns", "resumes", "tx_packets", "squeezes"),
)


class Island:
    def __init__(
        self, load: Workload, policies: list[Policy], host: Host, topology: Topology, hooks
    ) -> None:
        self.load, self.hooks = load, hooks
        self.policy = topology.policy_of(0, policies)  # of threads, softirqs and application
        self.host = costs_of(self.policy, host)
        self.now, self.end = 0, load.duration_ns
        self.counts = dict.fromkeys(COUNTS, 0)
        n = len(load.arrival_ns)
        self.arrival, self.delivered, self.started, self.done = (
            np.full(n, -1, np.int64) for _ in range(4)
        )
        self.why: dict[int, dict[str, int]] = {}  # until its delivery, each packet's causes
        self.latencies: list[int] = []
        self.causes: list[dict[str, int]] = []
        self.poll_sizes: list[int] = []
        domains = topology.cpu_domain
        self.cpus = [Cpu(number, domain, self) for number, domain in enumerate(domains)]
        self.queues = [
            self.new_queue(number, self.cpus[cpu], topology.policy_of(number, policies), host)
            for number, cpu in enumerate(topology.queue_cpu)
        ]
        self.tx_queue = [
            self.queues[number] if number >= 0 else None for number in topology.cpu_tx_queue
        ]
        self.workers = [
            Worker(number, self.cpus[cpu if cpu >= 0 else number % len(self.cpus)], cpu >= 0)
            for number, cpu in enumerate(topology.worker_cpu)
        ]
        self.start_napi_threads()
        self.future: list[tuple[int, int]] = []
        self.children: dict[int, list[int]] = {}
        for packet in range(n):
            parent = -1 if load.parent is None else int(load.parent[packet])
            if parent >= 0:
                self.children.setdefault(parent, []).append(packet)
            else:
                heapq.heappush(self.future, (int(load.arrival_ns[packet]), packet))

    def new_queue(self, number: int, cpu: Cpu, policy: Policy, host: Host) -> Queue:
        return Queue(number, cpu, policy, costs_of(policy, host), self)

    def start_napi_threads(self) -> None:
        """A thread for each queue, or (TAPI) as many as the policy says, queues dealt in turn."""
        pollers = self.policy.pollers
        threads: list[NapiThread] = []
        for queue in self.queues:
            if not queue.threaded:
                continue
            if not pollers or len(threads) < pollers:
                kind = chosen(queue.policy.napi_thread, self.host.napi_thread)
                threads.append(NapiThread(queue.cpu, kind))
                queue.thread = threads[-1]
            else:
                queue.thread = threads[sum(q.thread is not None for q in self.queues) % pollers]

    # --- packets --------------------------------------------------------------------------

    def service(self, packet: int) -> int:
        return int(self.load.service_ns[packet])

    def size(self, packet: int) -> int:
        return 1 if self.load.size is None else int(self.load.size[packet])

    def queue_of(self, packet: int) -> Queue:
        return self.queues[0 if self.load.queue is None else int(self.load.queue[packet])]

    def arrive(self, packet: int) -> None:
        self.arrival[packet] = self.now
        self.counts["packets"] += 1
        self.counts["requests"] += int(self.service(packet) >= 0)
        self.counts["dropped"] += not self.queue_of(packet).accept(packet)

    def next_arrival(self) -> int:
        return self.future[0][0] if self.future else NEVER

    def deliver(self, batch: list[int], queue: Queue, cpu: Cpu) -> None:
        """The stack has the packets: requests are ready, whoever waits for them wakes up."""
        for packet in batch:
            self.delivered[packet] = self.now
            if self.service(packet) < 0:
                continue
            self.why[packet] = self.causes_of_delivery(packet, queue)
            worker = self.workers[0 if self.load.worker is None else int(self.load.worker[packet])]
            worker.ready.append((packet, cpu))
            if self.policy.busy_polls:  # ep_poll_callback
                worker.epoll_queue = queue
            if worker.asleep:
                self.wake(worker, cpu)

    def count_poll(self, work: int, kind: str) -> None:
        self.counts["polls"] += 1
        self.counts["polls_empty"] += work == 0
        self.counts["busy_polls"] += kind == "kernel"
        self.poll_sizes.append(work)

    def answer(self, packet: int, worker: Worker, started: int, service: int) -> None:
        """The response is handed to the device."""
        self.done[packet] = self.now
        self.counts["served"] += 1
        self.counts["tx_packets"] += 1
        self.latencies.append(int(self.now - self.arrival[packet]))
        self.causes.append(self.causes_of_service(packet, worker, started, service))
        for child in self.children.get(packet, []):
            assert self.load.think_ns is not None
            time = self.now + int(self.load.think_ns[child])
            if self.load.scheduled:
                time = max(time, int(self.load.arrival_ns[child]))
            heapq.heappush(self.future, (time, child))
        if self.host.tx_completions:
            queue = self.tx_queue[worker.cpu.number] or self.queue_of(packet)
            queue.transmit(1 if self.load.answer_size is None else self.load.answer_size[packet])

    # --- why it waited --------------------------------------------------------------------

    def causes_of_delivery(self, packet: int, queue: Queue) -> dict[str, int]:
        cause, since = queue.trigger
        signalled = max(int(self.arrival[packet]), since)
        polled = max(signalled, queue.polled_since)
        why = dict.fromkeys(CAUSES, 0)
        why[cause] += signalled - int(self.arrival[packet])
        why["cpu"] += polled - signalled
        why["ring"] += self.now - polled
        return why

    def causes_of_service(
        self, packet: int, worker: Worker, started: int, service: int
    ) -> dict[str, int]:
        why = self.why.pop(packet)
        delivered = int(self.delivered[packet])
        awake = max(delivered, worker.woken)
        why["wakeup"] += awake - delivered
        why["queueing"] += started - awake
        why["service"] += service
        why["cpu"] += self.now - started - service
        assert sum(why.values()) == self.now - self.arrival[packet]
        return why

    # --- threads --------------------------------------------------------------------------

    def wake(self, task: Task, cpu: Cpu, in_call: bool = False) -> None:
        """try_to_wake_up: where it ran if that CPU is idle, else an idle one of that cache.

        The CPU that wakes it comes first, then those after the one where it ran.
        """
        task.asleep = False
        if not task.pinned and not task.cpu.idle():
            after = task.cpu.number + 1
            near = [cpu, *self.cpus[after:], *self.cpus[:after]]
            near = [other for other in near if other.domain == task.cpu.domain]
            task.cpu = next((other for other in near if other.idle()), task.cpu)
        if task.cpu is cpu:
            cpu.enqueue(task, in_call)
        else:
            task.cpu.ipis.append((self.now + self.host.ipi_ns, task))

    # --- time -----------------------------------------------------------------------------

    def run(self) -> Outcome:
        while True:
            while self.future and self.future[0][0] <= self.now < self.end:
                self.arrive(heapq.heappop(self.future)[1])
            for queue in self.queues:
                queue.complete_transmissions()
                queue.send_signal()
            if any(cpu.act() for cpu in self.cpus):  # the first that has something to do
                continue
            if self.now >= self.end:
                return self.outcome()
            self.advance()

    def advance(self) -> None:
        """Let everybody work until something happens."""
        times = [self.end, self.next_arrival()]
        for queue in self.queues:
            times += [queue.signal, *list(queue.in_flight)[:1]]
        for cpu in self.cpus:
            times.append(self.now + cpu.remaining())
            if cpu.handler is None:
                times += [time for time, _, _ in cpu.interrupts()]
        until = min(times)
        for cpu in self.cpus:
            cpu.spend(until - self.now)
        self.now = until

    def outcome(self) -> Outcome:
        kinds = self.cpus[0].time
        spent = {kind: sum(cpu.time[kind] for cpu in self.cpus) for kind in kinds}
        idle = self.end * len(self.cpus) - sum(spent.values())
        return Outcome(
            duration_ns=self.end,
            left=sum(len(queue.ring) for queue in self.queues),
            cpu=CpuTime(**spent, idle=idle),
            leaving_idle_ns=sum(cpu.leaving_idle for cpu in self.cpus),
            latency=Histogram.of(np.array(self.latencies, np.int64)),
            poll_sizes=np.bincount(self.poll_sizes, minlength=1).astype(np.int64),
            times=Times(self.arrival, self.delivered, self.started, self.done),
            causes=self.sum_of_causes(),
            **{name: int(count) for name, count in self.counts.items()},
        )

    def sum_of_causes(self) -> Causes:
        result = Causes.none()
        for latency, why in zip(self.latencies, self.causes, strict=True):
            for number, cause in enumerate(CAUSES):
                result.counts[number, bucket_of(why[cause])] += 1
                result.by_latency[bucket_of(latency), number] += why[cause]
        return result


def replay_naively(
    workload: Workload,
    policy: Policy | list[Policy],
    host: Host,
    topology: Topology = SINGLE,
    hooks=None,
) -> Outcome:
    policies = [policy] if isinstance(policy, Policy) else list(policy)
    return Island(workload, policies, host, topology, hooks).run()
