"""The page around the charts: its style, its order, and the rule that forbids it any network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from replay.report.page_table import page_table
from replay.report.palette import FAINT, FONT, INK, RULE
from replay.result import Result

#: The page may run its own script and style, and fetch nothing.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline';"
    " img-src data: blob:"
)

STYLE = f"""
:root {{ color-scheme: light; }}
body {{ margin: 0 auto; max-width: 1400px; padding: 28px 24px 60px; background: white;
  color: {INK}; font: 14px/1.5 {FONT}; }}
h1 {{ font-size: 24px; margin: 0 0 8px; font-weight: 650; }}
h2 {{ font-size: 17px; margin: 44px 0 2px; font-weight: 650; }}
p {{ margin: 2px 0 12px; color: {FAINT}; max-width: 860px; }}
dl {{ display: grid; grid-template-columns: max-content auto; gap: 1px 14px; margin: 0 0 18px; }}
dt {{ color: {FAINT}; }} dd {{ margin: 0; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap;
  font-size: 12.5px; width: 100%; }}
th {{ font-weight: 600; text-align: right; padding: 3px 5px; vertical-align: bottom; }}
td {{ text-align: right; padding: 5px 5px; vertical-align: top; border-top: 1px solid {RULE}; }}
th.left, td.left {{ text-align: left; }}
tr.group th {{ color: {FAINT}; font-weight: 400; text-align: center; }}
tr.group th[colspan] {{ border-bottom: 1px solid {RULE}; }}
tr.measured td {{ background: #f3f6f9; }}
tr.bound td, tr.queue td {{ color: {FAINT}; }}
small {{ display: block; font-size: 11px; color: {FAINT}; line-height: 1.25; }}
small.far {{ color: #a34700; font-weight: 600; }}
.kind {{ font-size: 11px; border: 1px solid currentColor; border-radius: 3px; padding: 0 4px;
  margin-left: 5px; color: {FAINT}; }}
.saturated {{ color: #a34700; font-weight: 600; }}
ul {{ margin: 4px 0; padding-left: 20px; color: {FAINT}; max-width: 900px; }}
.chart {{ overflow-x: auto; }} .chart details {{ display: none; }}
"""

#: Draws each chart in its place.
DRAW = """
for (const [place, spec] of Object.entries(JSON.parse(document.getElementById("charts").text)))
  vegaEmbed("#" + place, spec, { mode: "vega-lite", renderer: "svg", actions: false });
"""


class Chart(NamedTuple):
    """One chart of the page: its place, title, a sentence on how to read it, and its spec."""

    place: str
    title: str
    about: str
    spec: Mapping[str, Any]


def page(result: Result, charts: Sequence[Chart], library: str) -> str:
    """Return the whole page. `library` is the JavaScript that defines vegaEmbed."""
    specs = {chart.place: chart.spec for chart in charts}
    head = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(about)}</dd>" for name, about in result.about.items()
    )
    sections = "".join(
        f"<h2>{escape(chart.title)}</h2><p>{escape(chart.about)}</p>"
        f'<div class="chart"><div id="{chart.place}"></div></div>\n'
        for chart in charts
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(result.trace)}: what if</title>
<style>{STYLE}</style>
</head>
<body>
<h1>What if {escape(result.trace)} had run another policy?</h1>
<dl>{head}</dl>
<div class="scroll">{page_table(result)}</div>
<p>Small figures: under a measured value the middle half of its repetitions, under a replayed one
its error against the measured value.</p>
{sections}
<h2>Assumptions</h2>
<ul>{notes}</ul>
<script>{library}</script>
<script type="application/json" id="charts">{_inert(json.dumps(specs, sort_keys=True))}</script>
<script>{DRAW}</script>
</body>
</html>
"""


def _inert(text: str) -> str:
    """Keep a name that is inside JSON from ending the script that holds it."""
    return text.replace("<", "\\u003c")
