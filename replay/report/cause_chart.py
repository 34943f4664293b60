"""A chart of why requests waited: each row's latency in parts, on average and in the tail."""

from __future__ import annotations

from typing import Any

import altair as alt

from replay.report.cells import label, microseconds
from replay.report.chart_data import Records, whole_rows
from replay.report.charts import BAR, WIDTH, inline, row_axis, tips
from replay.report.palette import INK, PART_COLOURS
from replay.result import PARTS, Numbers, Result, Row


def cause_records(result: Result, *, tail: bool) -> Records:
    """Return the parts of each row's latency, us: of all requests, or of the tail."""
    records: Records = []
    for row in explained_rows(result):
        parts: Numbers | None = row.tail_causes if tail else row.causes
        told = {part: us for part, us in (parts or {}).items() if us is not None}
        total = sum(told.values())
        for order, (part, us) in enumerate(told.items()):
            whose = f"requests from {row.tail_begins} on" if tail else "all requests"
            about = {"row": label(row), "whose": whose, "part": part, "order": order}
            share = f"{100 * us / total:.1f}%" if total else ""
            records.append({**about, "us": us, "text": microseconds(us), "share": share})
    return records


def cause_totals(records: Records) -> Records:
    """Return the end of each row's bar and its number."""
    ends: dict[str, float] = {}
    for record in records:
        ends[record["row"]] = ends.get(record["row"], 0.0) + record["us"]
    return [{"row": row, "us": us, "text": microseconds(us)} for row, us in ends.items()]


def explained_rows(result: Result) -> list[Row]:
    """Return the rows of all queues together that have causes and keep up."""
    rows = whole_rows(result)
    return [row for row in rows if row.causes is not None and row.verdict == "ok"]


def cause_chart(result: Result) -> Any:
    """Return a bar a row, stacked by part, in two panels: all requests and the tail."""
    order = [label(row) for row in explained_rows(result)]
    parts = alt.Scale(domain=list(PARTS), range=[PART_COLOURS[part] for part in PARTS])
    panels = []
    for tail, title in ((False, "all requests, mean µs"), (True, "the tail, mean µs")):
        records = cause_records(result, tail=tail)
        # A row without a tail keeps its place: the second panel has no names of its own.
        lines = alt.Scale(domain=order)
        axis = None if tail else row_axis()
        rows = alt.Y("row:N", sort=order, scale=lines, title=None, axis=axis)
        bars = (
            alt.Chart(inline(records))
            .mark_bar(height=BAR - 8)
            .encode(
                x=alt.X("us:Q", title=None, axis=alt.Axis(format=",~r", tickCount=4)),
                y=rows,
                color=alt.Color(
                    "part:N",
                    title=None,
                    sort=list(PARTS),
                    scale=parts,
                    legend=alt.Legend(orient="top"),
                ),
                order="order:Q",
                tooltip=tips(row="row", whose="of", part="part", text="µs", share="share"),
            )
        )
        numbers = (
            alt.Chart(inline(cause_totals(records)))
            .mark_text(align="left", dx=6, color=INK, fontSize=11)
            .encode(x="us:Q", y=rows, text="text:N")
        )
        panels.append(
            (bars + numbers).properties(title=title, width=(WIDTH - 60) / 2, height=alt.Step(BAR))
        )
    return alt.hconcat(*panels, spacing=44)
