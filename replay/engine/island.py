"""An island, from its packets to its outcome: by the loop that is tightest for it."""

from __future__ import annotations

from collections.abc import Sequence

from replay.engine.common import replay_common
from replay.engine.outcome import Outcome
from replay.engine.topology import SINGLE, Topology
from replay.engine.workload import Workload
from replay.host import Host, arming_ns, costs_of
from replay.policy import Policy


def replay_island(
    workload: Workload,
    policy: Policy | Sequence[Policy],
    host: Host,
    topology: Topology = SINGLE,
    *,
    times: bool = False,
    causes: bool = False,
) -> Outcome:
    """Replay `workload` on `host`, its queues, CPUs and workers as `topology` lays them out.

    `policy` is every NIC's, or one policy a NIC; the first queue's is also that of threads,
    softirqs and application.
    With `times`, keep each packet's times; with `causes`, why each request waited.
    Equal inputs give equal outcomes. Releases the GIL while it runs. Raises PolicyError.
    """
    policies = [policy] if isinstance(policy, Policy) else list(policy)
    first = topology.policy_of(0, policies)
    found = costs_of(first, host)
    if topology.single and is_common(first, found):
        return replay_common(workload, first, found, times=times, causes=causes)
    from replay.engine.general import replay_general  # compiles a lot: only where it is needed

    return replay_general(workload, policies, host, topology, times=times, causes=causes)


def is_common(policy: Policy, host: Host) -> bool:
    """Whether one queue, CPU and worker under this policy have only what the common loop knows."""
    threaded = host.threaded if policy.threaded is None else policy.threaded
    timeout = policy.gro_flush_timeout_ns
    return (
        (policy.coalescing or host.coalescing) == "timer"
        and (policy.adaptive or host.adaptive) == "off"
        and not (threaded and (policy.napi_thread or host.napi_thread) != "fifo")
        and not policy.busy_read_usecs
        and not policy.max_events
        and policy.epoll_timeout_ns != 0
        and not policy.hooked
        and not host.tx_completions
        and (host.repost_every, host.extra_irq) == (1, False)
        and not (host.cold_ns or host.stale_ns or host.interrupted_ns or host.cstates)
        and not (host.background_ns and host.background_period_ns)
        and (not timeout or timeout >= arming_ns(host, timeout))  # none expires while it is armed
    )
