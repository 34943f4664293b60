"""A host's constants as a text table, each with its spread and the number of its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from replay.host import Host
from replay.report.align import aligned
from replay.report.cells import NOTHING, signed


def host_table(host: Host) -> str:
    """Return the constants a line each, those that were measured with quartiles and source."""
    lines = [["constant", "value", "q1", "q3", "samples", "source"]]
    for field in fields(Host):
        if field.name in ("name", "about", "costs"):
            continue
        cost = host.costs.get(field.name)
        spread = ["", "", "", ""]
        if cost is not None:
            spread = [f"{cost.q1:,.0f}", f"{cost.q3:,.0f}", f"{cost.samples:,}", cost.source]
        lines.append([field.name, _text(getattr(host, field.name)), *spread])
    head = f"# {host.name}" + (f" ({host.about})" if host.about else "") + "\n"
    return head + aligned(lines, [True, False, False, False, False, True])


def _text(value: int | bool | str | tuple[tuple[int, int], ...]) -> str:
    """Return a value: C-states as residency/latency."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return " ".join(f"{residency}/{latency}" for residency, latency in value) or "none"
    return value


def held_out_table(errors: Mapping[str, Mapping[str, float]]) -> str:
    """Return the errors of cells that a fit did not see, a line a cell; nothing without any."""
    if not errors:
        return ""
    metrics = list(dict.fromkeys(metric for of_cell in errors.values() for metric in of_cell))
    lines = [["cell", *metrics]]
    for cell, found in errors.items():
        lines.append([cell, *(signed(found[it]) if it in found else NOTHING for it in metrics)])
    told = "\n# held out: each cell predicted from a fit of all others, error\n"
    return told + aligned(lines, [True, *(False for _ in metrics)])
