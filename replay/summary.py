"""An outcome as a row: latencies, counters, shares of the CPU, and the verdict."""

from __future__ import annotations

from replay.engine.outcome import CpuTime, Outcome
from replay.parts import parts
from replay.percentiles import latencies
from replay.result import COUNTERS, CPU_WORK, Kind, Row, Verdict
from replay.units import SECOND

#: Saturated: this share of what was offered was not answered ...
UNANSWERED = 0.02
#: ... or this share is still waiting at the end, and it is this many times what waited on average.
WAITING = 0.005
GROWING = 1.5

#: Fewer than these unanswered at the end are on their way, unless nothing was answered at all.
FEW = 10


def summarise(
    outcome: Outcome,
    *,
    kind: Kind,
    policy: str,
    load: float,
    offered: int,
    latency_at: str,
    client_ns: int,
    queue: int | None = None,
) -> Row:
    """Return the row of a replay.

    `offered` requests were recorded for that time; `client_ns` is added to each latency, for the
    ends that `latency_at` names.
    """
    cpu = cpu_shares(outcome.cpu)
    counters = {name: getattr(outcome, name) for name in COUNTERS}
    counters["requests"] = outcome.served
    return Row(
        kind=kind,
        policy=policy,
        load=load,
        duration_s=outcome.duration_ns / SECOND,
        **counters,
        left=outcome.left,
        latency_at=latency_at,
        queue=queue,
        latency_us=latencies(outcome.latency, client_ns),
        cpu_pct=cpu,
        verdict=verdict(outcome, offered),
        **parts(outcome, client_ns),
        cpu_thread_pct=(cpu["kernel"] or 0.0) + (cpu["app"] or 0.0),
        # Charts show all queues together: a thousand queues' histograms are not worth their place.
        latency=outcome.latency if queue is None else None,
        client_ns=client_ns,
        poll_sizes=outcome.poll_sizes if queue is None else None,
    )


def cpu_shares(cpu: CpuTime) -> dict[str, float | None]:
    """Return each kind of work's share of the CPU time, in percent."""
    return {name: 100.0 * getattr(cpu, name) / cpu.total for name in CPU_WORK}


def verdict(outcome: Outcome, offered: int) -> Verdict:
    """Say whether the host kept up with the `offered` requests.

    It did not where more than 2 % of them were not answered by the end; or where more than 0.5 %
    are still waiting at the end and that is over 1.5 times what waited on average (Little's law:
    the sum of latencies over the duration), as where a backlog grows steadily: there it is twice.
    """
    unanswered = offered - outcome.served
    if unanswered < FEW and (outcome.served or not offered):
        return "ok"
    if unanswered > UNANSWERED * offered:
        return "saturated"
    waiting = outcome.requests - outcome.served
    average = outcome.latency.total / outcome.duration_ns
    if waiting > WAITING * offered and waiting > GROWING * average:
        return "saturated"
    return "ok"
