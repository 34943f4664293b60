"""The policies under study, with the settings under which they were published."""

from __future__ import annotations

from dataclasses import dataclass

MICROSECOND = 1_000


@dataclass(frozen=True)
class Policy:
    """Three settings of a NAPI and three of the server's epoll instances."""

    name: str
    defer_hard_irqs: int = 0
    gro_flush_timeout_ns: int = 0
    irq_suspend_timeout_ns: int = 0
    busy_poll_usecs: int = 0
    busy_poll_budget: int = 0
    prefer_busy_poll: bool = False
    note: str = ""


def _defer(microseconds: int) -> Policy:
    return Policy(
        f"defer{microseconds}",
        defer_hard_irqs=100,
        gro_flush_timeout_ns=microseconds * MICROSECOND,
    )


def _suspend(microseconds: int) -> Policy:
    return Policy(
        f"suspend{microseconds}",
        # Without a timer there is nothing to defer to: suspend0 leaves deferral off.
        defer_hard_irqs=100 if microseconds else 0,
        gro_flush_timeout_ns=microseconds * MICROSECOND,
        irq_suspend_timeout_ns=20_000 * MICROSECOND,
        busy_poll_budget=64,
        prefer_busy_poll=True,
    )


POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        Policy("base"),
        _defer(20),
        _defer(50),
        _defer(200),
        _suspend(0),
        _suspend(20),
        _suspend(50),
        _suspend(200),
        Policy(
            "napibusy",
            defer_hard_irqs=100,
            gro_flush_timeout_ns=200 * MICROSECOND,
            busy_poll_usecs=64,
            busy_poll_budget=64,
            prefer_busy_poll=True,
        ),
        Policy(
            "fullbusy",
            defer_hard_irqs=100,
            gro_flush_timeout_ns=5_000 * MICROSECOND,
            busy_poll_usecs=1_000,
            busy_poll_budget=64,
            prefer_busy_poll=True,
            note="the server is unmodified: its epoll_wait blocks where the published "
            "fullbusy returns after 1 ms to poll again",
        ),
    )
}
