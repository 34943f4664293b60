"""What a recording did not see, as its manifest says it: the entry `holes`.

A list of {"cause", "share", "affects"}: in plain words what is missing, which share of it (0 to 1;
null where nobody can say), and what that makes less certain. Whoever reads a recording or a capture
puts one entry a cause there; `replay whatif` shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from replay.errors import TraceError

if TYPE_CHECKING:
    from replay.trace.bundle import Trace

#: Shares of what is missing from which on confidence is lowered, and from which on it is low.
LOWERED, LOW = 0.01, 0.1


@dataclass(frozen=True)
class Hole:
    """One thing that a recording lacks."""

    cause: str  # what is missing: "records lost", "only one direction was captured"
    share: float | None  # of it, 0 to 1; None: not known
    affects: str  # what is less certain: "service times", "arrivals"

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as a manifest holds it."""
        return asdict(self)

    def __str__(self) -> str:
        share = "" if self.share is None else f"{100 * self.share:.3g}% of "
        return f"{share}{self.cause} ({self.affects} less certain)"


def holes_of(trace: Trace) -> list[Hole]:
    """Return what a bundle's recording lacks. Raises TraceError where its manifest is malformed."""
    found = trace.manifest.get("holes") or []
    if not isinstance(found, list):
        raise TraceError(f"{trace.name}: manifest.json: holes = {found!r} is no list")
    return [_hole(trace, entry) for entry in found]


def confidence(holes: Iterable[Hole]) -> str:
    """Return `full`, `lowered` or `low`: by the largest share that is missing.

    A share that is not known counts as LOWERED.
    """
    worst = max((LOWERED if it.share is None else it.share for it in holes), default=0.0)
    return "low" if worst >= LOW else "lowered" if worst >= LOWERED else "full"


def _hole(trace: Trace, entry: object) -> Hole:
    """Read one entry."""
    if isinstance(entry, Mapping):
        cause, share, affects = (entry.get(name) for name in ("cause", "share", "affects"))
        number = isinstance(share, int | float) and not isinstance(share, bool)
        right = share is None or (number and 0 <= share <= 1)
        if isinstance(cause, str) and isinstance(affects, str) and right:
            return Hole(cause, share, affects)
    raise TraceError(
        f"{trace.name}: manifest.json: holes: {entry!r} is no cause, share (0 to 1) and affects"
    )
