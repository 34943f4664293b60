"""What if this recording's host had run another policy? The verb of the package.

open trace -> lay out -> split into islands -> replay each island -> merge outcomes -> summarise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

from replay.arrivals import offered, split
from replay.describe import assumptions, head
from replay.engine import replay_island
from replay.engine.outcome import Outcome
from replay.errors import PolicyError
from replay.host import Host
from replay.measured import Measurements, measurements, with_error
from replay.placement import lay_out, queue_of_packets
from replay.policy import Policy
from replay.result import Result, Row
from replay.scenario import Scenario, choose_host, scenarios
from replay.summary import summarise
from replay.trace.bundle import Trace, open_trace

LOAD_RANGE = (0.01, 1000.0)
ARRIVALS = ("auto", "open", "closed")


def what_if(
    trace: Trace | str | os.PathLike[str],
    policies: Sequence[Policy | str] | None = None,
    *,
    host: Host | str | os.PathLike[str] | None = None,
    load: float = 1.0,
    queues: int | None = None,
    indirection: str | None = None,
    per_queue: bool = False,
    arrivals: str = "auto",
    threads: int | None = None,
) -> Result:
    """Replay `trace` under each of `policies` and return all rows, the measured ones first.

    `policies` are names (see `replay.policy.parse_policy`); None asks for the usual ones. `host`
    is a host or a TOML file; None calibrates on the recording's own events, or takes the generic
    host where it has none. `load` multiplies the arrival rate. `queues` and `indirection` hash
    the flows onto that many queues; None leaves them as recorded. `arrivals` is auto, open or
    closed. The rows do not depend on `threads`.

    Raises TraceError and PolicyError, in one line.
    """
    low, high = LOAD_RANGE
    if not low <= load <= high:
        raise PolicyError(f"load = {load:g} is outside {low:g} to {high:g} times the recorded rate")
    if arrivals not in ARRIVALS:
        raise PolicyError(f"arrivals = {arrivals!r} is none of {', '.join(ARRIVALS)}")

    trace = trace if isinstance(trace, Trace) else open_trace(trace)
    costs, origin = choose_host(trace, host)
    offer = offered(trace, costs, load=load, arrivals=arrivals)
    layout = lay_out(trace, queues, indirection)
    recorded = split(offer, queue_of_packets(trace, offer, None))
    laid_out = recorded
    if layout and (layout.queues, len(recorded)) != (1, 1):
        laid_out = split(offer, queue_of_packets(trace, offer, layout), layout.queues)

    truth = measurements(trace, costs, offer)
    as_measured = trace.manifest.get("loop", offer.mode) in (offer.mode, "unknown")
    asked = scenarios(truth.policy, policies, costs, recorded, laid_out)
    outcomes = replay_all(asked, threads)
    rows = [
        row
        for scenario in asked
        for row in present(
            scenario,
            islice(outcomes, len(scenario.islands)),
            truth,
            comparable=scenario.islands is recorded and as_measured,
            per_queue=per_queue,
        )
    ]
    return Result(
        trace=trace.name,
        host=costs.name,
        arrivals=offer.mode,
        rows=tuple(rows),
        about=head(trace, costs, offer, truth, queues=len(laid_out)),
        notes=(*origin, *assumptions(trace, costs, offer, truth, layout, asked_for=arrivals)),
    )


def replay_all(asked: Sequence[Scenario], threads: int | None = None) -> Iterator[Outcome]:
    """Replay every island of every scenario in parallel; yield the outcomes in that order."""
    jobs = [(island.workload, item.policy, item.host) for item in asked for island in item.islands]
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        yield from pool.map(lambda job: replay_island(*job), jobs)


def present(
    scenario: Scenario,
    outcomes: Iterable[Outcome],
    truth: Measurements,
    *,
    comparable: bool,
    per_queue: bool,
) -> list[Row]:
    """Return a scenario's rows: all queues together, each queue, and what was measured of it.

    The measured row stands before the model's, and after an alternative's. It is there only where
    it is `comparable`: measured on that layout.
    """
    summary = partial(
        summarise,
        kind=scenario.kind,
        policy=scenario.policy.name,
        load=truth.load,
        latency_at=truth.latency_at,
        client_ns=truth.client_ns,
    )
    islands = scenario.islands
    whole: Outcome | None = None
    queues: list[Row] = []
    for island, outcome in zip(islands, outcomes, strict=True):  # merged as they come: they are big
        whole = outcome if whole is None else whole.merge(outcome)
        if per_queue:
            queues.append(summary(outcome, offered=island.requests, queue=island.queue))
    assert whole is not None
    beside = truth.rows.get(scenario.policy.name) if comparable else None
    together = summary(whole, offered=sum(island.requests for island in islands))
    rows = [with_error(together, beside), *queues]
    if beside is None:
        return rows
    return [beside, *rows] if scenario.kind == "model" else [*rows, beside]
