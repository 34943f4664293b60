"""More load from the same recording: independent copies of it laid over each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from replay.arrivals import Offered
from replay.errors import PolicyError, TraceError

#: Packets of all copies together, at most: 134 million take about 5 GB.
MOST_PACKETS = 1 << 27
#: As many times the recorded load as can be asked for.
MOST_COPIES = 1000


def superposed(offer: Offered, load: float) -> Offered:
    """Return `load` copies of `offer` laid over each other: users like the recorded ones.

    Copy k of n comes k/n of the duration later, and what that moves past the end comes at the
    beginning: within a copy everything but the seam stays as it was. Each copy's flows are its
    own (see `Offered.copy`). Raises PolicyError unless `load` is a whole number from 1 on and
    arrivals are open.
    """
    copies = int(load)
    count = len(offer.workload.arrival_ns)
    if count > MOST_PACKETS:
        raise TraceError(
            f"{offer.trace.name}: {count:,} packets are too many to lay copies over each other:"
            f" {MOST_PACKETS:,} of all copies together fit; --load-by compression"
        )
    inside = offer.workload.arrival_ns < offer.workload.duration_ns
    packets = int(np.count_nonzero(inside))
    most = min(MOST_COPIES, MOST_PACKETS // max(1, packets))
    if copies != load or not 1 <= copies <= most:
        raise PolicyError(
            f"load = {load:g} is no number of copies to lay over each other: 1 to {most}, whole"
        )
    if offer.workload.closed:
        raise TraceError(
            "closed arrivals cannot be laid over each other, their times are the answers':"
            " --arrivals open, or --load-by compression"
        )
    if copies == 1:
        return replace(offer, load_by="superposition")
    work = offer.workload
    at = work.arrival_ns[inside]
    duration = work.duration_ns
    moved = np.concatenate([(at + k * duration // copies) % duration for k in range(copies)])
    order = np.argsort(moved, kind="stable")
    recorded = np.flatnonzero(inside)[order % packets]
    return replace(
        offer,
        workload=replace(
            work,
            arrival_ns=moved[order],
            service_ns=work.service_ns[recorded],
            size=None if work.size is None else work.size[recorded],
        ),
        picked=recorded,
        copy=order // packets,
        services_seen=offer.services_seen * copies,
        load=float(copies),
        load_by="superposition",
    )
