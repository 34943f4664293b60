"""The machine as files beside the recording describe it: its NIC, its queues, and their CPUs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from replay.errors import PolicyError, TraceError
from replay.host import Host, nic_of_driver, with_nic
from replay.layout import Layout, hash_of
from replay.places import Places
from replay.trace.bundle import Trace
from replay.trace.facts import table

#: What ethtool tells of a NIC.
_NUMBERS = ("rx_usecs", "rx_frames", "tx_usecs", "tx_frames", "ring")
_WORDS = ("coalescing", "adaptive")


def with_recorded_nic(host: Host, trace: Trace) -> tuple[Host, list[str]]:
    """Return `host` with the settings of the NIC that was recorded, and what must be said of it.

    What the driver does by itself comes with its name, where that is known. Raises TraceError.
    """
    nic = table(trace, "nic")
    said = {name: nic[name] for name in (*_NUMBERS, *_WORDS) if name in nic}
    driver = nic.get("driver")
    name = nic_of_driver(driver if isinstance(driver, str) else None)
    if name is None and not said:
        return host, []
    try:
        for setting, value in said.items():
            if type(value) is not (int if setting in _NUMBERS else str):
                raise PolicyError(f"{setting} = {value!r} is no setting")
        found = replace(with_nic(host, name) if name else host, **said)
    except PolicyError as error:
        raise TraceError(f"{trace.path}/manifest.json: nic: {error}") from None
    about = ", ".join(f"{key.replace('_', '-')} {value}" for key, value in said.items())
    known = f"driver {driver}" if name else ""
    return found, [f"NIC as recorded: {', '.join(filter(None, (known, about)))}"]


def recorded_layout(trace: Trace) -> Layout | None:
    """Return how the recorded NIC spread flows over its queues; None where it is not known.

    Raises TraceError where the manifest's is none that can be.
    """
    said = table(trace, "layout")
    entries, hashing = said.get("indirection"), recorded_hash(trace)
    if not entries or "key" not in hashing:
        return None
    whole = isinstance(entries, list) and all(type(entry) is int for entry in entries)
    queues = said.get("queues")
    if not whole or type(queues) is not int:
        raise TraceError(f"{trace.path}/manifest.json: layout is no table of queues")
    try:
        return Layout(queues=queues, indirection=tuple(entries), **hashing)
    except PolicyError as error:
        raise TraceError(f"{trace.path}/manifest.json: layout: {error}") from None


def recorded_places(trace: Trace, layout: Layout) -> Places | None:
    """Return which queues' interrupts shared a CPU, and their workers; None where none did.

    CPUs are numbered anew in the order of the queues: those without a queue are not part of it.
    """
    cpus = table(trace, "layout").get("irq_cpus")
    if not isinstance(cpus, list) or len(cpus) != layout.queues:
        return None
    order = {cpu: number for number, cpu in enumerate(dict.fromkeys(map(str, cpus)))}
    if len(order) == len(cpus):
        return None
    beside = tuple(order[str(cpu)] for cpu in cpus)
    return Places(irq_cpus=beside, worker_cpus=beside)


def recorded_hash(trace: Trace) -> dict[str, Any]:
    """Return how the recorded NIC hashed, as arguments of Layout, those that are known.

    `key` is absent where it was not recorded. Raises TraceError where it is none.
    """
    try:
        return hash_of(trace.manifest)
    except PolicyError as error:
        raise TraceError(f"{trace.path}/manifest.json: {error}") from None
