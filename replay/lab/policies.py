"""Which policies can be put on the bench: three settings of a NAPI, three of epoll instances."""

from __future__ import annotations

from dataclasses import fields, replace

from replay.errors import PolicyError
from replay.policy import Policy, parse_policy

#: The policies of the published benchmark that the bench measures.
POLICIES = (
    *("base", "defer20", "defer50", "defer200"),
    *("suspend0", "suspend20", "suspend50", "suspend200"),
    *("napibusy", "fullbusy"),
)
_SETTABLE = {
    *("name", "defer_hard_irqs", "gro_flush_timeout_ns", "irq_suspend_timeout_ns"),
    *("busy_poll_usecs", "busy_poll_budget", "prefer_busy_poll"),
}


def on_the_bench(name: str) -> Policy:
    """Return the policy of that name as it runs there: the server blocks in epoll_wait.

    So fullbusy differs from the published one, whose server polls on after 1 ms. Raises PolicyError
    for a policy with settings that the bench's device and server do not have.
    """
    policy = replace(parse_policy(name), epoll_timeout_ns=-1)
    plain = Policy(name)
    for field in fields(Policy):
        given = getattr(policy, field.name)
        if field.name not in _SETTABLE and given != getattr(plain, field.name):
            raise PolicyError(
                f"policy {name!r}: the bench cannot set {field.name.replace('_', '-')};"
                " its policies set gro-flush-timeout, defer-hard-irqs, irq-suspend-timeout and"
                " busy polling of epoll"
            )
    return policy
