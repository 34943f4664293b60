"""An inspection as text tables, Markdown or JSON."""

from __future__ import annotations

import json as _json
from collections.abc import Callable

from replay.errors import ReplayError
from replay.inspection import Inspection, Section
from replay.report.align import aligned
from replay.report.cells import NOTHING

#: How a key's ending is written in a head.
_UNITS = {"_per_s": "/s", "_pct": "%", "_us": " µs", "_s": " s", "_ns": " ns"}


def table(inspection: Inspection) -> str:
    """Return a text table a section, under `#` lines that say what it is of."""
    text = f"# trace     {inspection.trace}\n"
    text += "".join(f"# {name:<9} {about}\n" for name, about in inspection.about.items())
    for section in inspection.sections:
        lines = [[_head(key) for key in section.rows[0]], *_cells(section)]
        left = [isinstance(value, str) for value in section.rows[0].values()]
        text += f"\n# {section.title}\n{aligned(lines, left)}"
    return text


def markdown(inspection: Inspection) -> str:
    """Return a Markdown table a section."""
    lines = [f"- **trace**: {inspection.trace}"]
    lines += [f"- **{name}**: {about}" for name, about in inspection.about.items()]
    for section in inspection.sections:
        first = section.rows[0]
        lines += ["", f"**{section.title}**", ""]
        lines.append(f"| {' | '.join(_head(key) for key in first)} |")
        sides = [":--" if isinstance(value, str) else "--:" for value in first.values()]
        lines.append(f"| {' | '.join(sides)} |")
        lines += [f"| {' | '.join(cells)} |" for cells in _cells(section)]
    return "\n".join(lines) + "\n"


def json(inspection: Inspection) -> str:
    """Return everything, unrounded: an object whose keys are the sections' names."""
    return _json.dumps(inspection.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Inspection], str]] = {"table": table, "json": json, "md": markdown}


def inspection_report(name: str) -> Callable[[Inspection], str]:
    """Return the report of that format. Raises ReplayError where there is none."""
    if name not in FORMATS:
        raise ReplayError(f"format = {name!r} is none of {', '.join(FORMATS)}")
    return FORMATS[name]


def _head(key: str) -> str:
    """Return a key as a column's head."""
    for ending, unit in _UNITS.items():
        if key.endswith(ending):
            return key.removesuffix(ending).replace("_", " ") + unit
    return key.replace("_", " ")


def _cells(section: Section) -> list[list[str]]:
    return [[_text(value) for value in row.values()] for row in section.rows]


def _text(value: object) -> str:
    """Return a figure with three digits, whole numbers with thousands marked."""
    if value is None:
        return NOTHING
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if abs(value) >= 99.95 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.3g}"
