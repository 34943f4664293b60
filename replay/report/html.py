"""A result as one page with charts that needs no network."""

from __future__ import annotations

import os

from replay.errors import ReplayError
from replay.files import write_whole
from replay.report.cause_chart import cause_chart
from replay.report.charts import (
    cpu_chart,
    latency_chart,
    poll_sizes_chart,
    rates_chart,
    style,
)
from replay.report.page import Chart, page
from replay.result import Result

CHARTS = (
    (
        "latency",
        "Latency",
        "Each line is a replay; the axis stretches the tail, each nine as wide as the one before."
        " Circles with bars were measured: the median and the middle half of the repetitions.",
        latency_chart,
    ),
    (
        "rates",
        "Interrupts and polls",
        "Filled bars are replayed, pale ones measured with the middle half of the repetitions.",
        rates_chart,
    ),
    (
        "polls",
        "Poll sizes",
        "Of the polls that found packets, the share that found so many.",
        poll_sizes_chart,
    ),
    (
        "cpu",
        "CPU time",
        "What remains to 100 % is idle. What was measured is told apart as far as it was counted.",
        cpu_chart,
    ),
)

#: On the page, after the latency, where causes were asked for.
CAUSES = (
    "causes",
    "Why requests waited",
    "The mean latency of all requests, and of those in the tail, in parts that sum to it. Only rows"
    " that keep up: where a backlog grows, a latency says how long the run was.",
    cause_chart,
)


def write_page(path: str | os.PathLike[str], result: Result) -> None:
    """Write the page to `path`, completely or not at all.

    Raises ReplayError where the path cannot be written, or the extra `report` is not installed.
    """
    write_whole(path, html(result))


def html(result: Result) -> str:
    """Return the page. Raises ReplayError where the extra `report` is not installed."""
    try:
        import vl_convert
    except ImportError:
        raise ReplayError(
            "a page without a network needs vl-convert-python: pip install 'replay[report]'"
        ) from None
    library: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    charts = []
    asked = (CHARTS[0], CAUSES, *CHARTS[1:]) if result.explained else CHARTS
    for place, title, about, chart in asked:
        spec = chart(result).configure(**style()).to_dict()
        del spec["$schema"]  # the name of the format, but it reads like an address
        charts.append(Chart(place, title, about, spec))
    return page(result, charts, library)
