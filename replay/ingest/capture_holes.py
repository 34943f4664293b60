"""What a capture did not see: its end, packets it dropped, one direction of a connection.

TCP answers whatever it gets: a connection of which only one direction was captured had another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from replay.ingest.flow_state import ASKS, NONE, PACKETS
from replay.ingest.headers import TCP
from replay.ingest.parties import Parties
from replay.ingest.records import Findings
from replay.ingest.server import ELSEWHERE, FROM_SERVER, TO_SERVER
from replay.ingest.times import Clock
from replay.trace.holes import Hole

Int64s = npt.NDArray[np.int64]

#: A SYN that nobody answers is sent so often (net.ipv4.tcp_syn_retries is 6): no hole.
_MOST_SYNS = 7
#: Fewer than one packet in so many are the edges of a sound capture: connections that began late.
_SOUND = 1_000


def find_holes(
    findings: Findings, clock: Clock, parties: Parties, state: Int64s
) -> tuple[list[Hole], list[dict[str, Any]]]:
    """Return what is missing, and rows of the gaps table; `state` is that of the flows."""
    holes: list[Hole] = []
    gaps: list[dict[str, Any]] = []
    if findings.dropped:
        share = findings.dropped / (findings.dropped + clock.packets)
        holes.append(Hole("the packets were dropped by the capture", share, "arrivals"))
    share, missing = _one_direction(parties, state)
    if share * _SOUND > 1:
        cause = "the TCP packets are of connections captured in one direction"
        holes.append(Hole(cause, share, missing))
        row = {"start_ns": 0, "end_ns": clock.duration, "source": 0, "lost": None}
        gaps.append({**row, "cause": "unrecorded"})
    if findings.note:
        holes.append(Hole("the capture's end is missing", None, "everything after the cut"))
    return holes, gaps


def _one_direction(parties: Parties, state: Int64s) -> tuple[float, str]:
    """Return the share of the server's TCP packets that lack the other direction, and what that
    makes less certain.
    """
    ends, side, packets = parties.ends, parties.side, state[:, PACKETS]
    whole = (ends.protocol == TCP) & (ends.source_port != 0) & (side != ELSEWHERE)
    unanswered = (state[:, ASKS] != 0) & (packets <= _MOST_SYNS)
    edge = packets == 1  # the last packet of a connection, or its first
    half = whole & (ends.reverse == NONE) & ~unanswered & ~edge
    total = int(packets[whole].sum())
    affects = [
        what
        for present, what in ((FROM_SERVER, "arrivals"), (TO_SERVER, "answers and think times"))
        if (half & (side == present)).any()
    ]
    return (int(packets[half].sum()) / total if total else 0.0), " and ".join(affects)
