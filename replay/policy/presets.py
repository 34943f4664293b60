"""The policies of the IRQ-suspension benchmark, by the names its authors use.

Source: run.sh of github.com/martinkarsten/irqsuspend and the cover letter of the kernel series
"Suspend IRQs during application busy periods".
"""

from __future__ import annotations

import re

from replay.policy.model import Policy
from replay.units import MICROSECOND, MILLISECOND

_DEFER_POLLS = 100
_SUSPEND_NS = 20 * MILLISECOND


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


#: Presets without a number in their name.
PRESETS: dict[str, Policy] = {
    "base": Policy("base"),
    "napibusy": Policy(
        "napibusy",
        defer_hard_irqs=_DEFER_POLLS,
        gro_flush_timeout_ns=200 * MICROSECOND,
        busy_poll_usecs=64,
        busy_poll_budget=64,
        prefer_busy_poll=True,
    ),
    "fullbusy": Policy(
        "fullbusy",
        defer_hard_irqs=_DEFER_POLLS,
        gro_flush_timeout_ns=5 * MILLISECOND,
        busy_poll_usecs=1000,
        busy_poll_budget=64,
        prefer_busy_poll=True,
        epoll_timeout_ns=MILLISECOND,
    ),
}

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
KNOWN_NAMES = [*PRESETS, *_NUMBERED_NAMES]


def preset(name: str) -> Policy | None:
    """Return the policy of that name (any deferX and suspendX, X in us), or None."""
    if name in PRESETS:
        return PRESETS[name]
    match = _NUMBERED.match(name)
    if match is None:
        return None
    make, lowest = _FAMILIES[match[1]]
    return make(int(match[2])) if int(match[2]) >= lowest else None
