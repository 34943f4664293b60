"""Where queues and workers run: CPUs, caches and NICs, as a person asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from replay.engine.topology import FLOATS, OWN, Topology
from replay.errors import PolicyError

Spread = Literal["queues", "flows"]
SPREADS: tuple[Spread, ...] = ("queues", "flows")

#: CPUs, workers or NICs at most.
MOST = 1024


@dataclass(frozen=True)
class Places:
    """CPUs and workers, and what runs where. What is not said follows the rule beside it."""

    cpus: int | None = None  # as many as are named, and one a queue where irq_cpus is not said
    workers: int | None = None  # as many as worker_cpus, else one a queue
    irq_cpus: tuple[int, ...] = ()  # the CPU of each queue's interrupts; queue i: CPU i mod cpus
    worker_cpus: tuple[int, ...] = ()  # of each worker, FLOATS for none; one for all
    cache_domains: tuple[int, ...] = ()  # of each CPU; all share one cache
    queue_nics: tuple[int, ...] = ()  # the NIC of each queue; all NIC 0
    spread: Spread = "queues"  # flow to worker: its queue, or its own number, mod workers

    def __post_init__(self) -> None:
        for name in ("cpus", "workers"):
            value = getattr(self, name)
            if value is not None:
                _check(name, (value,), 1, MOST)
        for name in ("irq_cpus", "cache_domains", "queue_nics"):
            _check(name, getattr(self, name), 0, MOST - 1)
        _check("worker_cpus", self.worker_cpus, FLOATS, MOST - 1)
        if self.spread not in SPREADS:
            raise PolicyError(f"spread = {self.spread!r} is none of {', '.join(SPREADS)}")

    def topology(self, queues: int) -> Topology:
        """Return the CPUs, workers and NICs that serve so many queues.

        Without `worker_cpus` worker i runs on CPU i mod cpus, or beside its queue where there is
        one for each. Where there are several queues, a CPU transmits on the first queue whose
        interrupts it takes, as drivers set up XPS, else on the request's own. Raises PolicyError.
        """
        cpus = self._cpus(queues)
        _check("irq_cpus", self.irq_cpus, 0, cpus - 1)
        _check("worker_cpus", self.worker_cpus, FLOATS, cpus - 1)
        queue_cpu = self.irq_cpus or tuple(queue % cpus for queue in range(queues))
        _each("irq_cpus", queue_cpu, queues, "queue")
        domains = self.cache_domains or (0,) * cpus
        _each("cache_domains", domains, cpus, "CPU")
        nics = self.queue_nics or (0,) * queues
        _each("queue_nics", nics, queues, "queue")
        return Topology(
            queue_cpu=queue_cpu,
            queue_device=nics,
            worker_cpu=self._worker_cpu(queue_cpu, cpus),
            cpu_domain=domains,
            cpu_tx_queue=tuple(
                queue_cpu.index(cpu) if queues > 1 and cpu in queue_cpu else OWN
                for cpu in range(cpus)
            ),
        )

    def _cpus(self, queues: int) -> int:
        """Return the number of CPUs."""
        if self.cpus is not None:
            return self.cpus
        if self.cache_domains:
            return len(self.cache_domains)
        named = max((*self.irq_cpus, *self.worker_cpus, 0)) + 1
        return named if self.irq_cpus else max(named, queues)

    def _worker_cpu(self, queue_cpu: tuple[int, ...], cpus: int) -> tuple[int, ...]:
        """Return the CPU of each worker."""
        count = self.workers
        if not self.worker_cpus:
            return queue_cpu if count is None else tuple(i % cpus for i in range(count))
        if len(self.worker_cpus) == 1:
            return self.worker_cpus * (count or (len(queue_cpu) if self.floats else 1))
        _each("worker_cpus", self.worker_cpus, count or len(self.worker_cpus), "worker")
        return self.worker_cpus

    @property
    def floats(self) -> bool:
        """Whether no worker is pinned."""
        return self.worker_cpus == (FLOATS,)


def parse_places(
    *,
    cpus: int | None = None,
    workers: int | None = None,
    irq_cpus: str | None = None,
    worker_cpus: str | None = None,
    cache_domains: str | None = None,
    queue_nics: str | None = None,
    spread: str = "queues",
) -> Places | None:
    """Return the places that the options say; None where all are left as they are.

    Lists are numbers with commas between; a worker's CPU may be `float`. Raises PolicyError.
    """
    places = Places(
        cpus=cpus,
        workers=workers,
        irq_cpus=_numbers("irq_cpus", irq_cpus),
        worker_cpus=_numbers("worker_cpus", worker_cpus, word="float"),
        cache_domains=_numbers("cache_domains", cache_domains),
        queue_nics=_numbers("queue_nics", queue_nics),
        spread=spread,  # type: ignore[arg-type]  # Places checks it
    )
    return None if places == Places() else places


def _numbers(name: str, text: str | None, *, word: str | None = None) -> tuple[int, ...]:
    """Return a list's numbers, none for no text; `word` stands for FLOATS."""
    if text is None:
        return ()
    found = []
    for item in (item.strip() for item in text.split(",")):
        if word is not None and item == word:
            found.append(FLOATS)
        elif item.isdecimal():
            found.append(int(item))
        else:
            kinds = "a number" if word is None else f"a number or {word}"
            raise PolicyError(f"{_said(name)}: {item!r} is not {kinds} from 0 to {MOST - 1}")
    return tuple(found)


def _said(name: str) -> str:
    """Return a field's name as the command line has it."""
    return name.replace("_", "-")


def _check(name: str, values: tuple[int, ...], low: int, high: int) -> None:
    """Raise PolicyError where one of `values` is out of range."""
    for value in values:
        if not low <= value <= high:
            raise PolicyError(f"{_said(name)} = {value} is outside {max(low, 0)} to {high}")


def _each(name: str, values: tuple[int, ...], count: int, what: str) -> None:
    """Raise PolicyError unless there is one value for each of `count`."""
    if len(values) != count:
        raise PolicyError(
            f"{_said(name)} has {len(values)} numbers for {count} {what}{'s'[: count != 1]}:"
            f" one for each is needed"
        )
