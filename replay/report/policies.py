"""Policies and their settings as a text table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from replay.policy import Policy, parse_policy
from replay.report.align import aligned


def policy_table(names: Sequence[str]) -> str:
    """Return a line a policy, a column a setting under its key for `--policy NAME:key=value`."""
    settings = [field for field in fields(Policy) if field.name != "name"]
    lines = [["policy", *(setting.name.replace("_", "-") for setting in settings)]]
    for name in names:
        policy = parse_policy(name)
        lines.append([name, *(_text(getattr(policy, setting.name)) for setting in settings)])
    return aligned(lines, [True, *(False for _ in settings)])


def _text(value: int | bool | None) -> str:
    """Return a setting's value: as recorded where it is None."""
    if value is None:
        return "recorded"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
