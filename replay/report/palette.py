"""Colours, dashes and fonts of the charts: safe for the colour-blind, dark enough on white."""

from __future__ import annotations

from replay.result import PARTS, Result

#: After Okabe and Ito, without yellow, the sky blue darkened: distinct for all three kinds of
#: colour-blindness. The first is for the measured policy.
COLOURS = ("#1a1a1a", "#0072b2", "#d55e00", "#007a5a", "#b0508c", "#8a6d00", "#4a90c2", "#6b4fa0")
BOUND = "#8c8c8c"

#: Of a latency's parts: grey lies outside the host, its own time is pale, what waits is not.
PART_COLOURS = dict(
    zip(
        PARTS,
        (
            "#bdbdbd",
            "#d55e00",
            "#e69f00",
            "#6b4fa0",
            "#007a5a",
            "#56b4e9",
            "#0072b2",
            "#ead9b8",
        ),
        strict=True,
    )
)

INK, FAINT, RULE = "#1a1a1a", "#5a5a5a", "#dcdcdc"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def colours(result: Result) -> dict[str, str]:
    """Return each policy's colour, in the order of the rows; the bound is grey."""
    bounds = {row.policy for row in result.rows if row.kind == "bound"}
    names = list(dict.fromkeys(row.policy for row in result.rows))
    replayed = [name for name in names if name not in bounds]
    chosen = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(replayed)}
    return {name: chosen.get(name, BOUND) for name in names}


def dashes(result: Result) -> dict[str, list[int]]:
    """Return each policy's dash: whole lines, then a pattern for each time the colours come round.

    The bound is dotted.
    """
    bounds = {row.policy for row in result.rows if row.kind == "bound"}
    patterns = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3])
    replayed = [name for name in colours(result) if name not in bounds]
    chosen = {name: patterns[i // len(COLOURS) % len(patterns)] for i, name in enumerate(replayed)}
    return {name: chosen.get(name, [2, 4]) for name in colours(result)}
