"""A tiny trace, and an engine that answers by rule: what the verbs' tests run on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.engine.causes import CAUSES, Causes
from replay.engine.histogram import BUCKETS, Histogram, bucket_of
from replay.engine.outcome import CpuTime, Outcome
from replay.engine.topology import SINGLE, Topology
from replay.engine.workload import Workload
from replay.host import GENERIC, Host, costs_of
from replay.policy import Policy
from replay.trace import schema
from replay.trace.bundle import Trace, write_trace
from replay.trace.schema import PacketKind

DURATION = 1_000_000_000
GAP = 100_000  # from each request to the next
ANSWER = 30_000  # from a request to its answer
FLOWS = 4
REQUESTS = 200

#: A host of the tests' own in all that they compare: what others cost is not theirs to know.
HOST = replace(
    GENERIC,
    name="tiny-host",
    about="made up",
    irq_ns=900,
    packet_ns=800,
    request_ns=3_500,
    client_ns=20_000,
)

MANIFEST: dict[str, Any] = {
    "duration_ns": DURATION,
    "loop": "open",
    "policy": "base",
    "offered_per_s": 200.0,
    "latency_at": "client send to receive",
}

#: metric: (median, q1, q3) of base and of suspend20 at 200 requests/s.
BASE = {
    "requests": (200.0, 199.0, 201.0),
    "packets": (400.0, 399.0, 401.0),
    "irqs": (150.0, 149.0, 152.0),
    "timers": (0.0, 0.0, 0.0),
    "polls": (160.0, 159.0, 161.0),
    "polls_empty": (10.0, 9.0, 11.0),
    "epoll_returns": (190.0, 188.0, 191.0),
    "cpu_softirq": (4.0, 3.9, 4.1),
    "cpu_thread": (10.0, 9.5, 10.5),
    "cpu_idle": (86.0, 85.0, 87.0),
    "latency_mean": (50.0, 49.0, 51.0),
    "latency_p50": (46.0, 45.0, 47.0),
    "latency_p99": (90.0, 80.0, 120.0),
}
SUSPEND = {**BASE, "irqs": (5.0, 4.0, 6.0), "latency_p50": (65.0, 63.0, 67.0)}


def tiny_trace(
    folder: Path,
    *,
    name: str = "tiny.trace",
    manifest: dict[str, Any] | None = None,
    outcomes: bool = True,
) -> Trace:
    """Write 200 requests on four connections: request, answer, acknowledgement, each 100 us."""
    rows: list[dict[str, Any]] = []
    for i in range(REQUESTS):
        flow, time, request = 2 * (i % FLOWS), i * GAP, len(rows)
        common = {"device": 0, "queue": 0, "tid": 7, "status": 0}
        kinds = (
            (PacketKind.REQUEST, time, flow, 30, None),
            (PacketKind.TX, time + ANSWER, flow + 1, 60, request),
            (PacketKind.ACK, time + ANSWER + 5_000, flow, 0, None),
        )
        for kind, at, direction, payload, reply_to in kinds:
            rows.append(
                {
                    **common,
                    "arrival_ns": at,
                    "flow": direction,
                    "length": payload + 66,
                    "payload": payload,
                    "kind": int(kind),
                    "service_ns": 4_000 if kind == PacketKind.REQUEST and i % 2 else None,
                    "reply_to": reply_to,
                }
            )
    tables = {
        "packets": pa.Table.from_pylist(rows, schema=schema.PACKETS),
        "flows": pa.Table.from_pylist([_flow(i) for i in range(2 * FLOWS)], schema=schema.FLOWS),
    }
    if outcomes:
        lines = [
            {
                "policy": policy,
                "offered_per_s": 201.0,
                "metric": metric,
                "median": median,
                "q1": q1,
                "q3": q3,
                "min": q1,
                "max": q3,
                "repetitions": 5,
                "method": "counted",
            }
            for policy, metrics in (("base", BASE), ("suspend20", SUSPEND))
            for metric, (median, q1, q3) in metrics.items()
        ]
        tables["outcomes"] = pa.Table.from_pylist(lines, schema=schema.OUTCOMES)
    return write_trace(folder / name, {**MANIFEST, **(manifest or {})}, tables)


def _flow(number: int) -> dict[str, Any]:
    client = (bytes(10) + b"\xff\xff" + bytes([198, 18, 0, 2]), 40_000 + number // 2)
    server = (bytes(10) + b"\xff\xff" + bytes([198, 18, 0, 1]), 11_211)
    source, destination = (server, client) if number % 2 else (client, server)
    return {
        "source": source[0],
        "destination": destination[0],
        "source_port": source[1],
        "destination_port": destination[1],
        "protocol": 6,
        "version": 4,
        "first_ns": 0,
        "last_ns": DURATION,
        "packets": 0,
        "bytes": 0,
    }


def answer_by_rule(
    workload: Workload,
    policy: Policy | tuple[Policy, ...],
    host: Host,
    topology: Topology = SINGLE,
    *,
    causes: bool = False,
) -> Outcome:
    """Stand in for the engine: an interrupt a packet, and latencies from 10 us up by 100 ns."""
    policy = policy if isinstance(policy, Policy) else policy[0]
    host = costs_of(policy, host)
    inside = workload.arrival_ns < workload.duration_ns
    packets = int(np.count_nonzero(inside))
    requests = int(np.count_nonzero(inside & (workload.service_ns >= 0)))
    spread = 10_000 + 100 * np.arange(requests, dtype=np.int64)
    app = int(workload.service_ns[workload.service_ns >= 0].sum())
    irqs = 0 if policy.defers else packets
    busy = CpuTime(hardirq=irqs * host.irq_ns, softirq=packets * host.packet_ns, app=app)
    duration, cpus = workload.duration_ns, len(topology.cpu_domain)
    outcome = Outcome(
        duration_ns=duration,
        packets=packets,
        requests=requests,
        delivered=packets,
        dropped=0,
        left=0,
        served=requests,
        irqs=irqs,
        timers=packets if policy.defers else 0,
        polls=packets + 3,
        polls_empty=3,
        busy_polls=0,
        epoll_returns=requests,
        resumes=0,
        tx_packets=requests,
        cpu=CpuTime(busy.hardirq, busy.softirq, 0, busy.app, cpus * duration - busy.total),
        latency=Histogram.of(spread),
        poll_sizes=np.array([3, packets], np.int64),
        causes=causes_by_rule(spread) if causes else None,
    )
    queues = len(topology.queue_cpu)
    return replace(outcome, queues=(outcome,) * queues) if queues > 1 else outcome


def causes_by_rule(latencies: npt.NDArray[np.int64]) -> Causes:
    """Coalescing takes 4 us, service 6 us, and what is above that is queueing."""
    times = np.zeros((len(CAUSES), len(latencies)), np.int64)
    times[CAUSES.index("coalescing")] = 4_000
    times[CAUSES.index("service")] = 6_000
    times[CAUSES.index("queueing")] = latencies - 10_000
    by_latency = np.zeros((BUCKETS, len(CAUSES)), np.int64)
    np.add.at(by_latency, [bucket_of(int(latency)) for latency in latencies], times.T)
    return Causes(np.array([Histogram.of(row).counts for row in times]), by_latency)
