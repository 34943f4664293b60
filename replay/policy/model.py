"""A policy: when the NIC interrupts, who polls, and for how long the kernel looks away."""

from __future__ import annotations

from dataclasses import dataclass, fields

from replay.errors import PolicyError
from replay.units import SECOND

_INT32 = (1 << 31) - 1

#: key: (lowest, highest, unit) of every number a policy holds, as Linux bounds them.
RANGES: dict[str, tuple[int, int, str]] = {
    "rx_usecs": (0, 65_535, "us"),
    "rx_frames": (0, 65_535, "packets"),
    "weight": (1, 65_535, "packets"),
    "defer_hard_irqs": (0, _INT32, "polls"),
    "gro_flush_timeout_ns": (0, 60 * SECOND, "ns"),
    "irq_suspend_timeout_ns": (0, 60 * SECOND, "ns"),
    "busy_poll_usecs": (0, _INT32, "1.024 us"),
    "busy_poll_budget": (1, 65_535, "packets"),
    "epoll_timeout_ns": (-1, 3600 * SECOND, "ns"),
}


@dataclass(frozen=True)
class Policy:
    """The knobs of one queue and of the thread that reads it.

    rx_usecs, rx_frames, threaded: None means "as on the recorded host".
    """

    name: str
    rx_usecs: int | None = None  # ethtool -C: interrupt this long after the first packet
    rx_frames: int | None = None  # or at this many packets, 0 for no such limit
    weight: int = 64  # packets a poll in softirq or NAPI thread (NAPI_POLL_WEIGHT)
    defer_hard_irqs: int = 0  # empty polls before the interrupt is armed again
    gro_flush_timeout_ns: int = 0  # timer from a completion to the next poll
    irq_suspend_timeout_ns: int = 0  # timer after an epoll_wait that returned events
    busy_poll_usecs: int = 0  # EPIOCSPARAMS; one is 1.024 us
    busy_poll_budget: int = 8  # packets a busy poll (BUSY_POLL_BUDGET)
    prefer_busy_poll: bool = False
    threaded: bool | None = None  # poll in a pinned SCHED_FIFO NAPI thread, not in softirq
    epoll_timeout_ns: int = -1  # the application's epoll_wait timeout; -1 blocks

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name not in RANGES:
                continue
            value = getattr(self, field.name)
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
