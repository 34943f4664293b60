"""Measured results as the outcomes table has them: each metric's middle and spread over the runs.

Runs of one policy whose rates differ by less than SAME_RATE are repetitions of one another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from replay.errors import TraceError
from replay.policy import parse_policy
from replay.trace.schema import METRICS, OUTCOMES

#: Rates that differ by less than this are one: clients miss theirs by chance.
SAME_RATE = 0.02

_SCALES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6}
_NAMED = re.compile(r"(?P<policy>.+?)@(?P<rate>[^=@]*)=(?P<path>.+)", re.DOTALL)


@dataclass(frozen=True)
class Asked:
    """`POLICY[@RATE]=FILE`: a file that tells of another policy or rate than the recording's."""

    policy: str
    rate: float | None  # requests a second; None: as the file says
    path: Path


@dataclass
class Scenario:
    """A policy at a rate: for each metric its values, one a repetition, and how it was measured."""

    policy: str
    rate: float
    values: dict[str, list[float]] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)

    def add(self, metric: str, value: float, method: str) -> None:
        """Note one repetition's value."""
        assert metric in METRICS
        self.values.setdefault(metric, []).append(value)
        self.methods.setdefault(metric, method)


def parse_outcome(text: str) -> list[Asked]:
    """Return what `POLICY@RATE=FILE` or `POLICY=FILE` names; FILE may hold * and ?.

    RATE is in requests a second, with k or M. Raises PolicyError and TraceError.
    """
    match = _NAMED.fullmatch(text)
    if match:
        policy, said, name = match["policy"], match["rate"], match["path"]
    else:
        policy, equals, name = text.rpartition("=")
        said = ""
        if not equals or not policy or not name:
            raise TraceError(f"outcome {text!r}: POLICY@RATE=FILE or POLICY=FILE is expected")
    policy = parse_policy(policy.strip()).name
    rate = None if not match else _rate(text, said)
    place = Path(name)
    if place.exists() or not set("*?[") & set(name):
        return [Asked(policy, rate, place)]
    found = sorted(Path(place.anchor or ".").glob(str(place.relative_to(place.anchor))))
    if not found:
        raise TraceError(f"outcome {text!r}: no file is called {name}")
    return [Asked(policy, rate, path) for path in found]


def scenario_of(scenarios: list[Scenario], policy: str, rate: float) -> Scenario:
    """Return the scenario of that policy whose rate is the nearest and the same, or a new one."""
    near = [
        one
        for one in scenarios
        if one.policy == policy and abs(one.rate - rate) <= SAME_RATE * one.rate
    ]
    if near:
        return min(near, key=lambda one: abs(one.rate - rate))
    scenarios.append(Scenario(policy, rate))
    return scenarios[-1]


def outcomes_table(scenarios: Iterable[Scenario]) -> pa.Table:
    """Return the rows of all scenarios; schema OUTCOMES."""
    rows = []
    for one in scenarios:
        for metric in METRICS:
            values = one.values.get(metric)
            if not values:
                continue
            low, q1, middle, q3, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
            rows.append(
                {
                    "policy": one.policy,
                    "offered_per_s": one.rate,
                    "metric": metric,
                    "median": middle,
                    "q1": q1,
                    "q3": q3,
                    "min": low,
                    "max": high,
                    "repetitions": len(values),
                    "method": one.methods[metric],
                }
            )
    return pa.Table.from_pylist(rows, schema=OUTCOMES)


def _rate(text: str, said: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKM]?)\s*", said)
    rate = float(match[1]) * _SCALES[match[2]] if match else 0.0
    if not 0 < rate < 1e12:
        raise TraceError(
            f"outcome {text!r}: {said!r} is no rate: requests a second, as 200000 or 200k"
        )
    return rate
