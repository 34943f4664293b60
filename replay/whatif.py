"""What if this recording's host had run another policy? The verb of the package.

open trace -> lay out -> split into islands -> replay each island -> merge outcomes -> summarise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial, reduce
from itertools import islice

from replay.arrivals import LOADS_BY, Offered, offered
from replay.describe import assumptions, free_handoffs, head, kept_as_recorded
from replay.draws import draws as drawn_anew
from replay.draws import draws_to_make, intervals_note, with_intervals
from replay.engine import replay_island
from replay.engine.histogram import Histogram
from replay.engine.outcome import Outcome
from replay.errors import PolicyError
from replay.host import Host, with_nic
from replay.islands import Island
from replay.measured import Measurements, measured_policy, measurements, with_error
from replay.percentiles import latencies
from replay.placement import lay_out, place
from replay.places import Places
from replay.policy import Policy
from replay.progress import expect, running
from replay.result import Numbers, Result, Row
from replay.scenario import (
    Machine,
    Scenario,
    choose_host,
    policies_asked,
    scenarios,
    with_hooks,
)
from replay.service import parse_service, with_service
from replay.summary import summarise
from replay.superposition import superposed
from replay.trace.bundle import Trace, open_trace
from replay.trace.holes import holes_of
from replay.uncertainty import bounds_of, ranges

LOAD_RANGE = (0.01, 1000.0)
ARRIVALS = ("auto", "open", "closed")


def what_if(
    trace: Trace | str | os.PathLike[str],
    policies: Sequence[Policy | Sequence[Policy] | str] | None = None,
    *,
    host: Host | str | os.PathLike[str] | None = None,
    nic: str | None = None,
    load: float = 1.0,
    load_by: str = "compression",
    queues: int | None = None,
    indirection: str | None = None,
    places: Places | None = None,
    per_queue: bool = False,
    causes: bool = False,
    arrivals: str = "auto",
    service: str | None = None,
    draws: int | None = None,
    hooks: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Result:
    """Replay `trace` under each of `policies` and return all rows, the measured ones first.

    `policies` are names (see `replay.policy.parse_policies`); None asks for the usual ones. `host`
    is a host or a TOML file; None calibrates on the recording's own events, or takes the generic
    host where it has none. `nic` gives it another NIC's settings (`replay.host.NICS`).

    `load` multiplies the arrival rate: compression divides the times by it, superposition lays so
    many copies of the recording over each other. `arrivals` is auto, open or closed. `service`
    is a distribution of service times (`replay.service.parse_service`); None leaves the recorded.
    `draws` is how often constants, arrivals and blocks are drawn anew for the intervals of the rows
    (`replay.draws`), 0 for none; None draws where that is soon done.

    `queues` and `indirection` hash the flows onto that many queues; None leaves them as recorded.
    `places` says what runs where; None gives each queue a CPU and a worker. `hooks` is a
    file of hooks, the one that REPLAY_HOOKS names (see `replay.engine.hooks`): each policy is
    replayed under them too. The rows do not depend on `threads`.
    With `causes` the replayed ones say why their requests waited.

    Raises TraceError and PolicyError, in one line.
    """
    low, high = LOAD_RANGE
    if not low <= load <= high:
        raise PolicyError(f"load = {load:g} is outside {low:g} to {high:g} times the recorded rate")
    if arrivals not in ARRIVALS:
        raise PolicyError(f"arrivals = {arrivals!r} is none of {', '.join(ARRIVALS)}")
    if load_by not in LOADS_BY:
        raise PolicyError(f"load-by = {load_by!r} is none of {', '.join(LOADS_BY)}")

    times = None if service is None else parse_service(service)
    trace = trace if isinstance(trace, Trace) else open_trace(trace)
    costs, origin = choose_host(trace, host)
    fitted = costs if nic is None else with_nic(costs, nic)
    asked = policies_asked(policies, measured_policy(trace))
    asked, hooked = (asked, []) if hooks is None else with_hooks(asked, hooks)
    sizes = any(_adapts(policy, it) for one in asked for policy in one for it in (costs, fitted))
    compressed = load if load_by == "compression" else 1.0
    offer = offered(trace, costs, load=compressed, arrivals=arrivals, sizes=sizes)
    if load_by == "superposition":
        offer = superposed(offer, load)
    layout = lay_out(trace, queues, indirection)

    def machines(offer: Offered, costs: Host = costs) -> tuple[Machine, Machine]:
        """Return the machine as recorded, and the one asked for."""
        fitted = costs if nic is None else with_nic(costs, nic)
        recorded = Machine(costs, place(trace, offer, None, None))
        if times is not None:
            placement = place(trace, with_service(offer, times), layout, places)
        elif places or (layout and (layout.queues, len(recorded.placement.names)) != (1, 1)):
            placement = place(trace, offer, layout, places)
        elif nic is not None:
            placement = recorded.placement
        else:
            return recorded, recorded
        return recorded, Machine(fitted, placement)

    recorded, changed = machines(offer)
    truth = measurements(trace, costs, offer)
    as_measured = trace.manifest.get("loop", offer.mode) in (offer.mode, "unknown")
    replayed = scenarios(truth.policy, asked, recorded, changed)
    bounds = bounds_of(offer)
    ends = [
        [
            latencies(together(islice(found, len(scenario.islands))), truth.client_ns)
            for scenario in other
        ]
        for it in (bounds.others if bounds else ())
        for other in [scenarios(truth.policy, asked, *machines(it))]
        for found in [replay_all(other, threads)]
    ]
    outcomes = replay_all(replayed, threads, causes=causes)
    rows = [
        with_ranges(row, [end[number] for end in ends])
        for number, scenario in enumerate(replayed)
        for row in present(
            scenario,
            islice(outcomes, len(scenario.islands)),
            truth,
            comparable=scenario.machine is recorded and as_measured,
            per_queue=per_queue,
        )
    ]

    def drawn() -> Iterator[tuple[list[Numbers], float]]:
        """Yield the metrics of every scenario in each draw."""
        for it in drawn_anew(offer, costs, count):
            other = scenarios(truth.policy, asked, *machines(it.offer, it.host))
            found = replay_all(other, threads)
            yield [_metrics(scenario, found, truth) for scenario in other], it.missed

    count = draws_to_make(draws, offer, len(replayed))
    rows = with_intervals(rows, list(drawn()))
    return Result(
        trace=trace.name,
        host=costs.name,
        arrivals=offer.mode,
        rows=tuple(rows),
        holes=tuple(holes_of(trace)),
        about={
            **head(trace, fitted, offer, truth, changed.placement, nic=nic, placed=bool(places)),
            **({"bounds": bounds.why} if bounds else {}),
        },
        notes=(
            *origin,
            *hooked,
            *assumptions(trace, costs, offer, truth, layout, asked_for=arrivals),
            *free_handoffs(costs, (island for item in replayed for island in item.islands)),
            *kept_as_recorded(
                truth, recorded, changed, nic=nic, service=times, per_queue=per_queue
            ),
            *notes_on_islands(replayed, per_queue=per_queue),
            *intervals_note(count, draws),
        ),
    )


def replay_all(
    asked: Sequence[Scenario], threads: int | None = None, *, causes: bool = False
) -> Iterator[Outcome]:
    """Replay every island of every scenario in parallel; yield the outcomes in that order."""
    jobs = [(island, item) for item in asked for island in item.islands]
    expect(sum(len(island.workload.arrival_ns) for island, _ in jobs))
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        yield from pool.map(lambda job: _replay(*job, causes=causes), jobs)


def together(outcomes: Iterable[Outcome]) -> Histogram:
    """Return the latencies of all islands of a scenario."""
    return reduce(Outcome.merge, outcomes).latency


def _metrics(scenario: Scenario, outcomes: Iterator[Outcome], truth: Measurements) -> Numbers:
    """Return the metrics of a scenario whose islands' outcomes come next."""
    whole = reduce(Outcome.merge, islice(outcomes, len(scenario.islands)))
    idle = whole.cpu.idle + scenario.idle_cpus * whole.duration_ns
    row = summarise(
        replace(whole, cpu=replace(whole.cpu, idle=idle)),
        kind=scenario.kind,
        policy=scenario.name,
        load=truth.load,
        offered=sum(island.requests for island in scenario.islands),
        latency_at=truth.latency_at,
        client_ns=truth.client_ns,
    )
    return row.metrics()


def with_ranges(row: Row, others: Sequence[Numbers]) -> Row:
    """Return a replayed row with what its percentiles are at the bounds of the arrivals."""
    if row.kind == "measured" or row.queue is not None or not others:
        return row
    return replace(row, ranges_us=ranges(row.latency_us, *others))


def _replay(island: Island, scenario: Scenario, *, causes: bool) -> Outcome:
    """Replay one island of a scenario; one policy is that of all NICs."""
    policies, host = scenario.policies, scenario.machine.host
    policy = policies[0] if len(policies) == 1 else policies
    with running(scenario.name, len(island.workload.arrival_ns)):
        return replay_island(island.workload, policy, host, island.topology, causes=causes)


def _adapts(policy: Policy, host: Host) -> bool:
    """Whether the packets' sizes matter."""
    return (policy.adaptive or host.adaptive) != "off"


def notes_on_islands(asked: Sequence[Scenario], *, per_queue: bool) -> list[str]:
    """Return what must be said of several NICs' policies, and of queues that share CPUs."""
    found = []
    if any(len(item.policies) > 1 for item in asked):
        found.append(
            "of policies joined by +, coalescing, ring, weight, deferral and suspension are each"
            " NIC's; epoll, busy polling, softirq budgets and NAPI threads of queues that share"
            " a CPU or a worker are those of the first of these queues"
        )
    if not per_queue:
        return found
    shared = {
        island.queues: None for item in asked for island in item.islands if len(island.queues) > 1
    }
    return found + [
        f"queues {', '.join(map(str, queues))} share CPUs, workers or NAPI threads: cpu% in their"
        " rows is that of all of them"
        for queues in shared
    ]


def present(
    scenario: Scenario,
    outcomes: Iterable[Outcome],
    truth: Measurements,
    *,
    comparable: bool,
    per_queue: bool,
) -> list[Row]:
    """Return a scenario's rows: all queues together, each island, and what was measured of it.

    The measured row stands before the model's, and after an alternative's. It is there only where
    it is `comparable`: measured on that layout.
    """
    summary = partial(
        summarise,
        kind=scenario.kind,
        policy=scenario.name,
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
            seen = outcome.queues or (outcome,)
            shared = len(seen) > 1
            for queue, part in zip(island.queues, seen, strict=True):
                row = summary(
                    part, offered=part.requests if shared else island.requests, queue=queue
                )
                queues.append(replace(row, epoll_returns=None, squeezes=None) if shared else row)
    assert whole is not None
    idle = whole.cpu.idle + scenario.idle_cpus * whole.duration_ns
    whole = replace(whole, cpu=replace(whole.cpu, idle=idle))
    beside = truth.rows.get(scenario.name) if comparable else None
    together = summary(whole, offered=sum(island.requests for island in islands))
    rows = [with_error(together, beside), *queues]
    if beside is None:
        return rows
    return [beside, *rows] if scenario.kind == "model" else [*rows, beside]
