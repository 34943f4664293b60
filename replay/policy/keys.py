"""The keys of a policy in text: what each sets, its values, and what it is where nobody says."""

from __future__ import annotations

from dataclasses import MISSING, fields

from replay.policy.model import CHOICES, RANGES, Policy
from replay.units import duration_text

#: What no key sets: these come with a preset or with a module of hooks.
NOT_SET_BY_KEY = ("name", "costs", "hooked")

#: What each setting is, by field.
MEANINGS = {
    "rx_usecs": "interrupt this long after a packet (ethtool -C); after which: coalescing",
    "rx_frames": "or at this many packets; 0: no such limit",
    "tx_usecs": "interrupt this long after a completed transmission",
    "tx_frames": "or at this many completed transmissions; 0: no such limit",
    "coalescing": "usecs run from the first packet, the last one, or the previous interrupt",
    "adaptive": "who moves usecs and frames: nobody, net DIM, the ITR of i40e and ixgbe",
    "weight": "packets a poll in softirq or NAPI thread (NAPI_POLL_WEIGHT)",
    "netdev_budget": "packets a NET_RX softirq, all NICs of a CPU together",
    "netdev_budget_usecs": "time of a NET_RX softirq; by default two jiffies",
    "defer_hard_irqs": "empty polls before the interrupt is armed again (napi_defer_hard_irqs)",
    "gro_flush_timeout_ns": "timer from a completed poll to the next one",
    "irq_suspend_timeout_ns": "timer after an epoll_wait that returned events",
    "busy_poll_usecs": "how long epoll_wait polls by itself (EPIOCSPARAMS)",
    "busy_poll_budget": "packets a busy poll",
    "prefer_busy_poll": "busy polls keep the interrupt away; alone it means one busy poll",
    "busy_read_usecs": "SO_BUSY_POLL: a read that finds nothing polls once; 0: never",
    "threaded": "polls in a NAPI thread instead of softirq",
    "napi_thread": "its scheduling: SCHED_FIFO and pinned; SCHED_OTHER, pinned or not",
    "pollers": "threads onto which all NAPI instances are packed; 0: one each",
    "epoll_timeout_ns": "the application's epoll_wait timeout; -1 blocks, 0 never sleeps",
    "max_events": "the application's epoll_wait maxevents; 0: all that are ready",
    "ring": "receive descriptors (ethtool -G)",
}

#: key: field, for every key that `--policy NAME:key=value` takes.
KEYS = {name.removesuffix("_ns").replace("_", "-"): name for name in MEANINGS}

DEFAULTS = {field.name: field.default for field in fields(Policy) if field.default is not MISSING}


def field_of(key: str) -> str | None:
    """Return the field that a key sets, None where there is no such key.

    Underscores may stand for hyphens, and a time's key may end in its unit, ns.
    """
    return KEYS.get(key.strip().replace("_", "-").removesuffix("-ns"))


def values_of(field: str) -> str:
    """Return the values that a setting takes, with their unit."""
    if field in CHOICES:
        return " ".join(CHOICES[field])
    if field not in RANGES:
        return "on off"
    low, high, unit = RANGES[field]
    if field.endswith("_ns"):
        return f"{'-1, ' * (low < 0)}0 to {duration_text(high)}"
    return f"{low:,} to {high:,} {'x ' * unit[0].isdigit()}{unit}"


def text_of(field: str, value: object) -> str:
    """Return a setting's value as text that its key takes; `host` where it is the host's."""
    if value is None:
        return "host"
    if isinstance(value, bool):
        return "on" if value else "off"
    if field.endswith("_ns") and isinstance(value, int) and value > 0:
        return duration_text(value)
    return str(value)


def settings_of(policy: Policy) -> dict[str, str]:
    """Return the keys of a policy whose values are not the usual ones, each with its value."""
    return {
        key: text_of(name, getattr(policy, name))
        for key, name in KEYS.items()
        if getattr(policy, name) != DEFAULTS[name]
    }
