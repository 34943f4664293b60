"""What a recording does not say of itself: facts for its manifest, from the runs around it.

What recording an event costs, from recorded and counted runs that took turns; what an interrupt
takes of an idle CPU, from the spinner's account; how far the client's latency exceeds the server's,
from the client's log.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from replay.ingest.ingested import Ingested
from replay.lab.clock import GAP_STEP_NS
from replay.trace.schema import EventKind, PacketKind

Run = Mapping[str, Any]
Fact = dict[str, float]

# Of a request, on the client's CPU between the server's transmission and the client's clock:
# softirq entry, netif_receive_skb, napi_poll, softirq exit.
EVENTS_OF_THE_CLIENT = 4
VETH_RING = 256  # VETH_RING_SIZE, drivers/net/veth.c
LATENCY_AT = "client send to receive"
#: A request that leaves so long after its time waited for others to be sent.
LATE_NS = 50_000


def facts_of(
    take: Mapping[str, Any], ingested: Ingested, log: Path, timer: Fact, preempted: str
) -> dict[str, Any]:
    """Return what `ingested`, the recording that was kept of `take`, should carry besides.

    `preempted` is the recording kernel's `preemption()`.
    """
    kept = take["recorded"][take["kept"]]
    probe = recording_cost(take["recorded"], take["counted"], ingested)
    return {
        "policy": kept["policy"]["name"],
        "offered_per_s": kept["load"]["rate"],
        "latency_at": LATENCY_AT,
        "loop": "open",
        "preemption": preempted,
        "ring": VETH_RING,
        "probe_ns": probe,
        "interrupt_ns": interrupt_cost(kept, ingested, probe["median"]),
        "client": client_share(ingested, log, probe["median"]),
        "client_send_ns": send_cost(log),
        "timer": timer,
    }


def recording_cost(recorded: Sequence[Run], counted: Sequence[Run], ingested: Ingested) -> Fact:
    """Return what one recorded event costs the server's CPU, ns: quartiles over pairs of runs."""
    events = ingested.manifest["recorded_events"]
    per_s = events["per_cpu"][str(events["server_cpu"])] / ingested.manifest["duration_ns"] * 1e9
    costs = [
        (_busy(with_perf) - _busy(without)) * 1e9 / per_s
        for with_perf, without in zip(recorded, counted, strict=True)
    ]
    return _quartiles(np.maximum(costs, 0.0))


def interrupt_cost(run: Run, ingested: Ingested, probe_ns: float) -> Fact:
    """Return what an interrupt takes before, and after, the steps that are recorded, ns.

    The spinner sees the whole interruption; the recording what lies between the switch away from
    it and the switch back.
    """
    events = ingested.table("events")
    kind, tid, value, time, cpu = (
        events[name].cast("int64").fill_null(-1).to_numpy()
        for name in ("kind", "tid", "value", "time_ns", "cpu")
    )
    spinner = run["interruptions"]["spinner"]
    here = (kind == EventKind.RUN) & (cpu == ingested.manifest["recorded_events"]["server_cpu"])
    away = time[here & (value == spinner)]
    back = time[here & (tid == spinner)]
    away = away[: np.searchsorted(away, back[-1])] if len(back) else away[:0]
    lasted = back[np.searchsorted(back, away)] - away
    counts = np.asarray(run["interruptions"]["by_length"])
    seen = np.repeat((np.arange(len(counts)) + 0.5) * GAP_STEP_NS, counts)
    # Interruptions without a switch (the tick) are shorter than any with one
    seen = np.sort(seen)[-len(lasted) :]
    share = np.linspace(0.1, 0.9, 81)
    return _quartiles(np.quantile(seen, share) - np.quantile(lasted, share) - probe_ns) | {
        "samples": len(lasted)
    }


def client_share(ingested: Ingested, log: Path, probe_ns: float) -> Fact:
    """Return how much of the client's latency lies outside arrival to transmission, ns.

    The difference of the two distributions in their lowest fifth: above, the client, which shares
    its CPU with the recorder, waits for itself.
    """
    packets = ingested.table("packets")
    kind, time, reply = (
        packets[name].cast("int64").fill_null(-1).to_numpy()
        for name in ("kind", "arrival_ns", "reply_to")
    )
    answers = (kind == PacketKind.TX) & (reply >= 0)
    server = time[answers] - time[reply[answers]]
    with np.load(log) as requests:
        intended, received = requests["intended_ns"], requests["received_ns"]
    start = ingested.manifest["origin_ns"]
    inside = (intended >= start) & (intended < start + ingested.manifest["duration_ns"])
    client = (received - intended)[inside & (received > 0)]
    share = np.linspace(0.02, 0.2, 19)
    legs = np.quantile(client, share) - np.quantile(server, share)
    return _quartiles(legs - EVENTS_OF_THE_CLIENT * probe_ns) | {"samples": len(client)}


def send_cost(log: Path) -> Fact:
    """Return what the client takes to send one of many requests that are due, ns."""
    with np.load(log) as requests:
        late = requests["sent_ns"] - requests["intended_ns"] > LATE_NS
        apart = np.diff(requests["sent_ns"])[late[1:] & late[:-1]]
    return _quartiles(apart if len(apart) else np.zeros(1))


def preemption() -> str:
    """Return none, voluntary or full: whether the kernel may be preempted within a system call."""
    for word in Path("/proc/cmdline").read_text().split():
        if word.startswith("preempt="):
            return word.partition("=")[2]
    config = Path("/proc/config.gz")
    text = gzip.decompress(config.read_bytes()).decode() if config.exists() else ""
    for name in ("none", "voluntary"):
        if f"CONFIG_PREEMPT_{name.upper()}=y" in text:
            return name
    return "full"


def _busy(run: Run) -> float:
    """Return the share of the window in which the server's CPU was not idle."""
    share: float = 1.0 - run["spinner"]["idle_ns"] / (run["window_end_ns"] - run["window_start_ns"])
    return share


def _quartiles(values: np.ndarray) -> Fact:
    q1, median, q3 = (float(value) for value in np.quantile(values, [0.25, 0.5, 0.75]))
    return {"median": median, "q1": q1, "q3": q3, "samples": len(values)}
