"""Charts of a result: latency, interrupts and polls, poll sizes, CPU time.

Lines and filled bars are replayed; points and outlined bars, with the middle half of the
repetitions, were measured.
"""

from __future__ import annotations

import json
from typing import Any

import altair as alt

from replay.report.cells import label
from replay.report.chart_data import (
    CPU_NAMES,
    RATES,
    UNTOLD,
    cpu,
    latency_curves,
    latency_points,
    poll_sizes,
    rates,
    whole_rows,
)
from replay.report.palette import FAINT, FONT, INK, RULE, colours, dashes
from replay.result import Result

#: Of one chart, and of a bar or a line of the heat map, in pixels.
WIDTH, BAR = 800, 22

#: Ticks of the percentile axis, 1 / (1 - q), and their names.
TICKS = {
    1: "0%",
    2: "50%",
    10: "90%",
    20: "95%",
    100: "99%",
    1000: "99.9%",
    10_000: "99.99%",
    100_000: "99.999%",
}

CPU_COLOURS = {
    **dict(
        zip(
            CPU_NAMES.values(), ("#d55e00", "#e69f00", "#56b4e9", "#0072b2", "#b0508c"), strict=True
        )
    ),
    UNTOLD: "#9aa0a6",
}


def latency_chart(result: Result) -> Any:
    """Return latency over its percentile, a line a replayed policy, both axes logarithmic."""
    colour, dash = colours(result), dashes(result)
    names = list(colour)
    paint = alt.Scale(domain=names, range=list(colour.values()))
    pattern = alt.Scale(domain=names, range=[dash[name] for name in names])
    chosen = alt.selection_point(fields=["policy"], bind="legend")
    axis = alt.Axis(
        values=list(TICKS),
        labelExpr=f"({json.dumps(TICKS)})[toString(datum.value)]",
        title="percentile of requests, on the scale 1 / (1 - q)",
    )
    base = alt.Chart().encode(
        x=alt.X("tail:Q", scale=alt.Scale(type="log", nice=False), axis=axis),
        y=alt.Y(
            "us:Q",
            title="latency, µs",
            scale=alt.Scale(type="log", nice=False, padding=10),
            axis=alt.Axis(format=",~r", tickCount=6),
        ),
        opacity=alt.condition(chosen, alt.value(1.0), alt.value(0.1)),
    )
    lines = base.properties(data=inline(latency_curves(result)))
    points = base.properties(data=inline(latency_points(result)))
    legend = alt.Legend(
        title=["policy", "(click to single out)"],
        symbolType="stroke",
        symbolSize=300,
        symbolStrokeWidth=3,
    )
    colouring = alt.Color("policy:N", scale=paint, sort=names, legend=legend)
    return (
        alt.layer(
            lines.mark_line(strokeWidth=2.2).encode(
                color=colouring,
                strokeDash=alt.StrokeDash("policy:N", scale=pattern, sort=names, legend=legend),
                detail="row:N",
                tooltip=tips(row="replayed", percentile="percentile", text="latency, µs"),
            ),
            points.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q", color=colouring),
            points.mark_point(size=75, fill="white", strokeWidth=2.2, opacity=1).encode(
                color=colouring,
                tooltip=tips(
                    row="measured",
                    percentile="percentile",
                    text="median, µs",
                    interval="middle half, µs",
                ),
            ),
        )
        .add_params(chosen)
        .properties(width=WIDTH, height=400)
    )


def rates_chart(result: Result) -> Any:
    """Return interrupts and polls per second, a panel a counter and a bar a row."""
    order = [label(row) for row in whole_rows(result)]
    colour = colours(result)
    scale = alt.Scale(domain=list(colour), range=list(colour.values()))
    panels = []
    for number, (counter, title) in enumerate(RATES.items()):
        base = alt.Chart(inline(rates(result, counter))).encode(
            y=alt.Y("row:N", sort=order, title=None, axis=None if number else row_axis()),
        )
        bars = base.mark_bar(height=BAR - 8, strokeWidth=1.5).encode(
            x=alt.X("value:Q", title=None, axis=alt.Axis(format="~s", tickCount=3)),
            stroke=alt.Stroke("policy:N", scale=scale, legend=None),
            fill=alt.Fill("policy:N", scale=scale, legend=None),
            fillOpacity=alt.condition("datum.kind == 'measured'", alt.value(0.2), alt.value(0.85)),
            tooltip=tips(row="row", text=title),
        )
        spread = base.mark_rule(strokeWidth=2, color=INK).encode(x="low:Q", x2="high:Q")
        numbers = base.mark_text(align="left", dx=6, color=INK, fontSize=11).encode(
            x="end:Q", text="text:N"
        )
        panels.append(
            (bars + spread + numbers).properties(
                title=title, width=(WIDTH - 120) / len(RATES), height=alt.Step(BAR)
            )
        )
    return alt.hconcat(*panels, spacing=34)


def poll_sizes_chart(result: Result) -> Any:
    """Return the share of polls by the packets that they found, a line a replayed row."""
    records = poll_sizes(result)
    order = list(dict.fromkeys(record["row"] for record in records))
    sizes = list(dict.fromkeys(record["size"] for record in records))
    shade = alt.Scale(domain=[0, 100], range=["#f7f9fb", "#08519c"])
    base = alt.Chart(inline(records)).encode(
        x=alt.X(
            "size:N",
            sort=sizes,
            title="packets of a poll",
            axis=alt.Axis(labelAngle=0, orient="top"),
        ),
        y=alt.Y("row:N", sort=order, title=None, axis=row_axis()),
    )
    tiles = base.mark_rect(stroke="white", strokeWidth=2).encode(
        color=alt.Color("percent:Q", scale=shade, legend=None),
        tooltip=tips(row="replayed", size="packets of a poll", text="share of polls with packets"),
    )
    numbers = base.mark_text(fontSize=11).encode(
        text="text:N",
        color=alt.condition("datum.percent > 50", alt.value("white"), alt.value(INK)),
    )
    return (tiles + numbers).properties(width=WIDTH, height=alt.Step(BAR + 2))


def cpu_chart(result: Result) -> Any:
    """Return each row's CPU time by kind of work; what remains is idle."""
    order = [label(row) for row in whole_rows(result)]
    records = cpu(result)
    seen = {record["work"] for record in records}
    works = [work for work in CPU_COLOURS if work in seen or work != CPU_NAMES["other"]]
    return (
        alt.Chart(inline(records))
        .mark_bar(height=BAR - 8)
        .encode(
            x=alt.X(
                "percent:Q",
                title="% of the CPU time",
                scale=alt.Scale(domain=[0, 100]),
                axis=alt.Axis(tickCount=5),
            ),
            y=alt.Y("row:N", sort=order, title=None, axis=row_axis()),
            color=alt.Color(
                "work:N",
                title=None,
                sort=works,
                scale=alt.Scale(domain=works, range=[CPU_COLOURS[work] for work in works]),
                legend=alt.Legend(orient="top"),
            ),
            order="order:Q",
            tooltip=tips(row="row", work="work", text="% of the CPU time"),
        )
        .properties(width=WIDTH, height=alt.Step(BAR))
    )


def style() -> dict[str, Any]:
    """Return the configuration that all charts share."""
    axis = {
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "gridColor": RULE,
        "domainColor": FAINT,
        "tickColor": FAINT,
        "labelLimit": 260,
    }
    words = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "font": FONT,
        "background": "white",
        "view": {"stroke": None},
        "axis": axis,
        "legend": {**words, "titleFontWeight": "normal", "labelLimit": 260},
        "title": {"color": INK, "fontSize": 12, "fontWeight": "normal", "anchor": "start"},
    }


def row_axis() -> Any:
    """Return the axis of rows: labels without ticks."""
    return alt.Axis(ticks=False, domain=False, labelPadding=8, labelLimit=260)


def tips(**titles: str) -> list[Any]:
    """Return a tooltip's lines: field and title."""
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]


def inline(records: list[dict[str, Any]]) -> Any:
    """Return records as a chart's data."""
    return alt.InlineData(values=records)
