"""Hosts that this one could be: each constant drawn from what is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from math import exp, log
from statistics import NormalDist
from typing import Any

import numpy as np

from replay.host.model import GENERIC, LONGEST_NS, Cost, Host
from replay.host.together import correlated

#: What a constant that was seen in the recording may be off by (one deviation): the mean of its
#: samples is known far better, but it is that of one policy, load and day.
SEEN = 0.1
#: And one of the generic host: a factor of two either way in nine cases of ten.
UNSEEN = log(2) / NormalDist().inv_cdf(0.95)
_QUARTILE = NormalDist().inv_cdf(0.75)

_DRAWN = (
    *(
        field.name
        for field in fields(Host)
        if field.name.endswith("_ns")
        and field.name not in ("jiffy_ns", "slice_ns", "rt_period_ns", "rt_runtime_ns")
        and not field.name.startswith("background")
    ),
    "cstates",
)


def drawn_host(host: Host, random: np.random.Generator) -> Host:
    """Return a host whose constants are drawn from what is known of them."""
    return _at(host, _normals(random))


def mirrored_hosts(host: Host, random: np.random.Generator, count: int) -> Iterator[Host]:
    """Yield drawn hosts, each second one the mirror image of the one before: few are enough."""
    for number in range(count):
        if number % 2 == 0:
            normals = _normals(random)
        else:
            normals = {name: -normal for name, normal in normals.items()}
        yield _at(host, normals)


def _normals(random: np.random.Generator) -> dict[str, float]:
    """Return a standard normal for each constant: the same number of draws for every host."""
    return {name: float(random.standard_normal()) for name in _DRAWN}


def _at(host: Host, normals: Mapping[str, float]) -> Host:
    """Return the host whose constants lie that many deviations from the most likely ones."""
    changes: dict[str, Any] = {}
    for name, normal in correlated(host.costs, normals).items():
        cost, known = host.costs.get(name), getattr(host, name)
        if name == "cstates":
            changes[name] = tuple(
                (stay, _drawn(host, exit_, cost, normal)) for stay, exit_ in known
            )
        else:
            changes[name] = _drawn(host, known, cost, normal)
    return replace(host, **changes)


def _drawn(host: Host, value: int, cost: Cost | None, normal: float) -> int:
    """Return a constant that lies `normal` deviations from `value`, of which `cost` tells."""
    if cost is not None and cost.source.startswith("fitted"):
        drawn = value + normal * (cost.q3 - cost.q1) / (2 * _QUARTILE)
    elif cost is not None and cost.samples:
        drawn = value * (1 + SEEN * normal)
    elif cost is not None or host == GENERIC:
        drawn = value * exp(UNSEEN * normal)
    else:  # a person's own number
        drawn = value
    return min(max(0, round(drawn)), LONGEST_NS)
