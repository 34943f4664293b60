"""A host as TOML text: what `replay calibrate` writes and a person may edit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from replay.errors import PolicyError, nearest
from replay.files import write_whole
from replay.host.model import Cost, Host, range_of
from replay.policy.model import CHOICES
from replay.toml_file import read_toml
from replay.units import NEVER

_FIELDS = {field.name: field for field in fields(Host) if field.name != "costs"}
_NEEDED = [name for name, field in _FIELDS.items() if field.default is MISSING]
#: What can have a spread: times.
_TIMES = [name for name in _FIELDS if name.endswith("_ns") or name == "cstates"]
_TYPES = {"int": int, "str": str, "bool": bool}
_COST_TYPES: dict[str, tuple[type, ...]] = {
    "q1": (int, float),
    "q3": (int, float),
    "samples": (int,),
    "source": (str,),
}


def write_host(path: str | os.PathLike[str], host: Host) -> None:
    """Write `host` to `path`, completely or not at all. Raises ReplayError on a full disk."""
    write_whole(path, host_text(host))


def host_text(host: Host) -> str:
    """Return the TOML text of `host`: a key a line, each cost's spread in a table of its own."""
    lines = [f"{name} = {json.dumps(getattr(host, name))}" for name in _FIELDS]
    for name, cost in sorted(host.costs.items()):
        lines += ["", f"[costs.{name}]"]
        lines += [f"{key} = {json.dumps(getattr(cost, key))}" for key in _COST_TYPES]
        if cost.together:
            lines += ["", f"[costs.{name}.together]"]
            lines += [f"{other} = {json.dumps(value)}" for other, value in cost.together.items()]
    return "\n".join(lines) + "\n"


def read_host(path: str | os.PathLike[str]) -> Host:
    """Read a host from TOML. Raises PolicyError naming the key where it cannot be used."""
    return read_toml(path, _host)


def _host(values: dict[str, Any]) -> Host:
    """Return the host that the tables of a file say."""
    costs = values.pop("costs", {})
    for key, value in values.items():
        if key not in _FIELDS:
            raise PolicyError(f"unknown key {key!r}{nearest(key, _FIELDS)}")
        if key == "cstates":
            values[key] = _cstates(value)
        elif key in CHOICES:
            _check_type(key, value, str, f"one of {', '.join(CHOICES[key])}")
        else:
            kind = _TYPES[str(_FIELDS[key].type)]
            low, high, unit = range_of(key)
            told = {
                int: f"a whole number from {low} to {high} {unit}",
                str: "text in quotes",
                bool: "true or false",
            }
            _check_type(key, value, kind, told[kind])
    missing = [key for key in _NEEDED if key not in values]
    if missing:
        raise PolicyError(f"lacks {', '.join(missing)}")
    host = Host(**values, costs=_costs(costs))
    _check_reposts(host)
    return host


def _check_type(key: str, value: object, kind: type, told: str) -> None:
    """Raise PolicyError where `value` is not of `kind`; a bool is no int."""
    if type(value) is not kind:
        raise PolicyError(f"{key} = {value!r} is not {told}")


def _cstates(value: object) -> tuple[tuple[int, int], ...]:
    """Read the C-states: an array of pairs of whole numbers; `Host` checks their range."""
    pairs: list[Any] = value if isinstance(value, list) else [value]
    for pair in pairs:
        if not isinstance(pair, list) or [type(time) for time in pair] != [int, int]:
            raise PolicyError(
                f"cstates: {pair!r} is no pair of whole numbers, [target residency, exit latency]"
                " in ns"
            )
    return tuple((pair[0], pair[1]) for pair in pairs)


def _costs(tables: object) -> dict[str, Cost]:
    """Read the [costs.NAME] tables."""
    if not isinstance(tables, Mapping):
        raise PolicyError("costs is no table: [costs.NAME] is expected")
    return {name: _cost(name, table) for name, table in tables.items()}


def _cost(name: str, table: Any) -> Cost:
    """Read one [costs.NAME] table."""
    if name not in _TIMES:
        raise PolicyError(f"[costs.{name}]: unknown key {name!r}{nearest(name, _TIMES)}")
    if not isinstance(table, Mapping):
        raise PolicyError(f"costs.{name} is no table: [costs.{name}] is expected")
    together = _together(name, table.get("together", {}))
    for key in table:
        if key not in _COST_TYPES and key != "together":
            known = nearest(str(key), _COST_TYPES)
            raise PolicyError(f"[costs.{name}]: unknown key {key!r}{known}")
    missing = [key for key in _COST_TYPES if key not in table]
    if missing:
        raise PolicyError(f"[costs.{name}]: lacks {', '.join(missing)}")
    for key, kinds in _COST_TYPES.items():
        value = table[key]
        if type(value) not in kinds:
            told = "text in quotes" if kinds == (str,) else "a number of 0 or more"
            raise PolicyError(f"[costs.{name}]: {key} = {value!r} is not {told}")
        if key != "source" and not 0 <= value <= NEVER:
            raise PolicyError(f"[costs.{name}]: {key} = {value!r} is outside 0 to {NEVER}")
    return Cost(**{**table, "together": together})


def _together(name: str, table: Any) -> dict[str, float]:
    """Read the correlations of a [costs.NAME] table."""
    if not isinstance(table, Mapping):
        raise PolicyError(f"[costs.{name}]: together is no table of correlations")
    for other, value in table.items():
        where = f"[costs.{name}.together]: {other}"
        if other not in _TIMES:
            raise PolicyError(f"{where}: unknown key{nearest(other, _TIMES)}")
        if type(value) not in (int, float) or not -1 <= value <= 1:
            raise PolicyError(f"{where} = {value!r} is outside -1 to 1")
    return {other: float(value) for other, value in table.items()}


def _check_reposts(host: Host) -> None:
    """Raise PolicyError where no descriptor would ever come back."""
    meanwhile = 1 <= host.repost_every <= host.ring
    if not meanwhile and not 0 <= host.repost_above < host.ring:
        raise PolicyError(
            f"repost_every = {host.repost_every} and repost_above = {host.repost_above}: no"
            f" descriptor of {host.ring} ever comes back; repost_every is 1 to {host.ring} packets,"
            f" or repost_above 0 to {host.ring - 1}"
        )
