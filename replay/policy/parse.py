"""Policies from text: `NAME` or `NAME:key=value,...`, one a NIC with `+` between them."""

from __future__ import annotations

from dataclasses import replace

from replay.errors import PolicyError, nearest
from replay.policy.keys import KEYS, field_of, values_of
from replay.policy.model import CHOICES, RANGES, Policy
from replay.policy.presets import KNOWN_NAMES, preset
from replay.units import parse_duration

_FLAGS = {"on": True, "off": False, "1": True, "0": False, "true": True, "false": False}


def parse_policies(text: str) -> tuple[Policy, ...]:
    """Return the policies that `text` names: NIC 0's, then after each `+` the next NIC's.

    `base:weight=64+base:weight=16` is two, `suspend20` is one. Raises PolicyError.
    """
    policies = tuple(parse_policy(part.strip()) for part in text.split("+"))
    kinds = sorted({policy.costs for policy in policies})
    if len(kinds) > 1:
        raise PolicyError(
            f"policy {text!r}: NICs of one host have one kind of costs, not {', '.join(kinds)}"
        )
    return policies


def parse_policy(text: str) -> Policy:
    """Return the policy that `text` names. Durations take ns (bare), us, ms, s.

    Raises PolicyError with the nearest name, or the range and unit, where it cannot.
    """
    name, _, settings = text.partition(":")
    policy = preset(name)
    if policy is None:
        raise PolicyError(
            f"unknown policy {name!r}{nearest(name, KNOWN_NAMES)}"
            f" ({', '.join(KNOWN_NAMES)}; deferX and suspendX take any X in us)"
        )
    if not settings:
        return policy
    changes: dict[str, int | bool | str] = {}
    for setting in settings.split(","):
        key, equals, value = setting.partition("=")
        key = key.strip()
        field = field_of(key)
        if field is None:
            raise PolicyError(
                f"policy {text!r}: unknown key {key!r}{nearest(key, KEYS)}"
                f" (keys: {', '.join(KEYS)})"
            )
        if not equals:
            raise PolicyError(
                f"policy {text!r}: {key} lacks its value: {key}=..., {values_of(field)}"
            )
        if field in changes:
            raise PolicyError(f"policy {text!r}: {key} is set twice")
        changes[field] = _value(text, key, field, value.strip())
    return replace(policy, name=text, **changes)  # type: ignore[arg-type]


def _value(text: str, key: str, field: str, value: str) -> int | bool | str:
    """Read one setting's value: a word, a flag, a duration or a whole number."""
    if field in CHOICES:
        if value not in CHOICES[field]:
            raise PolicyError(
                f"policy {text!r}: {key} = {value!r} is none of {', '.join(CHOICES[field])}"
                f"{nearest(value, CHOICES[field])}"
            )
        return value
    if field not in RANGES:
        if value.lower() not in _FLAGS:
            raise PolicyError(f"policy {text!r}: {key} is on or off, not {value!r}")
        return _FLAGS[value.lower()]
    low, high, _ = RANGES[field]
    try:
        timed = field.endswith("_ns") and value != "-1"
        number = parse_duration(value) if timed else int(value)
    except (ValueError, PolicyError):
        raise PolicyError(
            f"policy {text!r}: {key} = {value!r} is no number from {values_of(field)}"
        ) from None
    if not low <= number <= high:
        raise PolicyError(f"policy {text!r}: {key} = {value} is outside {values_of(field)}")
    return number
