from __future__ import annotations

from dataclasses import replace

import numpy as np

from replay.engine import Workload, replay_island
from replay.host.model import ZERO_COST
from replay.policy import Policy
from replay.report.timeline import timeline
from replay.units import MICROSECOND


def test_without_busy_polling_the_thread_is_in_epoll_wait() -> None:
    """It wakes for 2 us and goes to sleep for 3; the poll takes 8, the request 4."""
    costs = {"irq_ns": 1, "poll_ns": 8, "wake_ns": 2, "sleep_ns": 3}
    host = replace(ZERO_COST, **{name: us * MICROSECOND for name, us in costs.items()})
    arrival, service = np.array([10 * MICROSECOND]), np.array([4 * MICROSECOND])
    ends = range(MICROSECOND, 40 * MICROSECOND, MICROSECOND)
    found = [replay_island(Workload(arrival, service, end), Policy("base"), host) for end in ends]
    assert [(kind, begin // 1000, end // 1000) for kind, begin, end in timeline(found)] == [
        ("irq", 10, 11),
        ("softirq poll", 11, 19),
        ("epoll_wait", 19, 21),
        ("app", 21, 25),
        ("epoll_wait", 25, 28),
    ]


def test_too_few_outcomes_have_no_spans() -> None:
    workload = Workload(np.array([0]), np.array([0]), MICROSECOND)
    assert timeline([]) == timeline([replay_island(workload, Policy("base"), ZERO_COST)]) == []
