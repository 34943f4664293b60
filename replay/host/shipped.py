"""Hosts that come with the project, by name: what a person may say instead of a file."""

from __future__ import annotations

import os
from importlib.resources import as_file, files

from replay.host.model import GENERIC, Host
from replay.host.toml import read_host


def shipped_names() -> list[str]:
    """Return the names of the hosts that come with the project."""
    profiles = files("replay.host").joinpath("profiles").iterdir()
    found = [it.name.removesuffix(".toml") for it in profiles if it.name.endswith(".toml")]
    return sorted([*found, GENERIC.name])


def host_of(given: str | os.PathLike[str]) -> Host:
    """Return the shipped host of that name, else the one in the file. Raises PolicyError."""
    name = os.fspath(given)
    if name == GENERIC.name:
        return GENERIC
    if name in shipped_names():
        with as_file(files("replay.host").joinpath("profiles", f"{name}.toml")) as path:
            return read_host(path)
    return read_host(given)
