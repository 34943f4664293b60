"""The engine: from arrivals, a policy and a host's costs to an outcome. Knows no files.

Its names are loaded when first asked for: others use the compiler alone (replay.engine.accelerate).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replay.engine.histogram import Histogram
    from replay.engine.island import replay_island
    from replay.engine.outcome import CpuTime, Outcome, Times
    from replay.engine.workload import Workload

__all__ = ["CpuTime", "Histogram", "Outcome", "Times", "Workload", "replay_island"]

_PLACES = {
    "CpuTime": "outcome",
    "Histogram": "histogram",
    "Outcome": "outcome",
    "Times": "outcome",
    "Workload": "workload",
    "replay_island": "island",
}


def __getattr__(name: str) -> Any:
    """Return one of the engine's names."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
