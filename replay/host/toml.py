"""A host as TOML text: what `replay calibrate` writes and a person may edit."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from replay.errors import PolicyError, nearest
from replay.files import write_whole
from replay.host.model import Cost, Host

_FIELDS = {field.name: field for field in fields(Host) if field.name != "costs"}
_TYPES = {"int": int, "str": str, "bool": bool}


def write_host(path: str | os.PathLike[str], host: Host) -> None:
    """Write `host` to `path`, completely or not at all. Raises ReplayError on a full disk."""
    write_whole(path, host_text(host))


def host_text(host: Host) -> str:
    """Return the TOML text of `host`: a key a line, each cost's spread in a table of its own."""
    lines = [f"{name} = {json.dumps(getattr(host, name))}" for name in _FIELDS]
    for name, cost in sorted(host.costs.items()):
        lines += ["", f"[costs.{name}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in asdict(cost).items()]
    return "\n".join(lines) + "\n"


def read_host(path: str | os.PathLike[str]) -> Host:
    """Read a host from TOML. Raises PolicyError naming the key where it cannot be used."""
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: not TOML: {error}") from None
    costs = values.pop("costs", {})
    for key, value in values.items():
        if key not in _FIELDS:
            raise PolicyError(f"{path}: unknown key {key!r}{nearest(key, _FIELDS)}")
        expected = _TYPES[str(_FIELDS[key].type)]
        if type(value) is not expected:
            raise PolicyError(f"{path}: {key} = {value!r} is not of type {expected.__name__}")
    try:
        return Host(**values, costs=_costs(costs))
    except TypeError as error:
        missing = [name for name in _FIELDS if f"'{name}'" in str(error)]
        raise PolicyError(f"{path}: lacks {', '.join(missing) or error}") from None


def _costs(tables: Any) -> dict[str, Cost]:
    """Read the [costs.NAME] tables."""
    if not isinstance(tables, dict):
        raise TypeError("'costs'")
    return {name: Cost(**table) for name, table in tables.items()}
