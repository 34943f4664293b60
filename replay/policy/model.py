"""A policy: when the NIC interrupts, who polls, and for how long the kernel looks away."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from replay.errors import PolicyError
from replay.units import SECOND

_INT32 = (1 << 31) - 1

#: key: (lowest, highest, unit) of every number a policy holds, as Linux bounds them.
RANGES: dict[str, tuple[int, int, str]] = {
    "rx_usecs": (0, 65_535, "us"),
    "rx_frames": (0, 65_535, "packets"),
    "tx_usecs": (0, 65_535, "us"),
    "tx_frames": (0, 65_535, "packets"),
    "weight": (1, 65_535, "packets"),
    "netdev_budget": (1, _INT32, "packets"),
    "netdev_budget_usecs": (0, _INT32, "us"),
    "defer_hard_irqs": (0, _INT32, "polls"),
    "gro_flush_timeout_ns": (0, 60 * SECOND, "ns"),
    "irq_suspend_timeout_ns": (0, 60 * SECOND, "ns"),
    "busy_poll_usecs": (0, _INT32, "1.024 us"),
    "busy_poll_budget": (1, 65_535, "packets"),
    "busy_read_usecs": (0, _INT32, "1.024 us"),
    "max_events": (0, _INT32, "events"),
    "epoll_timeout_ns": (-1, 3600 * SECOND, "ns"),
    "pollers": (0, 1024, "threads"),
    "ring": (1, 1 << 30, "descriptors"),
}

#: When a device that may interrupt does: rx_usecs after the first packet; rx_usecs after the last
#: (mlx5's CQE mode); rx_usecs after the previous interrupt (Intel's ITR).
Coalescing = Literal["timer", "cqe", "gap"]
#: Who moves rx_usecs at run time: nobody, net DIM, or the dynamic ITR of i40e and ixgbe.
Adaptive = Literal["off", "dim", "itr"]
#: How a NAPI thread is scheduled: SCHED_FIFO and pinned, or SCHED_OTHER, pinned or not.
NapiThread = Literal["fifo", "pinned", "floating"]
#: Whose costs apply: the host's; none; none for busy polls; those of a stack in user space.
Costs = Literal["host", "free", "free-poll", "bypass"]

#: The values of every setting that is a word.
CHOICES: dict[str, tuple[str, ...]] = {
    "coalescing": ("timer", "cqe", "gap"),
    "adaptive": ("off", "dim", "itr"),
    "napi_thread": ("fifo", "pinned", "floating"),
    "costs": ("host", "free", "free-poll", "bypass"),
}


@dataclass(frozen=True)
class Policy:
    """The knobs of a NIC's queues and of the threads that read them. None: as on the host."""

    name: str
    rx_usecs: int | None = None  # ethtool -C: interrupt this long after the first packet
    rx_frames: int | None = None  # or at this many packets, 0 for no such limit
    tx_usecs: int | None = None  # the same for completed transmissions
    tx_frames: int | None = None
    coalescing: Coalescing | None = None
    adaptive: Adaptive | None = None
    weight: int = 64  # packets a poll in softirq or NAPI thread (NAPI_POLL_WEIGHT)
    netdev_budget: int = 300  # packets a NET_RX softirq
    netdev_budget_usecs: int | None = None  # time of a NET_RX softirq; None: two jiffies
    defer_hard_irqs: int = 0  # empty polls before the interrupt is armed again
    gro_flush_timeout_ns: int = 0  # timer from a completion to the next poll
    irq_suspend_timeout_ns: int = 0  # timer after an epoll_wait that returned events
    busy_poll_usecs: int = 0  # EPIOCSPARAMS; one is 1.024 us
    busy_poll_budget: int = 8  # packets a busy poll (BUSY_POLL_BUDGET)
    prefer_busy_poll: bool = False
    busy_read_usecs: int = 0  # SO_BUSY_POLL of the sockets; a read that finds nothing polls once
    threaded: bool | None = None  # poll in a NAPI thread, not in softirq
    napi_thread: NapiThread | None = None
    pollers: int = 0  # TAPI: threads onto which the NAPI instances are packed; 0: one each
    epoll_timeout_ns: int = -1  # the application's epoll_wait timeout; -1 blocks, 0 never sleeps
    max_events: int = 0  # the application's epoll_wait maxevents; 0: all that are ready
    ring: int | None = None  # receive descriptors
    costs: Costs = "host"
    hooked: bool = False  # the hooks of replay.engine.hooks decide

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in CHOICES and value not in (None, *CHOICES[field.name]):
                raise PolicyError(
                    f"policy {self.name}: {field.name} = {value!r} is none of"
                    f" {', '.join(CHOICES[field.name])}"
                )
            if field.name not in RANGES:
                continue
            low, high, unit = RANGES[field.name]
            if value is not None and not low <= value <= high:
                raise PolicyError(
                    f"policy {self.name}: {field.name} = {value} is outside {low} to {high} {unit}"
                )

    @property
    def defers(self) -> bool:
        """Whether completions leave the interrupt masked (both knobs are needed)."""
        return self.defer_hard_irqs > 0 and self.gro_flush_timeout_ns > 0

    @property
    def busy_polls(self) -> bool:
        """Whether epoll_wait busy-polls at all (kernel >= 6.13: prefer alone is enough)."""
        return self.busy_poll_usecs > 0 or self.prefer_busy_poll
