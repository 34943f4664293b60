"""memtier_benchmark's output, as text and as JSON (--json-out-file): totals, latencies in ms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from replay.errors import TraceError
from replay.ingest.client import (
    PERCENTILES,
    UNCORRECTED,
    ClientRun,
    checked,
    number,
    percentile_of,
)

#: The line above the totals, by which the text is known.
HEADER = re.compile(r"^[ \t]*Type\s+Ops/sec\s.*$", re.MULTILINE)

_SECTION = re.compile(
    r"^[ \t]*(ALL STATS|RUN #\d+ RESULTS|BEST RUN RESULTS|WORST RUN RESULTS"
    r"|AGGREGATED AVERAGE RESULTS \(\d+ runs\))[ \t]*$",
    re.MULTILINE,
)
_US = 1_000.0
_METHOD = f"memtier_benchmark, a closed loop: {UNCORRECTED}"
_AVERAGED = f"{_METHOD}, averaged by it over {{}} runs"


def is_memtier(document: Any) -> bool:
    """Whether a JSON document is memtier_benchmark's."""
    return isinstance(document, Mapping) and bool(_chosen(list(document)))


def read_memtier(where: str, text: str) -> list[ClientRun]:
    """Return the runs of the text's tables: each run's, or their average where it is all there is.

    Raises TraceError where a table is cut or damaged.
    """
    parts = _SECTION.split(text)
    titled = dict(zip(parts[1::2], parts[2::2], strict=True)) or {"ALL STATS": text}
    runs = []
    for title in _chosen(list(titled)):
        header = HEADER.search(titled[title])
        total = re.search(r"^[ \t]*Totals\s.*$", titled[title], re.MULTILINE)
        if header is None or total is None:
            raise TraceError(f"{where}: cut: {title} has no line of totals")
        names = re.split(r"\s{2,}", header[0].strip())
        values = total[0].split()
        if len(names) != len(values):
            raise TraceError(f"{where}: cut: {len(values)} totals under {len(names)} names")
        metrics = {}
        for name, value in zip(names, values, strict=True):
            metric = _metric(name.removesuffix(" Latency"))
            if metric and value != "---":
                scale = 1.0 if metric == "requests" else _US
                metrics[metric] = number(where, value, f"{title}: {name}") * scale
        runs.append(checked(where, ClientRun(metrics, _method(title))))
    return runs


def read_memtier_json(where: str, document: Mapping[str, Any]) -> list[ClientRun]:
    """Return the runs of a JSON document: each run's, or their average where it is all there is.

    Raises TraceError where something is missing or no number.
    """
    runs = []
    for title in _chosen(list(document)):
        section = document[title]
        totals = section.get("Totals") if isinstance(section, Mapping) else None
        if not isinstance(totals, Mapping) or "Ops/sec" not in totals:
            raise TraceError(f"{where}: {title} has no Totals with Ops/sec")
        shares = totals.get("Percentile Latencies")
        listed = {**totals, **(shares if isinstance(shares, Mapping) else {})}
        metrics = {}
        for name, value in listed.items():
            metric = _metric(name.removesuffix(" Latency"))
            if metric and not isinstance(value, Mapping):
                scale = 1.0 if metric == "requests" else _US
                metrics[metric] = number(where, str(value), f"{title}: {name}") * scale
        runtime = section.get("Runtime")
        lasted = runtime.get("Total duration") if isinstance(runtime, Mapping) else None
        seconds = None if lasted is None else number(where, str(lasted), "its duration") / 1e3
        runs.append(checked(where, ClientRun(metrics, _method(title), None, seconds)))
    return runs


def _chosen(titles: list[str]) -> list[str]:
    """Return the sections to read: single runs rather than what was made of them."""
    single = [title for title in titles if title == "ALL STATS" or title.startswith("RUN #")]
    return single or [title for title in titles if title.startswith("AGGREGATED AVERAGE")][:1]


def _metric(name: str) -> str | None:
    """Return the metric of a column or key, its ending ` Latency` taken off."""
    fixed = {
        "Ops/sec": "requests",
        "Latency": "latency_mean",
        "Avg.": "latency_mean",
        "Average": "latency_mean",
        "Max": "latency_max",
    }
    return fixed.get(name) or PERCENTILES.get(percentile_of(name) or 0)


def _method(title: str) -> str:
    averaged = re.search(r"\((\d+) runs\)", title)
    return _AVERAGED.format(averaged[1]) if averaged else _METHOD
