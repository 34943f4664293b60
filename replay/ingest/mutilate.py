"""mutilate's output (and that of its descendants, mcperf for one): a table of latencies in us."""

from __future__ import annotations

import re

from replay.errors import TraceError
from replay.ingest.client import (
    PERCENTILES,
    UNCORRECTED,
    ClientRun,
    checked,
    number,
    percentile_of,
)

#: The first line of a table, by which the output is known.
HEADER = re.compile(r"^[ \t]*#type\s+avg\b.*$", re.MULTILINE)

_TOTAL = re.compile(r"^\s*Total QPS = ([^ ]+) \((\d+) / ([\d.]+)s\)", re.MULTILINE)
_SWAN = re.compile(r"^\s*Swan latency for percentile ([\d.]+): ([^ \n]+)", re.MULTILINE)
_TROUBLE = re.compile(r"^\s*(Misses|Skipped TXs) = ([1-9]\d{0,17})\b", re.MULTILINE)


def read_mutilate(where: str, text: str) -> list[ClientRun]:
    """Return the runs that `text` tells of: one a table, or one a line of --scan.

    Latencies are those of reads, or of updates where nothing was read. Raises TraceError where a
    table is cut or damaged.
    """
    starts = [match.start() for match in HEADER.finditer(text)]
    if not starts:
        raise TraceError(f"{where}: no table of mutilate: a line '#type avg ...' is expected")
    runs: list[ClientRun] = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        runs += _table(where, text[start:end])
    return runs


def _table(where: str, text: str) -> list[ClientRun]:
    """Return the runs of one table and what follows it."""
    lines = text.splitlines()
    names = lines[0].split()
    rows = [line.split() for line in lines[1:] if line.split()[:1] in (["read"], ["update"])]
    if not rows:
        raise TraceError(f"{where}: cut: its table holds no line of reads or updates")
    for row in rows:
        if len(row) != len(names):
            raise TraceError(
                f"{where}: cut: a line of {len(row)} values under {len(names)} names: {row[0]}"
            )
    if "target" in names:
        return [_scanned(where, names, row) for row in rows]
    total = _TOTAL.search(text)
    if total is None:
        raise TraceError(f"{where}: cut: no line 'Total QPS = ...' follows its table")
    busy = [row for row in rows if any(number(where, it, row[0]) for it in row[1:])]
    if not busy:
        raise TraceError(f"{where}: no latency was measured: all of its table is 0")
    kinds = [row[0] for row in busy]
    metrics = {
        "requests": number(where, total[1], "Total QPS"),
        **_latencies(where, names, busy[0]),
    }
    for share, value in _SWAN.findall(text):
        metric = PERCENTILES.get(number(where, share, "a percentile"))
        if metric:
            metrics[metric] = number(where, value, metric)
    notes = [f"{what}: {int(count):,}" for what, count in _TROUBLE.findall(text)]
    if len(kinds) > 1:
        notes.append("latencies are those of reads; updates have their own and are left out")
    seconds = number(where, total[3], "the run's time")
    return [checked(where, ClientRun(metrics, _method(kinds[0]), None, seconds, notes))]


def _scanned(where: str, names: list[str], row: list[str]) -> ClientRun:
    """Return a line of --scan: a run that names its own rate."""
    values = dict(zip(names, row, strict=True))
    metrics = {"requests": number(where, values["QPS"], "QPS"), **_latencies(where, names, row)}
    target = number(where, values["target"], "target")
    return checked(where, ClientRun(metrics, _method(row[0]), target))


def _latencies(where: str, names: list[str], row: list[str]) -> dict[str, float]:
    found = {}
    for name, text in zip(names, row, strict=True):
        metric = "latency_mean" if name == "avg" else PERCENTILES.get(percentile_of(name) or 0)
        if metric:
            found[metric] = number(where, text, f"{row[0]} {name}")
    return found


def _method(kind: str) -> str:
    return f"mutilate, {kind}s: {UNCORRECTED}"
