"""What can be asked: the named policies, the keys that change them, and the NICs, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from replay.host.nics import NICS, nic_settings
from replay.policy import Policy, parse_policy
from replay.policy.keys import DEFAULTS, KEYS, MEANINGS, settings_of, text_of, values_of
from replay.policy.presets import about
from replay.report.align import aligned

#: What stands where all is as usual.
NOTHING = "-"


def policy_list(names: Sequence[str]) -> str:
    """Return tables with empty lines between: policies and settings, keys, NICs and settings."""
    policies = [about_table(names), settings_table(names)]
    return "\n".join([*policies, key_table(), about_nic_table(), nic_table()])


def about_table(names: Sequence[str]) -> str:
    """Return a line a policy: what it is."""
    return aligned([("policy", "what it is"), *((name, about(name)) for name in names)], [True] * 2)


def settings_table(names: Sequence[str]) -> str:
    """Return a line a policy: the settings that make it, as `--policy base:key=value` takes them.

    Costs, in brackets, come with the preset alone.
    """
    lines = [("policy", "its settings, where not the usual ones")]
    lines += [(name, _settings(parse_policy(name))) for name in names]
    return aligned(lines, [True, True])


def key_table() -> str:
    """Return a line a key of `--policy NAME:key=value`: values, the usual one, meaning."""
    lines = [("key", "values", "usual", "what it sets")]
    lines += [
        (key, values_of(name), text_of(name, DEFAULTS[name]), MEANINGS[name])
        for key, name in KEYS.items()
    ]
    return aligned(lines, [True] * 4)


def about_nic_table() -> str:
    """Return a line a NIC of `--nic`: what it is."""
    lines = [("nic", "what it is"), *((name, nic.about) for name, nic in NICS.items())]
    return aligned(lines, [True, True])


def nic_table() -> str:
    """Return a line a NIC: the settings of a host that it replaces."""
    lines = [("nic", "its driver's settings, where not those of a NIC that does nothing")]
    lines += [(name, _words(nic_settings(nic))) for name, nic in NICS.items()]
    return aligned(lines, [True, True])


def _settings(policy: Policy) -> str:
    """Return a policy's settings that are not the usual ones."""
    told = _words(settings_of(policy))
    if policy.costs != "host":
        told += f" (costs: {policy.costs})"
    return told or NOTHING


def _words(settings: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items())
