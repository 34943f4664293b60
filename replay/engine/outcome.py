"""What a replay yields: counters, CPU time by kind of work, and mergeable histograms."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from replay.engine.causes import Causes
from replay.engine.histogram import Histogram


@dataclass(frozen=True)
class CpuTime:
    """CPU time of the island by kind of work, ns. Sums to duration times CPUs."""

    hardirq: int = 0  # device and timer interrupts
    softirq: int = 0  # polls in softirq, ksoftirqd or the NAPI thread
    kernel: int = 0  # the thread inside epoll_wait: calls, busy polls, sleeping and waking
    app: int = 0  # the thread outside epoll_wait: serving requests
    idle: int = 0
    other: int = 0  # background work

    @property
    def total(self) -> int:
        """All of it, ns."""
        return self.hardirq + self.softirq + self.kernel + self.app + self.other + self.idle


@dataclass(frozen=True)
class Times:
    """Each packet's times, ns since the trace's start; -1 for what did not happen."""

    arrival: npt.NDArray[np.int64]
    delivered: npt.NDArray[np.int64]  # given to the stack by a poll
    started: npt.NDArray[np.int64]  # service began (requests)
    done: npt.NDArray[np.int64]  # response transmitted (requests)


@dataclass(frozen=True)
class Outcome:
    """One scenario's result. Counters are over `duration_ns`, from the trace's start."""

    duration_ns: int
    packets: int  # offered: arrived within the duration
    requests: int  # of them, requests
    delivered: int  # packets taken from the ring by a poll
    dropped: int  # packets that found the ring full
    left: int  # packets still in the ring at the end
    served: int  # requests whose response was transmitted
    irqs: int
    timers: int  # napi_watchdog interrupts, those that found the queue owned included
    polls: int  # every napi_poll event: softirq, thread, busy loop and stop
    polls_empty: int
    busy_polls: int  # of polls: inside epoll_wait
    epoll_returns: int  # with at least one event
    resumes: int  # polls scheduled by a failed busy poll
    tx_packets: int
    cpu: CpuTime
    latency: Histogram  # arrival to transmit of each served request, ns
    poll_sizes: npt.NDArray[np.int64]  # index: packets of a poll
    irqs_no_work: int = 0  # of irqs: the poll that they started found no received packet
    leaving_idle_ns: int = 0  # of cpu.idle: leaving C-states; to a cycle counter it is busy
    squeezes: int = 0  # softirqs that ended for their budget or their time (time_squeeze)
    causes: Causes | None = None
    times: Times | None = field(default=None, compare=False)
    #: What each queue of a shared island saw; CPU time, epoll and squeezes are the island's.
    queues: tuple[Outcome, ...] = field(default=(), compare=False)

    def merge(self, other: Outcome) -> Outcome:
        """Return both islands' results together: counters, CPU times and histograms add."""
        values = {}
        for item in fields(self):
            if item.name in (
                "duration_ns",
                "cpu",
                "latency",
                "poll_sizes",
                "causes",
                "times",
                "queues",
            ):
                continue
            values[item.name] = getattr(self, item.name) + getattr(other, item.name)
        cpu = CpuTime(
            **{
                item.name: getattr(self.cpu, item.name) + getattr(other.cpu, item.name)
                for item in fields(CpuTime)
            }
        )
        sizes = np.zeros(max(len(self.poll_sizes), len(other.poll_sizes)), np.int64)
        sizes[: len(self.poll_sizes)] += self.poll_sizes
        sizes[: len(other.poll_sizes)] += other.poll_sizes
        return Outcome(
            duration_ns=max(self.duration_ns, other.duration_ns),
            cpu=cpu,
            latency=self.latency + other.latency,
            poll_sizes=sizes,
            causes=self.causes + other.causes if self.causes and other.causes else None,
            **values,
        )
