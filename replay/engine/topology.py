"""A topology: which CPUs an island has, and which of them its queues and workers run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replay.errors import PolicyError
from replay.policy import Policy

#: A worker that is pinned to no CPU; a CPU whose transmissions use the request's own queue.
FLOATS = OWN = -1


@dataclass(frozen=True)
class Topology:
    """CPUs, queues (NAPI instances) and workers of one island, each counted from 0."""

    queue_cpu: tuple[int, ...] = (0,)  # takes the queue's interrupts
    queue_device: tuple[int, ...] = (0,)  # the NIC: its policy is that of the queue
    worker_cpu: tuple[int, ...] = (0,)  # FLOATS, or the CPU it is pinned to
    cpu_domain: tuple[int, ...] = (0,)  # CPUs of equal number share a cache
    cpu_tx_queue: tuple[int, ...] = (OWN,)  # where a CPU's transmissions complete (XPS)

    def __post_init__(self) -> None:
        cpus, queues = len(self.cpu_domain), len(self.queue_cpu)
        _check("queue_cpu", self.queue_cpu, 0, cpus - 1)
        _check("worker_cpu", self.worker_cpu, FLOATS, cpus - 1)
        _check("cpu_tx_queue", self.cpu_tx_queue, OWN, queues - 1)
        if len(self.queue_device) != queues or len(self.cpu_tx_queue) != cpus:
            raise PolicyError("topology: every queue has a device, every CPU a transmit queue")

    def policy_of(self, queue: int, policies: Sequence[Policy]) -> Policy:
        """Return a queue's policy: its NIC's, or the last where there are fewer policies.

        The first queue's is also that of the island's threads, softirqs and application.
        """
        return policies[min(self.queue_device[queue], len(policies) - 1)]

    @property
    def single(self) -> bool:
        """Whether there is one queue, one CPU and one worker."""
        return len(self.queue_cpu) == len(self.worker_cpu) == len(self.cpu_domain) == 1


def _check(name: str, values: tuple[int, ...], low: int, high: int) -> None:
    """Raise PolicyError where one of `values` is out of range, or there is none."""
    if not values:
        raise PolicyError(f"topology: {name} is empty")
    for value in values:
        if not low <= value <= high:
            raise PolicyError(f"topology: {name} = {value} is outside {low} to {high}")


SINGLE = Topology()
