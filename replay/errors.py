"""What a user did that cannot be done, in one line: what, where, and the valid range."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ReplayError(Exception):
    """A problem with the user's input, said in one line; the command line exits with status 2."""

    exit_code = 2


class TraceError(ReplayError):
    """A bundle or a capture that is missing, cut, foreign or newer than this program."""


class PolicyError(ReplayError):
    """A policy, host or layout whose name or value cannot be used."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the known name nearest to `name`, or an empty string."""
    found = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""
