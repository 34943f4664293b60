"""What a load generator says of one run: the latencies its client saw, and the rate served."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from replay.errors import TraceError

#: Longest text of a client, a snapshot or a tool that is read, bytes.
LONGEST_TEXT = 64 << 20

#: Metrics of the outcomes table, by the share of requests that were at most so slow, in percent.
PERCENTILES = {
    50.0: "latency_p50",
    90.0: "latency_p90",
    95.0: "latency_p95",
    99.0: "latency_p99",
    99.9: "latency_p99.9",
    99.99: "latency_p99.99",
    100.0: "latency_max",
}

CORRECTED = "latency from the intended send (coordinated omission corrected)"
UNCORRECTED = "latency from the actual send (coordinated omission not corrected)"

#: Longest latency that is believed: a day, in microseconds.
_LONGEST_US = 86_400e6
_HIGHEST_RATE = 1e12


@dataclass(frozen=True)
class ClientRun:
    """One run of a load generator."""

    metrics: dict[str, float]  # of METRICS: requests served a second, latencies in us
    method: str  # how it was measured
    offered_per_s: float | None = None  # requests a second that it meant to send; None: not said
    seconds: float | None = None  # how long it ran
    notes: list[str] = field(default_factory=list)  # what people should know: errors, misses


def checked(where: str, run: ClientRun) -> ClientRun:
    """Return `run`. Raises TraceError where a value is out of range, or nothing was served."""
    for name, value in run.metrics.items():
        high = _HIGHEST_RATE if name == "requests" else _LONGEST_US
        if not math.isfinite(value) or not 0 <= value <= high:
            raise TraceError(f"{where}: {name} = {value:g} is outside 0 to {high:g}")
    if not run.metrics.get("requests"):
        raise TraceError(f"{where}: no request was served: there is nothing to compare with")
    return run


def number(where: str, text: str, what: str) -> float:
    """Return a number of a tool's output. Raises TraceError, saying what it should be."""
    try:
        return float(text)
    except ValueError:
        raise TraceError(f"{where}: {what} is {text[:40]!r}, not a number") from None


def percentile_of(name: str) -> float | None:
    """Return the percentage that a name means: 99th, p99, p99.90, 99.900, p999; else None."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:st|nd|rd|th)|p(\d+(?:\.\d+)?)|(\d+\.\d+)", name)
    if match is None:
        return None
    text = match[1] or match[2] or match[3]
    if "." in text or len(text) <= 2 or text == "100":
        return float(text)
    return float(f"{text[:2]}.{text[2:]}")  # mcperf leaves the point out: p999 is 99.9
