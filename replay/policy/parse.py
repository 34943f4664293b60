"""A policy from text: `NAME` or `NAME:key=value,...`, for example `defer20:rx-usecs=8`."""

from __future__ import annotations

from dataclasses import fields, replace

from replay.errors import PolicyError, nearest
from replay.policy.model import RANGES, Policy
from replay.policy.presets import KNOWN_NAMES, preset
from replay.units import parse_duration

_FLAGS = {"on": True, "off": False, "1": True, "0": False, "true": True, "false": False}
_KEYS = {field.name.removesuffix("_ns"): field.name for field in fields(Policy)}
del _KEYS["name"]


def parse_policy(text: str) -> Policy:
    """Return the policy that `text` names. Durations take ns (bare), us, ms, s.

    Raises PolicyError with the nearest name, or the range and unit, where it cannot.
    """
    name, _, settings = text.partition(":")
    policy = preset(name)
    if policy is None:
        raise PolicyError(
            f"unknown policy {name!r}{nearest(name, KNOWN_NAMES)}"
            f" (base, deferX, suspendX with X in us, napibusy, fullbusy)"
        )
    if not settings:
        return policy
    changes: dict[str, int | bool] = {}
    for setting in settings.split(","):
        key, equals, value = setting.partition("=")
        field = _KEYS.get(key.strip().replace("-", "_").removesuffix("_ns"))
        if field is None or not equals:
            keys = [known.replace("_", "-") for known in _KEYS]
            raise PolicyError(
                f"policy {text!r}: {setting!r} is no key=value{nearest(key, keys)}"
                f" (keys: {', '.join(keys)})"
            )
        changes[field] = _value(text, field, value.strip())
    return replace(policy, name=text, **changes)  # type: ignore[arg-type]


def _value(text: str, field: str, value: str) -> int | bool:
    """Read one setting's value: a flag, a duration or a whole number."""
    if field in ("prefer_busy_poll", "threaded"):
        if value.lower() not in _FLAGS:
            raise PolicyError(f"policy {text!r}: {field} is on or off, not {value!r}")
        return _FLAGS[value.lower()]
    low, high, unit = RANGES[field]
    try:
        if field.endswith("_ns") and value != "-1":
            return parse_duration(value)
        return int(value)
    except (ValueError, PolicyError):
        raise PolicyError(
            f"policy {text!r}: {field} = {value!r} is no number from {low} to {high} {unit}"
        ) from None
