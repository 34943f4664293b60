"""The bench of the IRQ-suspension series as an island: eight queues, CPUs and memcached workers.

github.com/martinkarsten/irqsuspend: memcached with `-N 8` (connections stay with the worker of
their NAPI), confined to eight cores of two core complexes but not pinned within them; transmissions
complete on the queue of the core that sends (XPS). Seven client hosts of 640 connections each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from replay.backtest.client import HOSTS, Client
from replay.backtest.mutilate import VALUES, Floats, generalized_pareto, send_times
from replay.engine.topology import FLOATS, Topology
from replay.engine.workload import Workload
from replay.units import SECOND

QUEUES = 8
CONNECTIONS = 4480
UPDATES = 0.03  # share of requests that write

#: Bytes on the wire: headers of a packet; a request and a response without key and value; a key.
HEADERS, REQUEST, RESPONSE, KEY = 66, 8, 45, 31

#: Unthrottled connections begin within this time, as their handshakes let them.
RAMP_NS = 40_000_000
#: No server of this bench answers faster: how many requests an unthrottled connection is given.
MOST_QPS = 1_500_000


@dataclass(frozen=True)
class Offered:
    """A run's workload, and what network and clients add to each request. Arrays: (packets,)."""

    workload: Workload
    client_ns: Floats  # of a request; meaningless for its acknowledgement


def topology(*, pinned: bool) -> Topology:
    """Return the bench's CPUs; workers float unless they are `pinned`, each beside its queue."""
    each = tuple(range(QUEUES))
    return Topology(
        queue_cpu=each,
        queue_device=(0,) * QUEUES,
        worker_cpu=each if pinned else (FLOATS,) * QUEUES,
        cpu_domain=tuple(cpu // 4 for cpu in each),
        cpu_tx_queue=each,
    )


def offer(
    client: Client, service_ns: int, qps: int, seconds: float, seed: int, *, pinned: bool
) -> Offered:
    """Return one run: `qps` queries/s offered, 0 for as many as are answered.

    Connections are spread over queues, and floating workers over cores, by chance. Each request is
    followed by the acknowledgement of its response.
    """
    rng = np.random.default_rng(seed)
    queue_of = rng.integers(0, QUEUES, CONNECTIONS)
    # The engine starts floating workers in turn on the CPUs: which is whose is by chance.
    worker_of = np.arange(QUEUES) if pinned else rng.permutation(QUEUES)
    if qps:
        send = send_times(rng, CONNECTIONS, qps, seconds)
    else:
        requests = int(seconds * MOST_QPS / CONNECTIONS) + 8
        send = np.repeat(rng.random((CONNECTIONS, 1)) * RAMP_NS, requests, axis=1)
    count = send.shape[1]
    host = np.repeat(np.arange(CONNECTIONS)[:, None] % HOSTS, count, axis=1)
    client_ns = client.times(rng, host, qps)
    there = (client_ns / 2).astype(np.int64)
    back = client_ns.astype(np.int64) - there
    # no request arrives before its predecessor
    arrival = np.maximum.accumulate(send.astype(np.int64) + there, axis=1) + np.arange(count)
    duration = round(seconds * SECOND)
    inside = np.flatnonzero(arrival.ravel() < duration)
    row = inside[np.argsort(arrival.ravel()[inside], kind="stable")]
    place = np.full(arrival.size, -1, np.int64)
    place[row] = 2 * np.arange(len(row))
    follows = row % count > 0
    packets = 2 * len(row)
    parent, think = np.full(packets, -1, np.int64), np.zeros(packets, np.int64)
    parent[::2][follows] = place[row[follows] - 1]
    think[::2][follows] = there.ravel()[row[follows]] + back.ravel()[row[follows] - 1]
    parent[1::2], think[1::2] = np.arange(0, packets, 2), back.ravel()[row]
    service = np.full(packets, -1, np.int64)
    service[::2] = service_ns
    values = generalized_pareto(rng, (len(row),), VALUES).astype(np.int64)
    update = rng.random(len(row)) < UPDATES
    size, answer_size = np.full(packets, HEADERS, np.int64), np.zeros(packets, np.int64)
    size[::2] += REQUEST + KEY + update * values
    answer_size[::2] = HEADERS + np.where(update, REQUEST, RESPONSE + KEY + values)
    queue = np.repeat(queue_of[row // count], 2)
    workload = Workload(
        arrival_ns=np.repeat(arrival.ravel()[row], 2),
        service_ns=service,
        duration_ns=duration,
        parent=parent,
        think_ns=think,
        queue=queue,
        worker=worker_of[queue],
        size=size,
        answer_size=answer_size,
        scheduled=True,
    )
    return Offered(workload, np.repeat(client_ns.ravel()[row], 2))
