"""The output of wrk and wrk2: a distribution of latencies, each number with its unit."""

from __future__ import annotations

import re

from replay.errors import TraceError
from replay.ingest.client import CORRECTED, PERCENTILES, UNCORRECTED, ClientRun, checked, number
from replay.units import MICROSECOND, MILLISECOND, SECOND

#: Lines by which the output is known.
HEADER = re.compile(r"^[ \t]*(Running .+ test @ |Thread Stats\s+Avg\s)", re.MULTILINE)

_US = {
    unit: size / MICROSECOND
    for unit, size in {
        "us": MICROSECOND,
        "ms": MILLISECOND,
        "s": SECOND,
        "m": 60 * SECOND,
        "h": 3600 * SECOND,
    }.items()
}
_TIME = r"(-?nan|[\d.]+)(us|ms|s|m|h)?"
_STATS = re.compile(
    r"^[ \t]*Thread Stats +(\S+) +(\S+) +(\S+).*\n[ \t]*Latency +(.*)$", re.MULTILINE
)
_SHARE = re.compile(rf"^[ \t]*(\d+(?:\.\d+)?)%[ \t]+{_TIME}[ \t]*$", re.MULTILINE)
#: A line of wrk2's detailed spectrum: value in ms, share, requests so far.
_SPECTRUM = re.compile(r"^[ \t]*([\d.]+)[ \t]+(0\.95)0000[ \t]+\d+[ \t]", re.MULTILINE)
_SERVED = re.compile(
    r"^[ \t]*(?:Completed )?Requests/sec(?: \(Throughput\))?:\s*(\S+)", re.MULTILINE
)
_SENT = re.compile(r"^[ \t]*Sent Requests/sec \(Load\):\s*(\S+)", re.MULTILINE)
_LASTED = re.compile(rf"^[ \t]*\d+ (?:completed )?requests in {_TIME},", re.MULTILINE)
_TROUBLE = re.compile(r"^[ \t]*(Socket errors: .*|Non-2xx or 3xx responses: .*)$", re.MULTILINE)


def read_wrk(where: str, text: str) -> list[ClientRun]:
    """Return the runs that `text` tells of. Raises TraceError where one is cut or damaged."""
    starts = [match.start() for match in re.finditer(r"^[ \t]*Running ", text, re.MULTILINE)] or [0]
    ends = [*starts[1:], len(text)]
    return [_run(where, text[start:end]) for start, end in zip(starts, ends, strict=True)]


def _run(where: str, text: str) -> ClientRun:
    served = _SERVED.search(text)
    if served is None:
        raise TraceError(f"{where}: cut: no line 'Requests/sec:' ends wrk's output")
    metrics = {"requests": number(where, served[1], "Requests/sec"), **_summary(text)}
    # wrk2 -U adds the latencies that a client which waits would have seen: not what users had.
    corrected = text.split("Latency Distribution (HdrHistogram - Uncorrected")[0]
    for share, value, unit in _SHARE.findall(corrected):
        metric = PERCENTILES.get(float(share))
        if metric and unit:
            metrics[metric] = number(where, value, metric) * _US[unit]
    middle = _SPECTRUM.search(corrected)
    if middle:
        metrics["latency_p95"] = number(where, middle[1], "latency_p95") * _US["ms"]
    two = "HdrHistogram" in text or "Thread calibration:" in text
    sent, lasted = _SENT.search(text), _LASTED.search(text)
    return checked(
        where,
        ClientRun(
            metrics,
            f"wrk2: {CORRECTED}" if two else f"wrk, a closed loop: {UNCORRECTED}",
            number(where, sent[1], "Sent Requests/sec") if sent else None,
            number(where, lasted[1], "the run's time") * _US[lasted[2]] / 1e6
            if lasted and lasted[2]
            else None,
            [" ".join(line.split()) for line in _TROUBLE.findall(text)],
        ),
    )


def _summary(text: str) -> dict[str, float]:
    """Return what the line of thread statistics says of latencies."""
    stats = _STATS.search(text)
    found: dict[str, float] = {}
    if stats is None:
        return found
    for name, value in zip((stats[1], stats[2], stats[3]), stats[4].split(), strict=False):
        metric = {"Avg": "latency_mean", "Max": "latency_max", "99%": "latency_p99"}.get(name)
        match = re.fullmatch(_TIME, value)
        if metric and match and match[2] and "nan" not in match[1]:
            found[metric] = float(match[1]) * _US[match[2]]
    return found
