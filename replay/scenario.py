"""Scenarios: which policies are replayed, on which host, and what kind of row each becomes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from replay.arrivals import Island
from replay.host import GENERIC, Host, read_host
from replay.host.model import ZERO_COST
from replay.policy import Policy, parse_policy
from replay.result import Kind
from replay.trace.bundle import Trace

#: What is asked where nobody asks anything.
DEFAULT_POLICIES = ("defer20", "suspend20", "fullbusy")

#: The bound: every step of the receive path free, an interrupt at each arrival. What remains of a
#: latency is the application's own time and the queue before it.
BOUND = Policy("zero-cost", rx_usecs=0, rx_frames=0, threaded=False)


@dataclass(frozen=True)
class Scenario:
    """One policy on one host, over the islands of one layout."""

    kind: Kind
    policy: Policy
    host: Host
    islands: Sequence[Island]


def scenarios(
    measured: Policy | None,
    asked: Sequence[Policy | str] | None,
    host: Host,
    recorded: Sequence[Island],
    laid_out: Sequence[Island],
) -> list[Scenario]:
    """Return the model of the measured policy, then what was asked, last the bound.

    The model runs on the islands as `recorded`, all else on those `laid_out`; where these differ
    the measured policy is an alternative too.
    """
    if asked is None:
        asked = DEFAULT_POLICIES if measured else ("base", *DEFAULT_POLICIES)
    chosen = [parse_policy(item) if isinstance(item, str) else item for item in asked]
    found: list[Scenario] = []
    if measured:
        found.append(Scenario("model", measured, host, recorded))
        if laid_out is recorded:
            chosen = [policy for policy in chosen if policy.name != measured.name]
        else:
            chosen.insert(0, measured)
    unique = {policy.name: policy for policy in chosen}
    found += [Scenario("alternative", policy, host, laid_out) for policy in unique.values()]
    free = replace(ZERO_COST, ring=host.ring, slice_ns=host.slice_ns)
    return [*found, Scenario("bound", BOUND, free, laid_out)]


def choose_host(
    trace: Trace, given: Host | str | os.PathLike[str] | None
) -> tuple[Host, list[str]]:
    """Return the host to replay on, and what must be said about it.

    The one given; else one calibrated on the recording's events; else the generic one.
    """
    if isinstance(given, Host):
        return given, []
    if given is not None:
        return read_host(given), []
    if trace.events.num_rows:
        from replay.calibrate import calibrate

        return calibrate(trace), []
    return GENERIC, [
        f"the recording holds no kernel events: costs are those of the host {GENERIC.name}"
        f" ({GENERIC.about})"
    ]
