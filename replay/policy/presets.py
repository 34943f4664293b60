"""The policies that have names: those of the IRQ-suspension benchmark, mechanisms, and bounds.

The benchmark's names and settings are its authors': run.sh of github.com/martinkarsten/irqsuspend
and the cover letter of the kernel series "Suspend IRQs during application busy periods".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from replay.policy.model import RANGES, Costs, Policy
from replay.units import MICROSECOND, MILLISECOND

_DEFER_POLLS = 100
_SUSPEND_NS = 20 * MILLISECOND
_ENDLESS = RANGES["busy_poll_usecs"][1]


class Preset(NamedTuple):
    """A named policy and what it is, in one line."""

    policy: Policy
    about: str


def defer(microseconds: int) -> Policy:
    """`deferX`: a timer polls X us after each completion, the interrupt stays masked."""
    return Policy(
        f"defer{microseconds}",
        defer_hard_irqs=_DEFER_POLLS,
        gro_flush_timeout_ns=microseconds * MICROSECOND,
    )


def suspend(microseconds: int) -> Policy:
    """`suspendX`: deferX while idle, no interrupt or timer while epoll_wait finds events."""
    return Policy(
        f"suspend{microseconds}",
        defer_hard_irqs=_DEFER_POLLS if microseconds else 0,
        gro_flush_timeout_ns=microseconds * MICROSECOND,
        irq_suspend_timeout_ns=_SUSPEND_NS,
        busy_poll_budget=64,
        prefer_busy_poll=True,
    )


def _busy(
    name: str, usecs: int, flush_ns: int, *, timeout_ns: int = -1, costs: Costs = "host"
) -> Policy:
    """Return a policy whose epoll_wait polls for `usecs`, the interrupt masked meanwhile."""
    return Policy(
        name,
        defer_hard_irqs=_DEFER_POLLS,
        gro_flush_timeout_ns=flush_ns,
        busy_poll_usecs=usecs,
        busy_poll_budget=64,
        prefer_busy_poll=True,
        epoll_timeout_ns=timeout_ns,
        costs=costs,
    )


#: The bound: every step of the receive path free, an interrupt at each arrival. What remains of a
#: latency is the application's own time and the queue before it.
ZERO_COST = Policy(
    "zero-cost",
    rx_usecs=0,
    rx_frames=0,
    tx_usecs=0,
    tx_frames=0,
    coalescing="timer",
    adaptive="off",
    threaded=False,
    costs="free",
)
_FREE_BUSY = _busy("free-busy", _ENDLESS, 5 * MILLISECOND, costs="free-poll")
_ONLOAD = _busy("onload", _ENDLESS, 5 * MILLISECOND, costs="bypass")

_MECHANISMS = (
    Preset(Policy("base"), "an interrupt as the NIC coalesces; softirq polls the ring empty"),
    Preset(
        _busy("napibusy", 64, 200 * MICROSECOND),
        "epoll_wait polls for 65.5 us before it sleeps; then a 200 us timer polls",
    ),
    Preset(
        _busy("fullbusy", 1000, 5 * MILLISECOND, timeout_ns=MILLISECOND),
        "epoll_wait polls for 1 ms and again: no interrupts; idle only after 1 ms without a packet",
    ),
    Preset(
        Policy("dim", coalescing="cqe", adaptive="dim"),
        "base, net DIM choosing usecs and frames from mlx5's profiles (CQE mode)",
    ),
    Preset(
        Policy("itr", coalescing="gap", adaptive="itr"),
        "base, the driver choosing the gap between interrupts as i40e and ixgbe do",
    ),
    Preset(Policy("busyread", busy_read_usecs=50), "base, sockets with SO_BUSY_POLL of 50"),
    Preset(
        Policy("spin", epoll_timeout_ns=0),
        "base, the application spinning on epoll_wait(0), which polls no NIC",
    ),
    Preset(
        Policy("threaded", threaded=True, napi_thread="pinned"),
        "polls in a NAPI thread of ordinary priority on the interrupt's CPU",
    ),
    Preset(
        Policy("threaded-floating", threaded=True, napi_thread="floating"),
        "the same as the kernel makes it: on whichever CPU the scheduler finds",
    ),
    Preset(
        Policy("tapi", threaded=True, napi_thread="floating", pollers=1),
        "all NAPI instances packed onto one polling thread",
    ),
)
_BOUNDS = (
    Preset(ZERO_COST, "bound: every step of the receive path is free"),
    Preset(
        _FREE_BUSY,
        "bound, a CPU for each worker: epoll_wait polls without end, and empty polls are free",
    ),
    Preset(Policy("unbounded-ring", ring=1 << 30), "bound: base that never drops a packet"),
    Preset(
        _ONLOAD,
        "bound, a CPU for each worker: a stack in user space polls without end (OpenOnload)",
    ),
)


#: Policies that no host can run: what a better one could gain at most.
BOUNDS: dict[str, Policy] = {item.policy.name: item.policy for item in _BOUNDS}

#: Presets without a number in their name.
PRESETS: dict[str, Policy] = {item.policy.name: item.policy for item in (*_MECHANISMS, *_BOUNDS)}

_FAMILIES = {"defer": (defer, 1), "suspend": (suspend, 0)}
_NUMBERED = re.compile(r"(defer|suspend)(\d{1,6})\Z")

#: Names to offer where one was misspelt.
_NUMBERED_NAMES = [
    "defer20",
    "defer50",
    "defer200",
    "suspend0",
    "suspend20",
    "suspend50",
    "suspend200",
]
KNOWN_NAMES = ["base", *_NUMBERED_NAMES, *list(PRESETS)[1:]]


def preset(name: str) -> Policy | None:
    """Return the policy of that name (any deferX and suspendX, X in us), or None."""
    if name in PRESETS:
        return PRESETS[name]
    match = _NUMBERED.match(name)
    if match is None:
        return None
    make, lowest = _FAMILIES[match[1]]
    return make(int(match[2])) if int(match[2]) >= lowest else None


def about(name: str) -> str:
    """Return in one line what the named policy is."""
    told = {item.policy.name: item.about for item in (*_MECHANISMS, *_BOUNDS)}
    if name in told:
        return told[name]
    if name == "suspend0":
        return "base, with prefer_busy_poll: each epoll_wait that finds nothing polls three times"
    if name.startswith("suspend"):
        return f"{name.replace('suspend', 'defer')} while idle; epoll_wait polls while it is busy"
    return f"a timer polls {name.removeprefix('defer')} us after each poll, the interrupt masked"
