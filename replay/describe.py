"""What a reader must know of a what-if: the lines of its head, and a sentence an assumption."""

from __future__ import annotations

import numpy as np

from replay import __version__
from replay.arrivals import Offered, requests_of
from replay.host import Host
from replay.layout import VERIFICATION_KEY, Layout
from replay.measured import Measurements, measured_ends
from replay.placement import hashed_as_recorded
from replay.trace.bundle import Trace
from replay.units import SECOND


def head(
    trace: Trace, host: Host, offer: Offered, truth: Measurements, *, queues: int
) -> dict[str, str]:
    """Return the lines above a table: name and text."""
    work = offer.workload
    how = "open, as recorded" if offer.mode == "open" else "closed, each follows an answer"
    faster = "" if offer.load == 1.0 else f", {offer.load:g} times as fast"
    return {
        "trace": f"{trace.name}: {work.duration_ns / SECOND:.4g} s, {len(work.service_ns):,}"
        f" packets, {requests_of(work):,} requests, {queues} queue{'s'[: queues != 1]}",
        "arrivals": f"{how}{faster}: {truth.offered_per_s:,.0f} requests/s offered",
        "host": f"{host.name} ({host.about})" if host.about else host.name,
        "latency": f"{truth.latency_at}, µs",
        "engine": f"replay {__version__}",
    }


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
    if offer.load != 1.0:
        notes.append(
            f"load {offer.load:g}: the recorded arrivals in 1/{offer.load:g} of the time; each"
            " request's service stays as it was"
        )
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
        bare = int(np.count_nonzero(trace.packets["flow"].is_null().to_numpy()[offer.row]))
        if bare:
            notes.append(f"{bare:,} packets have no flow to hash: queue 0 takes them")
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


def methods(trace: Trace, truth: Measurements) -> list[str]:
    """Return how the measured rows were measured."""
    if not truth.rows:
        return []
    table = trace.outcomes.select(["method", "repetitions"]).to_pylist()
    ways = sorted({(line["method"], line["repetitions"]) for line in table})
    return [f"measured: median of {times} repetitions, {way}" for way, times in ways]


def losses(trace: Trace) -> list[str]:
    """Return what the recording lost."""
    lost = sum(trace.gaps["lost"].fill_null(0).to_pylist())
    return [f"the recording lost {lost:,} records"] if lost else []
