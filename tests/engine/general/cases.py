"""One case replayed by the general engine and by the reference: equal, and lawful."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from replay.engine import Histogram, Outcome, Workload
from replay.engine.general import replay_general
from replay.engine.topology import SINGLE, Topology
from replay.host import Host
from replay.host.model import ZERO_COST
from replay.policy import Policy
from replay.units import MILLISECOND
from tests.naive import replay_naively

ACK = -1  # a packet that wakes nobody
BASE = Policy("base")
DEFER = Policy("defer", defer_hard_irqs=100, gro_flush_timeout_ns=20_000)
#: suspension of 1 ms over a deferral of 20 us
SUSPEND = replace(DEFER, prefer_busy_poll=True, irq_suspend_timeout_ns=MILLISECOND)


def replay(
    arrivals: Sequence[int],
    policy: Policy | list[Policy] = BASE,
    topology: Topology = SINGLE,
    *,
    service: Sequence[int] | int = 0,
    duration: int = MILLISECOND,
    columns: dict[str, Sequence[int]] | None = None,
    **costs: Any,
) -> Outcome:
    """Replay packets on a host whose steps are free, but for `costs`.

    `service` is every packet's, or one each; `columns` are more of the workload's arrays.
    """
    count = len(arrivals)
    services = [service] * count if isinstance(service, int) else service
    arrays = {name: np.array(values, np.int64) for name, values in (columns or {}).items()}
    workload = Workload(
        np.array(arrivals, np.int64), np.array(services, np.int64), duration, **arrays
    )
    host = replace(ZERO_COST, **{"ring": 16_384, **costs})
    return check(workload, policy, host, topology)


def check(
    workload: Workload, policy: Policy | list[Policy], host: Host, topology: Topology
) -> Outcome:
    """Return the outcome that both give."""
    policies = [policy] if isinstance(policy, Policy) else policy
    fast = replay_general(workload, policies, host, topology, times=True, causes=True)
    assert_same(fast, replay_naively(workload, policy, host, topology))
    assert_lawful(fast, workload, policies, topology)
    return fast


def assert_same(fast: Outcome, slow: Outcome) -> None:
    for field in dataclasses.fields(Outcome):
        if field.name not in ("times", "poll_sizes", "queues"):
            assert getattr(fast, field.name) == getattr(slow, field.name), field.name
    assert padded(fast.poll_sizes) == padded(slow.poll_sizes)
    for name in ("arrival", "delivered", "started", "done"):
        assert getattr(fast.times, name).tolist() == getattr(slow.times, name).tolist(), name


def padded(sizes: Any) -> list[int]:
    """Without zeros at the end: the engines keep different lengths."""
    return np.trim_zeros(sizes, "b").tolist()


def assert_lawful(
    outcome: Outcome, workload: Workload, policies: list[Policy], topology: Topology
) -> None:
    """What holds on every island."""
    times, causes = outcome.times, outcome.causes
    assert times is not None
    assert causes is not None
    assert outcome.packets == outcome.delivered + outcome.dropped + outcome.left
    assert outcome.cpu.total == outcome.duration_ns * len(topology.cpu_domain)
    assert min(dataclasses.astuple(outcome.cpu)) >= 0
    assert outcome.polls == outcome.poll_sizes.sum()
    assert outcome.polls_empty == outcome.poll_sizes[0]
    assert outcome.served == outcome.latency.count <= outcome.requests <= outcome.packets
    assert outcome.tx_packets == outcome.served
    assert outcome.irqs_no_work <= min(outcome.irqs, outcome.polls_empty)
    seen, started, done = times.delivered >= 0, times.started >= 0, times.done >= 0
    assert (times.arrival[seen] <= times.delivered[seen]).all()
    assert (times.delivered[started] <= times.started[started]).all()
    assert (times.started[done] + workload.service_ns[done] <= times.done[done]).all()
    assert outcome.served == done.sum()
    latency = times.done[done] - times.arrival[done]
    assert causes.by_latency.sum() == latency.sum()
    assert (causes.counts.sum(axis=1) == outcome.served).all()
    assert causes.by_latency.min() >= 0
    for number, part in enumerate(outcome.queues):
        here = (0 if workload.queue is None else workload.queue) == number
        assert (part.packets, part.delivered + part.dropped + part.left) == (
            np.count_nonzero(here & (times.arrival >= 0)),
            part.packets,
        )
        mine = here & done
        assert part.latency == Histogram.of((times.done - times.arrival)[mine])
    first = topology.policy_of(0, policies)
    if not (first.busy_polls or first.busy_read_usecs):
        assert outcome.busy_polls == 0
    if not first.prefer_busy_poll:
        assert outcome.resumes == 0


def delivered(outcome: Outcome) -> list[int]:
    assert outcome.times is not None
    return outcome.times.delivered.tolist()


def started(outcome: Outcome) -> list[int]:
    assert outcome.times is not None
    return outcome.times.started.tolist()


def done(outcome: Outcome) -> list[int]:
    assert outcome.times is not None
    return outcome.times.done.tolist()


def took(outcome: Outcome) -> list[int]:
    """How long each request was served, from its start to its transmission."""
    assert outcome.times is not None
    return (outcome.times.done - outcome.times.started).tolist()


def why(outcome: Outcome) -> dict[str, int]:
    """The causes that all requests together waited for, ns."""
    assert outcome.causes is not None
    return {cause: ns for cause, ns in outcome.causes.totals.items() if ns}
