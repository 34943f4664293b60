"""What a bundle holds, counted: the verb behind `replay inspect`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from replay.inspection.arrivals import arrivals
from replay.inspection.cpus import cpus
from replay.inspection.flows import flows
from replay.inspection.polls import polls
from replay.inspection.section import Figures, Section
from replay.trace.bundle import Trace, open_trace
from replay.trace.holes import confidence, holes_of
from replay.units import SECOND

__all__ = ["Inspection", "Section", "inspect"]

#: Gaps that have a row of their own.
_MOST_GAPS = 20


@dataclass(frozen=True)
class Inspection:
    """A bundle's facts and its sections, those left out of which nothing was recorded."""

    trace: str
    about: dict[str, str]
    sections: tuple[Section, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it: the sections by name, a list of rows each."""
        rows = {section.name: section.rows for section in self.sections}
        return {"trace": self.trace, "about": self.about, **rows}


def inspect(trace: Trace | str | os.PathLike[str]) -> Inspection:
    """Count what `trace` holds. Raises TraceError where it cannot be read."""
    trace = trace if isinstance(trace, Trace) else open_trace(trace)
    found = [
        *arrivals(trace),
        *flows(trace),
        *polls(trace),
        *cpus(trace),
        _holes(trace),
        _gaps(trace),
    ]
    return Inspection(trace.name, _about(trace), tuple(it for it in found if it.rows))


def _about(trace: Trace) -> dict[str, str]:
    """Return what the manifest says of the recording, in words."""
    said = trace.manifest
    host = said.get("host")
    host = host if isinstance(host, dict) else {}
    policy = said.get("policy")
    policy = policy.get("name") if isinstance(policy, dict) else policy
    known = {
        "host": ", ".join(str(host[it]) for it in ("kernel", "cpu", "nic") if host.get(it)),
        "policy": policy,
        "arrivals": said.get("loop"),
        "device": said.get("device"),
        "clock": said.get("clock"),
        "measured": _measured(trace),
    }
    return {name: str(value) for name, value in known.items() if value}


def _measured(trace: Trace) -> str:
    """Return how many policies were measured, and at which rates."""
    if not trace.outcomes.num_rows:
        return ""
    policies = trace.outcomes["policy"].unique().to_pylist()
    rates = sorted({round(rate) for rate in trace.outcomes["offered_per_s"].to_pylist()})
    return (
        f"{len(policies)} {'policy' if len(policies) == 1 else 'policies'} at"
        f" {', '.join(f'{rate:,}' for rate in rates)} requests/s"
    )


def _holes(trace: Trace) -> Section:
    """Return what is missing, how much of it, and what that makes less certain."""
    found = holes_of(trace)
    rows = [
        {
            "missing": hole.cause,
            "share_pct": None if hole.share is None else 100 * hole.share,
            "less_certain": hole.affects,
        }
        for hole in found
    ]
    return Section("holes", f"holes: confidence in a replay is {confidence(found)}", rows)


def _gaps(trace: Trace) -> Section:
    """Return what was lost, and where: a row a gap, the last one for all gaps beyond the first."""
    sources = trace.manifest.get("sources") or []
    names = [str(it.get("name")) for it in sources if isinstance(it, dict)]
    table = trace.gaps
    rows = [_gap(gap, names) for gap in table.slice(0, _MOST_GAPS).to_pylist()]
    rest = table.slice(_MOST_GAPS)
    if rest.num_rows:
        start, end, lost = (
            rest[name].drop_null().to_numpy() for name in ("start_ns", "end_ns", "lost")
        )
        whole = {
            "cause": f"{rest.num_rows:,} more",
            "source": None,
            "start_ns": int(start.min()) if len(start) else None,
            "end_ns": int(end.max()) if len(end) else None,
            "lost": int(lost.sum()) if len(lost) else None,
        }
        rows.append(_gap(whole, names))
    return Section("gaps", "gaps: where the recording lacks something", rows)


def _gap(gap: dict[str, Any], names: list[str]) -> Figures:
    """Return one row; `names` are those of the bundle's sources."""
    source = gap["source"]
    known = source is not None and source < len(names)
    return {
        "cause": gap["cause"],
        "source": names[source] if known else None,
        "from_s": _seconds(gap["start_ns"]),
        "to_s": _seconds(gap["end_ns"]),
        "lost": gap["lost"],
    }


def _seconds(time_ns: int | None) -> float | None:
    return None if time_ns is None else time_ns / SECOND
