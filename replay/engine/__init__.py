"""The engine: from arrivals, a policy and a host's costs to an outcome. Knows no files."""

from replay.engine.histogram import Histogram
from replay.engine.island import replay_island
from replay.engine.outcome import CpuTime, Outcome, Times
from replay.engine.workload import Workload

__all__ = ["CpuTime", "Histogram", "Outcome", "Times", "Workload", "replay_island"]
