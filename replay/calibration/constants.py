"""A host's constants as a fit sees them: set, written back with their spread, warned of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from replay.calibration.fit import Fit, Floats
from replay.host import Cost, Host

QUARTILE = NormalDist().inv_cdf(0.75)

#: Constants that are nearly each other's mirror image: only one number of the two is told.
_TOGETHER = 0.95
#: Correlations that are worth writing down.
_TOLD = 0.05


def constant_of(host: Host, name: str) -> int:
    """Return a constant, ns; of `cstates` the exit latency of the shallowest."""
    if name == "cstates":
        return host.cstates[0][1] if host.cstates else 0
    return int(getattr(host, name))


def with_constants(host: Host, names: Sequence[str], values: Floats) -> Host:
    """Return `host` with these constants, ns, rounded; `cstates`: see `constant_of`."""
    changes: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        changes[name] = round(float(value))
        if name == "cstates":
            residency, deeper = (host.cstates[0][0], host.cstates[1:]) if host.cstates else (0, ())
            changes[name] = ((residency, round(float(value))), *deeper)
    return replace(host, **changes)


def fitted_host(prior: Host, found: Fit) -> Host:
    """Return the host, each fitted constant with its distribution: middle half, correlations."""
    names = [unknown.name for unknown in found.unknowns]
    together = correlations(found)
    costs = dict(prior.costs)
    for row, (unknown, value, deviation, learnt) in enumerate(
        zip(found.unknowns, found.values, found.deviations, found.learnt, strict=True)
    ):
        half = QUARTILE * float(deviation)
        source = (
            f"fitted to {len(found.figures)} figures, which took {100 * learnt:.0f} % of the"
            f" variance of {unknown.value:,.0f} before"
        )
        others = {
            other: round(float(together[row, column]), 3)
            for column, other in enumerate(names)
            if column < row and abs(together[row, column]) >= _TOLD
        }
        low, high = round(max(0.0, float(value) - half), 1), round(float(value) + half, 1)
        costs[unknown.name] = Cost(low, high, len(found.figures), source, others)
    return replace(with_constants(prior, names, found.values), costs=costs)


def correlations(found: Fit) -> Floats:
    """Return the constants' correlations, shape (unknowns, unknowns)."""
    spread = found.deviations
    matrix: Floats = found.covariance / np.outer(spread, spread)
    return matrix


def warnings_of(found: Fit) -> tuple[str, ...]:
    """Return what the figures do not tell of the constants, a sentence each."""
    warnings = []
    if found.unidentified:
        warnings.append(
            f"the figures say little of {', '.join(found.unidentified)}: they keep close to what"
            " they were before; measure other policies or loads, or fit fewer"
        )
    together = correlations(found)
    for i, one in enumerate(found.unknowns):
        for j, other in enumerate(found.unknowns[:i]):
            if abs(together[i, j]) > _TOGETHER:
                kind = "sum" if together[i, j] < 0 else "difference"
                warnings.append(f"only the {kind} of {other.name} and {one.name} is told")
    return tuple(warnings)
