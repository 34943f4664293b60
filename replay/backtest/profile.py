"""The bench's own file: its clients and network, and by how much the model misses its figures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any

from replay.backtest.cell import FIGURES, policy_of
from replay.backtest.client import Client
from replay.errors import PolicyError
from replay.files import write_whole
from replay.toml_file import read_toml

#: Where the NIC's adaptive moderation decides when a poll begins, the model misses by more than
#: where timers or busy polls do.
MODERATED, TIMED = "moderated", "timed"

#: The most that is believed of it: a logarithm.
MOST_MISSED = 100

_TIMES = ("base_us", "jitter_us", "extra_us", "tail_us", "stall_us")


@dataclass(frozen=True)
class Profile:
    """Clients, and the factor that the model misses a figure by: one deviation of its logarithm."""

    client: Client
    missed: Mapping[str, Mapping[str, float]]  # by kind of policy: by figure
    about: str = ""

    def missed_of(self, policy: str) -> Mapping[str, float]:
        """Return what figures of a policy are missed by."""
        return self.missed[kind_of(policy)]


def kind_of(policy: str) -> str:
    """Return MODERATED where device interrupts begin the polls of a policy, else TIMED."""
    return TIMED if policy_of(policy).defer_hard_irqs else MODERATED


def shipped_profile() -> Profile:
    """Return the profile that comes with the project."""
    with as_file(files("replay.backtest").joinpath("published.toml")) as path:
        return read_profile(path)


def write_profile(path: str | os.PathLike[str], profile: Profile) -> None:
    """Write `profile` as TOML, completely or not at all."""
    client = profile.client
    lines = [f"about = {json.dumps(profile.about)}"]
    lines += [f"{name} = {getattr(client, name):.4g}" for name in _TIMES]
    lines += ["", "[late]"]
    lines += [f"{load} = {share:.4g}" for load, share in sorted(client.late.items())]
    for kind, of_figure in profile.missed.items():
        lines += ["", f"[missed.{kind}]"]
        lines += [f"{name} = {value:.4g}" for name, value in of_figure.items()]
    write_whole(path, "\n".join(lines) + "\n")


def read_profile(path: str | os.PathLike[str]) -> Profile:
    """Read a profile. Raises PolicyError naming the key where it cannot be used."""
    return read_toml(path, _profile)


def _profile(tables: dict[str, Any]) -> Profile:
    """Return the profile that the tables of a file say."""
    about = tables.pop("about", "")
    if not isinstance(about, str):
        raise PolicyError(f"about = {about!r} is no text in quotes")
    _check_names("", tables, (*_TIMES, "late", "missed"))
    late = _table("late", tables["late"])
    for load in late:
        if not (load.isascii() and load.isdigit()) or not 0 < len(load) < 10:
            raise PolicyError(f"[late]: {load!r} is no number of queries/s")
    if not late:
        raise PolicyError("late is empty: a share at a load is needed")
    shares = _numbers("late", late, tuple(late), 1)
    times = _numbers("the file", {name: tables[name] for name in _TIMES}, _TIMES)
    missed = _table("missed", tables["missed"])
    _check_names("missed", missed, (MODERATED, TIMED))
    client = Client(**times, late={int(load): share for load, share in shares.items()})
    kinds = {
        kind: _numbers(f"missed.{kind}", table, FIGURES, MOST_MISSED)
        for kind, table in missed.items()
    }
    return Profile(client, kinds, about)


def _table(name: str, table: object) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise PolicyError(f"{name} is no table")
    return table


def _check_names(where: str, table: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Raise PolicyError unless a table has these names and no others."""
    told = f"[{where}]: " if where else ""
    for name in table:
        if name not in names:
            raise PolicyError(f"{told}unknown key {name!r}: known are {', '.join(names)}")
    missing = [name for name in names if name not in table]
    if missing:
        raise PolicyError(f"{told}lacks {', '.join(missing)}")


def _numbers(
    where: str, table: object, names: tuple[str, ...], most: int = 10_000
) -> dict[str, float]:
    """Return a table of numbers from 0 to `most` with these names."""
    found = _table(where, table)
    _check_names(where, found, names)
    for name, value in found.items():
        if type(value) not in (int, float) or not 0 <= value <= most:
            raise PolicyError(f"[{where}]: {name} = {value!r} is outside 0 to {most}")
    return {name: float(value) for name, value in found.items()}
