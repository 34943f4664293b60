"""What was measured: rows from a bundle's outcomes table, and the error of a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from replay.arrivals import Offered, requests_of
from replay.errors import PolicyError, TraceError
from replay.host import Host
from replay.policy import Policy, parse_policy
from replay.result import COUNTERS, CPU_WORK, LATENCIES, Row, Verdict
from replay.summary import UNANSWERED
from replay.trace.bundle import Trace
from replay.trace.facts import number
from replay.units import SECOND

#: A load was measured where its offered rate differs from the one asked for by less than this.
SAME_RATE = 0.02

ARRIVAL_TO_TRANSMIT = "arrival to transmit"


@dataclass(frozen=True)
class Spread:
    """One metric over the repetitions."""

    median: float
    q1: float
    q3: float
    repetitions: int
    method: str


@dataclass(frozen=True)
class Measurements:
    """What was measured at one load, and how a model's row is made comparable with it."""

    policy: Policy | None  # of the recording; None where nobody said
    rows: Mapping[str, Row]  # by policy
    load: float
    offered_per_s: float  # requests
    latency_at: str  # the two ends of the model's latencies
    client_ns: int  # to add to arrival to transmit for these


def measurements(trace: Trace, host: Host, offer: Offered) -> Measurements:
    """Return what was measured of `trace` at the load of `offer`.

    The model's latencies have the ends of the measured ones where `host` says how far those lie
    apart, else arrival to transmit.
    """
    duration_s = offer.workload.duration_ns / SECOND
    rate = number(trace, "offered_per_s") * offer.load
    rate = rate or requests_of(offer.workload) / duration_s
    ends = measured_ends(trace)
    same = ends == ARRIVAL_TO_TRANSMIT or host.client_ns == 0
    return Measurements(
        policy=measured_policy(trace),
        rows=measured_rows(trace, load=offer.load, offered_per_s=rate, duration_s=duration_s),
        load=offer.load,
        offered_per_s=rate,
        latency_at=ARRIVAL_TO_TRANSMIT if same else ends,
        client_ns=0 if same else host.client_ns,
    )


def measured_ends(trace: Trace) -> str:
    """Return the two ends of the measured latencies."""
    return str(trace.manifest.get("latency_at") or ARRIVAL_TO_TRANSMIT)


def measured_policy(trace: Trace) -> Policy | None:
    """Return the policy under which `trace` was recorded; None where nobody said."""
    said = trace.manifest.get("policy")
    if isinstance(said, Mapping):
        said = said.get("name")
    if not said:
        return None
    try:
        return parse_policy(str(said))
    except PolicyError as error:
        raise TraceError(f"{trace.path}/manifest.json: {error}") from None


def measured_rows(
    trace: Trace, *, load: float, offered_per_s: float, duration_s: float
) -> dict[str, Row]:
    """Return the measured rows at that offered rate, requests a second, by policy.

    Counts are the measured rates over `duration_s`, so that they compare with a replay of it.
    """
    rows: dict[str, Row] = {}
    ends = measured_ends(trace)
    scenarios = _by_scenario(trace)
    far = {key: abs(key[1] - offered_per_s) / offered_per_s for key in scenarios}
    for key in sorted(scenarios, key=far.__getitem__):
        policy, rate = key
        if far[key] <= SAME_RATE and policy not in rows:  # the nearest rate of each policy
            rows[policy] = _row(policy, load, duration_s, rate, scenarios[key], ends)
    return rows


def with_error(row: Row, measured: Row | None) -> Row:
    """Return `row` with the signed error in percent of each metric that was measured.

    Latencies are compared only between the same two ends, and not where the measured host was
    saturated: there a latency says how long the run was.
    """
    if measured is None:
        return row
    truth, guess = measured.metrics(), row.metrics()
    comparable = row.latency_at == measured.latency_at and measured.verdict != "saturated"
    errors: dict[str, float] = {}
    for name, value in truth.items():
        predicted = guess[name]
        if value is None or predicted is None:
            continue
        if name.startswith("latency_") and not comparable:
            continue
        if value:
            errors[name] = 100.0 * (predicted - value) / value
        elif not predicted:
            errors[name] = 0.0
    return replace(row, error_pct=errors)


def _by_scenario(trace: Trace) -> dict[tuple[str, float], dict[str, Spread]]:
    """Return the outcomes table by policy and offered rate, then by metric."""
    found: dict[tuple[str, float], dict[str, Spread]] = {}
    for line in trace.outcomes.to_pylist():
        if not all(isfinite(line[name]) for name in ("offered_per_s", "median", "q1", "q3")):
            raise TraceError(f"{trace.path}/outcomes.arrow: {line['metric']} is not finite")
        spreads = found.setdefault((line["policy"], line["offered_per_s"]), {})
        spreads[line["metric"]] = Spread(
            line["median"], line["q1"], line["q3"], line["repetitions"], line["method"]
        )
    return found


def _row(
    policy: str,
    load: float,
    duration_s: float,
    offered_per_s: float,
    spreads: Mapping[str, Spread],
    latency_at: str,
) -> Row:
    """Return the medians as a row."""

    def median(name: str) -> float | None:
        return spreads[name].median if name in spreads else None

    def count(name: str) -> int | None:
        rate = median(name)
        return None if rate is None else round(rate * duration_s)

    counters: dict[str, Any] = {name: count(name) for name in COUNTERS}
    received, dropped = count("packets"), count("dropped")
    counters["delivered"] = received
    counters["packets"] = None if received is None or dropped is None else received + dropped
    served = median("requests")
    verdict: Verdict | None = None
    if served is not None:
        verdict = "saturated" if served < (1 - UNANSWERED) * offered_per_s else "ok"
    cpu: dict[str, float | None] = dict.fromkeys(CPU_WORK)
    cpu["softirq"], cpu["idle"] = median("cpu_softirq"), median("cpu_idle")
    intervals = {name: (spread.q1, spread.q3) for name, spread in sorted(spreads.items())}
    if "cpu_idle" in intervals:
        low, high = intervals["cpu_idle"]
        intervals["cpu_busy"] = (100.0 - high, 100.0 - low)
    seen = any(name.startswith("latency_") for name in spreads)
    return Row(
        kind="measured",
        policy=policy,
        load=load,
        duration_s=duration_s,
        **counters,
        latency_at=latency_at if seen else None,
        queue=None,
        latency_us={name: median(f"latency_{name}") for name in LATENCIES},
        cpu_pct=cpu,
        verdict=verdict,
        intervals=intervals,
        cpu_thread_pct=median("cpu_thread"),
    )
