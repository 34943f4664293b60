"""Run by test_hooks.py in a process of its own: the engine and the reference, under REPLAY_HOOKS.

Its argument is the number of examples. It prints what of the hooks was reached.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from replay.engine.general.island import replay_general
from replay.host import Host
from replay.policy import Policy
from tests.engine.test_island import assert_equal
from tests.naive import replay_naively
from tests.strategies import topologies, wide_hosts, wide_policies, wide_workloads

NEVER, LONGEST = 1 << 62, 60 * 10**9
reached: Counter[str] = Counter()


def plain_hooks(path: Path) -> SimpleNamespace:
    """The file's functions as Python runs them, and the bounds that the engine promises."""
    own = {
        "interrupt_at": lambda first_ns, armed_ns, last_ns: first_ns,
        "after_poll": lambda timeout_ns, work, count: timeout_ns,
        "found_nothing": lambda spun_ns: 0,
    }
    kernel = dict(own)
    exec(compile(path.read_text(), str(path), "exec"), own)

    def bounded(name: str, given: list[int], low: int, high: int) -> int:
        answer = own[name](*map(int, given))
        reached[name] += answer != kernel[name](*given)
        return min(max(answer, low), high)

    return SimpleNamespace(
        INTERRUPTS=own["interrupt_at"] is not kernel["interrupt_at"],
        interrupt_at=lambda first, armed, last: bounded(
            "interrupt_at", [first, armed, last], armed, NEVER
        ),
        after_poll=lambda timeout, work, count: bounded(
            "after_poll", [timeout, work, count], 0, LONGEST
        ),
        found_nothing=lambda spun: bounded("found_nothing", [spun], 0, LONGEST),
    )


HOOKS = plain_hooks(Path(os.environ["REPLAY_HOOKS"]))


@settings(
    max_examples=int(sys.argv[1]),
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.data(), wide_policies(), wide_policies(), wide_hosts())
def equals_the_reference(data: st.DataObject, first: Policy, second: Policy, host: Host) -> None:
    topology = data.draw(topologies())
    workload = data.draw(wide_workloads(topology))
    policies = [replace(first, hooked=True), replace(second, hooked=data.draw(st.booleans()))]
    fast = replay_general(workload, policies, host, topology, times=True, causes=False)
    assert_equal(fast, replay_naively(workload, policies, host, topology, HOOKS))


equals_the_reference()
print(*sorted(name for name in reached if reached[name]))
