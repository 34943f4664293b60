"""Settings of a device as a bundle tells them: its NIC, its layout, and the policy in our words.

How the NIC coalesces and how long its ring is belong to the machine: policies that do not say
otherwise have them. What the kernel defers, and NAPI threads, are the policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from replay.errors import PolicyError, TraceError
from replay.host import NICS, nic_of_driver
from replay.ingest.interrupts import Vector
from replay.ingest.settings import Settings
from replay.layout import Layout
from replay.layout.key import KEY_BYTES, TRANSFORMS
from replay.policy import parse_policy
from replay.policy.keys import DEFAULTS, KEYS, field_of, text_of
from replay.policy.model import RANGES

_DEFERRAL = ("defer-hard-irqs", "gro-flush-timeout", "irq-suspend-timeout", "threaded")
#: Drivers that move their own gap between interrupts where adaptive-rx is on; others use net DIM.
_ITR = ("i40e", "ixgbe")


def receiving_napis(settings: Settings) -> list[dict[str, Any]]:
    """Return the NAPI instances of receive queues; all of them where no queue names its own."""
    linked = {link["napi"] for link in settings.links if link["type"] == "rx" and "napi" in link}
    return [napi for napi in settings.napis if not linked or napi["id"] in linked]


def policy_of(settings: Settings, said: str | None) -> tuple[str | None, list[str]]:
    """Return the measured policy as text that replay.policy reads, and lines on how it is known.

    `said` is what a person called it; without it, None where no file tells of deferral. Raises
    TraceError where that contradicts what was measured.
    """
    values, lines = _deferral(settings)
    if not values:
        return said, lines
    named = parse_policy(said or "base")
    added = []
    for key, value in values.items():
        name = field_of(key)
        assert name is not None
        held = getattr(named, name)
        if held == value or (name == "threaded" and not value and held is None):
            continue
        if held != DEFAULTS[name]:
            raise TraceError(
                f"{settings.where}: {key} is {text_of(name, value)}, but policy {said} has"
                f" {text_of(name, held)}"
            )
        added.append(f"{key}={text_of(name, value)}")
    text = said or "base"
    if added:
        text += (":" if ":" not in text else ",") + ",".join(added)
    suspends = values.get("irq-suspend-timeout", 0) and not parse_policy(text).prefer_busy_poll
    if suspends:
        lines.append(
            "irq-suspend-timeout acts where epoll_wait prefers busy polling, which these files do"
            " not tell: --policy suspend20, or prefer-busy-poll=on, if it does"
        )
    return parse_policy(text).name, lines


def nic_facts(settings: Settings) -> dict[str, Any]:
    """Return the manifest's `nic`: device, driver, and the settings of a Host; what was said."""
    found: dict[str, Any] = {"device": settings.device, "driver": settings.driver}
    model = nic_of_driver(settings.driver)
    for key in ("rx-usecs", "rx-frames", "tx-usecs", "tx-frames"):
        if key in settings.coalescing:
            found[KEYS[key]] = settings.coalescing[key]
    if settings.ring is not None:
        found["ring"] = settings.ring
    for name in found.keys() & RANGES.keys():
        low, high, unit = RANGES[name]
        if not low <= found[name] <= high:
            raise TraceError(
                f"{settings.where}: {name} = {found[name]} is outside {low} to {high} {unit}"
            )
    if "adaptive-rx" in settings.coalescing:
        moved = "itr" if model in _ITR else "dim"
        found["adaptive"] = moved if settings.coalescing["adaptive-rx"] else "off"
    by_cqe = settings.coalescing.get("cqe-mode-rx")
    if by_cqe is not None:
        found["coalescing"] = "cqe" if by_cqe else "timer"
    if model and not by_cqe and NICS[model].coalescing != "cqe":
        found["coalescing"] = NICS[model].coalescing
    found["queues"] = settings.queues
    found["napis"] = settings.napis or None
    return {name: value for name, value in found.items() if value is not None}


def layout_facts(
    settings: Settings | None, vectors: Sequence[Vector]
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return the manifest's `layout` and hash, with lines on what was found and is missing.

    `vectors` are the device's, in the order of its queues, by which each queue's CPU is known.
    """
    if settings is None or settings.queues is None:
        return {}, [], []
    queues = settings.queues
    layout: dict[str, Any] = {"queues": queues}
    cpus = [vector.cpu for vector in vectors]
    if len(cpus) == queues and None not in cpus:
        layout["irq_cpus"] = cpus
    # A driver that keeps its key to itself prints zeros; shorter keys cannot hash IPv6.
    if settings.key is not None and any(settings.key) and len(settings.key) >= KEY_BYTES:
        key = {"rss_key": settings.key.hex(":")}
        if settings.transform:
            key["rss_transform"] = settings.transform
    else:
        key = {}
    lost = []
    if settings.hash_function not in (None, "toeplitz"):
        lost.append(f"queues: {settings.hash_function} hashes the flows, which is not followed")
    elif settings.transform not in (None, *TRANSFORMS):
        lost.append(f"queues: the hash's input becomes {settings.transform}, which is not followed")
    elif settings.indirection:
        try:
            Layout(queues, settings.indirection)
        except PolicyError as error:
            lost.append(f"queues: the recorded table is not followed: {error}")
        else:
            layout["indirection"] = list(settings.indirection)
    if queues > 1 and not (layout.get("indirection") and key) and not lost:
        lost.append(
            f"queues: {queues} receive, but which takes a flow is not known: ethtool -x tells its"
            " table and key"
        )
    found = f"{queues} receive queue{'s'[: queues != 1]} of {settings.device or 'the device'}"
    if "irq_cpus" in layout:
        found += f", interrupts on CPU {','.join(map(str, cpus))}"
    return {"layout": layout, **key}, [found], lost


def _deferral(settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """Return what the kernel defers: as the receiving NAPIs say, else the device."""
    napis = receiving_napis(settings)
    if not napis:
        return dict(settings.deferral), []
    values: dict[str, Any] = {}
    lines = []
    for key in _DEFERRAL:
        counted = Counter(napi[key] for napi in napis if key in napi)
        if not counted:
            continue
        (value, times), *others = counted.most_common()
        values[key] = value
        if others:
            lines.append(
                f"{key} is {value} for {times} of {sum(counted.values())} NAPI instances and"
                " something else for the others: the policy takes it for all"
            )
    return values, lines
