"""/proc/interrupts before and after: which vectors of a device fired, how often, on which CPU."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from replay.errors import TraceError

#: The line of CPUs, by which a snapshot is known.
HEADER = re.compile(r"\A\s*CPU\d{1,5}(?:\s+CPU\d{1,5})*\s*$", re.MULTILINE)

#: As many as Linux can number.
_MOST_CPUS = 8192

#: After the counts: controller, its own number with the trigger, and the handlers' names.
_NAME = re.compile(r".*\s\d+-(?:edge|level|fasteoi)\s+(.*)\Z", re.IGNORECASE)
#: A vector that receives nothing: its last word says what it is for.
_OTHER = re.compile(
    r"(?:^|[^a-z])(?:tx|output|config|event|control|ctrl|async|cmd|cmds|misc|mgmt|mgmnt|admin|fdir"
    r"|pages|recovery|health)(?:[^a-z]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Line:
    """One vector."""

    name: str  # of its handlers
    counts: tuple[int, ...]  # by CPU, in the order of the header


@dataclass(frozen=True)
class Interrupts:
    """One snapshot."""

    cpus: tuple[int, ...]
    lines: dict[int, Line]  # by interrupt number

    @property
    def total(self) -> int:
        """All interrupts of devices so far."""
        return sum(sum(line.counts) for line in self.lines.values())


@dataclass(frozen=True)
class Vector:
    """A receive vector of the device, between two snapshots."""

    irq: int
    name: str
    fired: int
    cpu: int | None  # where most of them were handled; None where it did not fire


def read_interrupts(where: str, text: str) -> Interrupts:
    """Return the snapshot in `text`. Raises TraceError where it is cut or damaged."""
    lines = text.strip("\n").splitlines()
    if not lines or not HEADER.match(lines[0]):
        raise TraceError(f"{where}: no /proc/interrupts: its first line names no CPUs")
    cpus = tuple(int(word.removeprefix("CPU")) for word in lines[0].split())
    if len(cpus) > _MOST_CPUS:
        raise TraceError(f"{where}: {len(cpus):,} CPUs, at most {_MOST_CPUS:,} are read")
    found: dict[int, Line] = {}
    for place, line in enumerate(lines[1:], 2):
        label, colon, rest = line.partition(":")
        if not _is_count(label.strip()):
            continue  # what the CPU counts itself: NMI, LOC, ...
        words = rest.split(maxsplit=len(cpus))
        counts = words[: len(cpus)]
        if not colon or len(counts) < len(cpus) or not all(map(_is_count, counts)):
            raise TraceError(f"{where}: cut or damaged in line {place}: {line.strip()[:60]!r}")
        after = words[len(cpus)] if len(words) > len(cpus) else ""
        match = _NAME.match(after)
        name = match[1] if match else after.split(maxsplit=1)[-1] if after else ""
        found[int(label)] = Line(name.strip(), tuple(int(word) for word in counts))
    if not found:
        raise TraceError(f"{where}: cut: it holds no interrupt of a device")
    return Interrupts(cpus, found)


def vectors(
    before: Interrupts, after: Interrupts, device: str | None, irqs: Collection[int]
) -> list[Vector]:
    """Return the receive vectors of a device, in the order of its queues.

    They are those numbered in `irqs` (its NAPI instances', as netdev-genl tells), else those whose
    handlers are named after `device`; what only transmits or configures is left out. Empty where
    none is the device's.
    """
    mine = {
        irq: line
        for irq, line in after.lines.items()
        if irq in before.lines and (irq in irqs if irqs else _names(line.name, device))
    }
    received = {irq: line for irq, line in mine.items() if _receives(line.name)}
    numbered = {irq: line for irq, line in received.items() if _queue(line.name) is not None}
    # With vectors for each queue, one that has the bare name of the device is for link changes.
    chosen = received if irqs else numbered or received
    order = sorted(chosen, key=lambda irq: (_queue(chosen[irq].name) or 0, irq))
    return [_vector(before, after, irq) for irq in order]


def _vector(before: Interrupts, after: Interrupts, irq: int) -> Vector:
    earlier = dict(zip(before.cpus, before.lines[irq].counts, strict=True))
    grown = {
        cpu: count - earlier.get(cpu, 0)
        for cpu, count in zip(after.cpus, after.lines[irq].counts, strict=True)
    }
    if min(grown.values()) < 0:
        raise TraceError(
            f"interrupt {irq} ({after.lines[irq].name}) counts less on one CPU after than before:"
            " are the two snapshots of one host, without a restart between them?"
        )
    most = max(grown, key=grown.__getitem__)
    fired = sum(grown.values())
    return Vector(irq, after.lines[irq].name, fired, most if fired else None)


def _is_count(text: str) -> bool:
    """Whether a text is a number that fits the kernel's."""
    return text.isdecimal() and len(text) <= 20


def _names(handlers: str, device: str | None) -> bool:
    """Whether a handler is named after the device: eth0, eth0-TxRx-3, i40e-eth0-TxRx-3, ..."""
    if device is None:
        return False
    return bool(re.search(rf"(?:^|[^A-Za-z0-9]){re.escape(device)}(?:$|[^A-Za-z0-9])", handlers))


def _receives(handlers: str) -> bool:
    """Whether a vector may be told of received packets, alone or with transmitted ones."""
    return "rx" in handlers.lower() or not _OTHER.search(handlers)


def _queue(handlers: str) -> int | None:
    """Return the queue in a name: eth0-TxRx-3, virtio2-input.3, mlx5_comp3@pci:0000:3b:00.0."""
    match = re.search(r"(?:[-.]|comp|rx|queue|blk)(\d+)(?:@.*)?\Z", handlers, re.IGNORECASE)
    return int(match[1]) if match else None
