"""What a reader must know of a what-if: the lines of its head, and a sentence an assumption."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from replay import __version__
from replay.arrivals import Offered, requests_of
from replay.engine.topology import FLOATS
from replay.host import NICS, Host
from replay.islands import Island, Placement
from replay.layout import VERIFICATION_KEY, Layout
from replay.measured import Measurements, measured_ends
from replay.placement import hashed_as_recorded
from replay.recorded import recorded_layout
from replay.scenario import Machine
from replay.service import ServiceTimes
from replay.trace.bundle import Trace
from replay.trace.holes import confidence, holes_of
from replay.units import SECOND


def head(
    trace: Trace,
    host: Host,
    offer: Offered,
    truth: Measurements,
    placement: Placement,
    *,
    nic: str | None = None,
    placed: bool = False,
) -> dict[str, str]:
    """Return the lines above a table: name and text.

    `nic` is the NIC that was asked for; `placed` says whether CPUs or workers were.
    """
    work = offer.workload
    queues = len(placement.names)
    how = "open, as recorded" if offer.mode == "open" else "closed, each follows an answer"
    faster = "" if offer.load == 1.0 else f", {offer.load:g} times as fast (compression)"
    if offer.load_by == "superposition":
        faster = f", {offer.load:g} independent copies at once (superposition)"
    where = {"places": describe_places(placement)} if placed else {}
    about = f"{host.name} ({host.about})" if host.about else host.name
    holes = holes_of(trace)
    trust = {"holes": f"confidence {confidence(holes)}: {'; '.join(map(str, holes))}"}
    mean = {"cpu%": "mean over the CPUs"} if len(placement.topology.cpu_domain) > 1 else {}
    return {
        "trace": f"{trace.name}: {work.duration_ns / SECOND:.4g} s, {len(work.service_ns):,}"
        f" packets, {requests_of(work):,} requests, {queues} queue{'s'[: queues != 1]}",
        "arrivals": f"{how}{faster}: {truth.offered_per_s:,.0f} requests/s offered",
        **(trust if holes else {}),
        "host": about if nic is None else f"{about}, NIC {nic}: {NICS[nic].about}",
        **where,
        "latency": f"{truth.latency_at}, µs",
        **mean,
        "engine": f"replay {__version__}",
    }


def describe_places(placement: Placement) -> str:
    """Return what runs where, in one line."""
    topology = placement.topology
    cpus, caches = len(topology.cpu_domain), len(set(topology.cpu_domain))
    workers = ["float" if cpu == FLOATS else str(cpu) for cpu in topology.worker_cpu]
    nics = len(set(topology.queue_device))
    return (
        f"{_many(cpus, 'CPU')} on {_many(caches, 'cache')},"
        f" queues' interrupts on {','.join(map(str, topology.queue_cpu))},"
        f" {_many(len(workers), 'worker')} on {','.join(workers)}, {_many(nics, 'NIC')},"
        f" {_many(len(placement.apart), 'island')}"
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s'[: count != 1]}"


def assumptions(
    trace: Trace,
    host: Host,
    offer: Offered,
    truth: Measurements,
    layout: Layout | None,
    *,
    asked_for: str,
) -> list[str]:
    """Return one sentence for each thing that was assumed or is missing.

    `asked_for` is the mode of arrivals that was asked for: auto, open or closed.
    """
    notes: list[str] = []
    requests = requests_of(offer.workload)
    loop = trace.manifest.get("loop")
    notes += load_notes(offer, layout)
    if offer.services_seen < requests:
        notes.append(
            f"{requests - offer.services_seen:,} of {requests:,} requests have no recorded service"
            f" time: they take the host's {host.request_ns:,} ns"
        )
    if asked_for == "auto" and loop not in ("open", "closed"):
        notes.append(f"the recording's loop mode is not known: arrivals are {offer.mode}")
    elif asked_for == "auto" and loop != offer.mode:
        notes.append("the recording lacks the answers that closed arrivals wait for: they are open")
    if layout is not None and layout.queues > 1 and hashed_as_recorded(trace).any():
        notes.append("flows are known by their recorded hashes: these choose the queue")
    elif layout is not None and layout.key == VERIFICATION_KEY:
        notes.append("flows are hashed with the published verification key: none was recorded")
    if layout is not None and layout.queues > 1:
        flows = offer.chunks("flow", -1) if offer.picked is None else [offer.column("flow", -1)]
        bare = sum(int(np.count_nonzero(flow < 0)) for flow in flows)
        if bare:
            notes.append(f"{bare:,} packets have no flow to hash: queue 0 takes them")
    if layout is None and (recorded := recorded_layout(trace)) is not None:
        notes.append(
            f"queues as recorded: the table and key of {recorded.queues} receive queues say which"
            " one takes a flow"
        )
    if truth.policy is None:
        notes.append("the recording does not name its policy: there is no measured row")
    elif truth.policy.name not in truth.rows:
        notes.append(f"{truth.policy.name} was not measured at this load: no error can be shown")
    if truth.rows and truth.latency_at != measured_ends(trace):
        notes.append(
            f"measured latencies are {measured_ends(trace)}; host {host.name} has no client_ns, so"
            f" the model's are {truth.latency_at} and are not compared"
        )
    return [*notes, *methods(trace, truth), *losses(trace)]


def load_notes(offer: Offered, layout: Layout | None) -> list[str]:
    """Return what the way to more load assumes."""
    load = f"load {offer.load:g}"
    if offer.load == 1.0:
        return []
    if offer.load_by == "compression":
        return [
            f"{load}: the recorded arrivals in 1/{offer.load:g} of the time: bursts are denser, and"
            " the gaps between a flow's requests shrink with all others; each request's service"
            " stays as it was"
        ]
    queues = (
        "the copies' flows are hashed anew, as other users' addresses are"
        if layout is not None and layout.queues > 1
        else "the copies' flows stay on the recorded queues"
    )
    return [
        f"{load}: {offer.load:g} copies of the recording at once, each begun at another of its"
        " moments and coming round: users are added that know nothing of each other, each flow"
        f" keeps its bursts, and {queues}; each request's service stays as it was"
    ]


def free_handoffs(host: Host, islands: Iterable[Island]) -> list[str]:
    """Return that what crosses CPUs is free, where it is and something does."""
    costs = (host.ipi_ns, host.handoff_ns, host.far_ns)
    if any(costs) or all(len(island.topology.cpu_domain) == 1 for island in islands):
        return []
    return [
        f"host {host.name} does not say what a wake-up or a request on another CPU costs: ipi_ns,"
        " handoff_ns and far_ns are 0"
    ]


def kept_as_recorded(
    truth: Measurements,
    recorded: Machine,
    changed: Machine,
    *,
    nic: str | None,
    service: ServiceTimes | None,
    per_queue: bool,
) -> list[str]:
    """Return that rows of what was measured do not have the machine or the queues asked for.

    `nic` and `service` are the NIC and the service times that were asked for.
    """
    notes = []
    if service is not None:
        notes.append(
            f"service times are drawn from {service}, the same for each request under all policies"
        )
    if truth.policy is None:
        return notes
    if changed is not recorded:
        rows = "measured and model rows are" if truth.rows else "the model row is"
        other = _machine(changed) if nic is None else f"{_machine(changed)}, NIC {nic}"
        other += "" if service is None else f", service {service}"
        notes.append(
            f"{rows} of the machine as recorded ({_machine(recorded)}); all other replayed rows"
            f" are of the one asked for ({other})"
        )
    if per_queue and truth.rows:
        notes.append(
            "what was measured is known of all queues together only: it has no row a queue"
        )
    return notes


def _machine(machine: Machine) -> str:
    """Return a machine's size, in words."""
    topology = machine.placement.topology
    return (
        f"{_many(len(machine.placement.names), 'queue')}, {_many(len(topology.cpu_domain), 'CPU')},"
        f" {_many(len(topology.worker_cpu), 'worker')}"
    )


def methods(trace: Trace, truth: Measurements) -> list[str]:
    """Return how the measured rows were measured."""
    if not truth.rows:
        return []
    table = trace.outcomes.select(["method", "repetitions"]).to_pylist()
    ways = sorted({(line["method"], line["repetitions"]) for line in table})
    return [
        f"measured: median of {times} repetition{'s'[: times != 1]}, {way}" for way, times in ways
    ]


def losses(trace: Trace) -> list[str]:
    """Return what the recording lost."""
    lost = sum(trace.gaps["lost"].fill_null(0).to_pylist())
    return [f"the recording lost {lost:,} records"] if lost else []
