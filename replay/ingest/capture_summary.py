"""What a capture holds, what was concluded from it and what it lacks, in lines for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from replay.ingest.messages import MOST_WAITING, Counts
from replay.ingest.parties import Parties
from replay.ingest.records import Findings
from replay.ingest.server import FROM_SERVER, TO_SERVER, Server
from replay.ingest.times import Clock
from replay.trace.addresses import address_text
from replay.trace.holes import Hole
from replay.trace.schema import PacketStatus
from replay.units import SECOND

#: A connection waits for its answers if at least this share of its requests did.
_NEARLY_ALL = 0.95
_MOST_ADDRESSES = 16

#: Holes that are told in more words.
_SAID = ("the packets were dropped by the capture", "the capture's end is missing")

#: What a capture alone never tells.
NO_SERVICE = "service times: a capture cannot tell them from waiting"

#: The link type of Endace's capture cards, which stamp packets themselves.
_ERF = 197


@dataclass
class Told:
    """Lines, and the manifest's entries that say the same."""

    loop: str
    found: list[str] = field(default_factory=list)
    inferred: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    losses: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What is told of: what the file says, its times, flows and messages, and what is missing.

    `status` counts packets by PacketStatus.
    """

    findings: Findings
    clock: Clock
    parties: Parties
    counts: Counts
    status: list[int]
    holes: list[Hole]


def tell(facts: Facts) -> Told:
    """Return the lines about a capture that was read."""
    told = Told(loop_of(facts.counts))
    _found(told, facts)
    _inferred(told, facts)
    _lost(told, facts)
    return told


def loop_of(counts: Counts) -> str:
    """Return closed where requests follow answers, open where they do not, else unknown.

    Unknown: one direction only, or no connection with two requests.
    """
    followers = counts.following + counts.overlapping
    if not counts.answers or not followers:
        return "unknown"
    return "closed" if counts.following >= _NEARLY_ALL * followers else "open"


def devices(findings: Findings) -> list[dict[str, Any]]:
    """Return the manifest's devices: name, link type, snap length, and what is known of the clock.

    `timestamps` is hardware for link types that only capture cards write, else null: the file does
    not say whether the NIC or the kernel took them.
    """
    return [
        {
            "name": i.name,
            "link_type": i.link,
            "snaplen": i.snaplen,
            "hardware": i.hardware,
            "resolution_ns": i.resolution_ns,
            "timestamps": "hardware" if i.link == _ERF else None,
        }
        for i in findings.interfaces
    ]


def server_entry(server: Server) -> dict[str, Any]:
    """Return the manifest's server: at most 16 addresses, port and protocol where known."""
    return {
        "addresses": [address_text(a) for a in server.addresses[:_MOST_ADDRESSES]],
        "port": server.port,
        "protocol": server.protocol,
        "inferred": server.inferred,
    }


def gaps(findings: Findings, clock: Clock) -> list[dict[str, Any]]:
    """Return the rows of the gaps table: cut or damaged, dropped by the capture, clock steps."""
    rows: list[dict[str, Any]] = []
    if findings.note:
        rows.append({"start_ns": clock.duration, "end_ns": None, "cause": "cut", "lost": None})
    if findings.dropped:
        rows.append({"start_ns": None, "end_ns": None, "cause": "lost", "lost": findings.dropped})
    for before, after in clock.steps:
        rows.append({"start_ns": after, "end_ns": before, "cause": "clock", "lost": None})
    return [{**row, "source": 0} for row in rows]


def _found(told: Told, facts: Facts) -> None:
    findings, clock, ends, counts = facts.findings, facts.clock, facts.parties.ends, facts.counts
    flows = len(ends.reverse)
    connections = int(np.count_nonzero(ends.connection == np.arange(flows)))
    told.found.append(
        f"{_count(clock.packets, 'packet')} in {clock.duration / SECOND:.6g} s,"
        f" {_count(connections, 'connection')} in {_count(flows, 'flow')}"
    )
    told.found.append(
        f"{_count(counts.requests, 'request')}, {_count(counts.answers, 'packet')} of answers"
    )
    if len(findings.interfaces) > 1 or findings.sections > 1:
        told.found.append(
            f"{len(findings.interfaces):,} interfaces in {findings.sections:,} sections"
        )


def _inferred(told: Told, facts: Facts) -> None:
    clock, counts = facts.clock, facts.counts
    side, server = facts.parties.side, facts.parties.host
    flows = int(np.count_nonzero(side == TO_SERVER) + np.count_nonzero(side == FROM_SERVER))
    if server.inferred and server.port is None:
        told.inferred.append("server: none, there is no TCP or UDP: name it with --server")
    elif server.inferred:
        told.inferred.append(
            f"server: {server}, by SYNs and the port that most connections share"
            f" ({flows:,} of {len(side):,} flows); --server names another"
        )
    followers = counts.following + counts.overlapping
    share = f"{counts.following:,} of {followers:,} requests follow the answer before them"
    told.inferred.append(f"arrivals: {told.loop}: {share}")
    told.inferred += _stamps(facts.findings)
    if counts.repeated:
        told.inferred.append(
            f"{counts.repeated:,} repeated TCP segments were taken as acknowledgements;"
            " which of their copies arrived is not known"
        )
    if clock.untimed:
        told.inferred.append(
            f"{clock.untimed:,} packets have no time: they took that of the packet before them"
        )
    if clock.backwards:
        told.inferred.append(
            f"{clock.backwards:,} packets stood behind a later one: sorted by time"
        )


def _stamps(findings: Findings) -> list[str]:
    """Say what the time stamps are: arrivals, or what comes after them."""
    if not findings.interfaces:
        return []
    steps = sorted({it.resolution_ns for it in findings.interfaces})
    text = f"time stamps: in steps of {' and '.join(f'{step:.4g}' for step in steps)} ns"
    if all(it.link == _ERF for it in findings.interfaces):
        return [f"{text}, taken by the capture card: arrivals"]
    return [
        f"{text}; the file does not say by whom: the NIC's are arrivals, the kernel's are taken in"
        " the poll, after them"
    ]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s'[: number != 1]}"


def _lost(told: Told, facts: Facts) -> None:
    findings, clock = facts.findings, facts.clock
    if findings.note:
        told.lost.append(f"{findings.note}: nothing behind it was read")
    if findings.dropped:
        told.lost.append(f"{findings.dropped:,} packets were dropped by the capture, it says")
    if clock.steps:
        told.lost.append(f"the clock was set back by a second or more {len(clock.steps):,} times")
    if facts.counts.beyond:
        told.lost.append(
            f"{facts.counts.beyond:,} requests waited behind more than {MOST_WAITING:,} others:"
            " their answers are not told apart"
        )
    for kind, what in (
        (PacketStatus.CUT, "cut by the snap length within their headers"),
        (PacketStatus.MALFORMED, "malformed"),
        (PacketStatus.UNKNOWN, "of protocols or link types that are not decoded: without a flow"),
    ):
        if facts.status[kind]:
            told.lost.append(f"{facts.status[kind]:,} packets are {what}")
    told.lost += [str(hole) for hole in facts.holes if hole.cause not in _SAID]
    told.lost.append(NO_SERVICE)
    told.losses = {
        "cut": int(findings.note is not None),
        "dropped": findings.dropped,
        **{kind.name.lower() + "_packets": facts.status[kind] for kind in PacketStatus if kind},
    }
