"""What a what-if finds: a row a scenario, each prediction beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from replay.trace.holes import Hole, confidence

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from replay.engine.histogram import Histogram

#: Version of the JSON form.
RESULT_VERSION = 1

Kind = Literal["measured", "model", "alternative", "bound"]
Verdict = Literal["ok", "saturated"]
Numbers = Mapping[str, "float | None"]

#: Counters of a row, in the order of the JSON form. All are over `duration_s`.
COUNTERS = (
    "packets",
    "requests",
    "delivered",
    "dropped",
    "irqs",
    "timers",
    "polls",
    "polls_empty",
    "busy_polls",
    "epoll_returns",
    "resumes",
    "tx_packets",
    "irqs_no_work",
    "squeezes",
)

#: Keys of `latency_us`; a percentile and the share of values below it.
PERCENTILES = {
    "p50": 0.5,
    "p90": 0.9,
    "p95": 0.95,
    "p99": 0.99,
    "p99.9": 0.999,
    "p99.99": 0.9999,
}
LATENCIES = ("mean", *PERCENTILES, "max")

#: Keys of `cpu_pct`.
CPU_WORK = ("hardirq", "softirq", "kernel", "app", "other", "idle")

#: The part of a latency that lies outside the host.
CLIENT = "client"

#: All parts of a latency: CLIENT, then those of engine/causes.py. They sum to it.
PARTS = (CLIENT, "coalescing", "timer", "cpu", "ring", "wakeup", "queueing", "service")

#: Keys of each cause's `cause_percentiles`.
CAUSE_PERCENTILES = ("p50", "p99")


@dataclass(frozen=True)
class Row:
    """One scenario: a policy at a load, measured or replayed. None is what was not seen.

    Latency percentiles are there only where at least ten values lie beyond them.
    """

    kind: Kind
    policy: str
    load: float  # factor on the recorded arrival rate
    duration_s: float
    packets: int | None  # offered
    requests: int | None  # answered
    delivered: int | None  # packets given to the stack
    dropped: int | None
    irqs: int | None
    timers: int | None
    polls: int | None
    polls_empty: int | None
    busy_polls: int | None
    epoll_returns: int | None
    resumes: int | None
    tx_packets: int | None
    latency_at: str | None  # the latency's two ends
    queue: int | None  # None: all queues together
    latency_us: Numbers  # LATENCIES
    cpu_pct: Numbers  # CPU_WORK
    verdict: Verdict | None
    irqs_no_work: int | None = None  # of irqs: their poll found no received packet
    squeezes: int | None = None  # softirqs that ended for their budget or their time
    left: int | None = None  # packets still in the ring at the end
    # Where they were asked for, means in us; CLIENT and the causes sum to the mean latency:
    causes: Numbers | None = None
    cause_percentiles: Mapping[str, Numbers] | None = None  # cause: p50 and p99, us
    tail_begins: str | None = None  # percentile; what follows is of the requests from there on
    tail_causes: Numbers | None = None
    tail_cause: str | None = None  # the largest but CLIENT
    intervals: Mapping[str, tuple[float, float]] | None = None  # middle half of the repetitions
    # Nine in ten draws (replay.draws), by the names of `metrics`: of the figures, and of their
    # difference to the model of the measured policy:
    likely: Mapping[str, tuple[float, float]] | None = None
    likely_difference: Mapping[str, tuple[float, float]] | None = None
    # At the bounds of the arrivals, where these were inferred; p50, p95 and p99:
    ranges_us: Mapping[str, tuple[float, float]] | None = None
    error_pct: Mapping[str, float] | None = None  # signed, against the measured row
    # What charts need, and the JSON form leaves out:
    cpu_thread_pct: float | None = None  # kernel and app together
    latency: Histogram | None = field(default=None, compare=False, repr=False)
    client_ns: int = 0  # to be added to each value of `latency`
    poll_sizes: npt.NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    @property
    def cpu_busy_pct(self) -> float | None:
        """All CPU time that is not idle."""
        idle = self.cpu_pct["idle"]
        return None if idle is None else 100.0 - idle

    def rate(self, counter: str) -> float | None:
        """Return a counter per second."""
        count: int | None = getattr(self, counter)
        return None if count is None else count / self.duration_s

    @property
    def packets_per_poll(self) -> float | None:
        """Packets of a poll that found any."""
        if self.delivered is None or self.polls is None or self.polls_empty is None:
            return None
        full = self.polls - self.polls_empty
        return self.delivered / full if full else None

    def metrics(self) -> dict[str, float | None]:
        """Return the row in the names and units of `replay.trace.schema.METRICS`."""
        values = {name: self.rate(name) for name in COUNTERS}
        values["packets"] = values.pop("delivered")  # METRICS: packets received
        # Where NAPI polls in a thread of its own, the scheduler's account of that thread holds
        # its wake-ups too: the model's interrupt entry.
        hardirq, softirq = self.cpu_pct["hardirq"], self.cpu_pct["softirq"]
        values["cpu_softirq"] = None if softirq is None else softirq + (hardirq or 0.0)
        values["cpu_thread"] = self.cpu_thread_pct
        values["cpu_idle"] = self.cpu_pct["idle"]
        values["cpu_busy"] = self.cpu_busy_pct
        values.update({f"latency_{name}": self.latency_us[name] for name in LATENCIES})
        return values

    def to_dict(self, *, causes: bool = False) -> dict[str, Any]:
        """Return the row in the JSON form, with the key `causes` where these were asked for.

        `ranges_us` is there where arrivals were inferred.
        """
        ends = {k: [_rounded(x) for x in pair] for k, pair in (self.ranges_us or {}).items()}
        return {
            "kind": self.kind,
            "policy": self.policy,
            "load": self.load,
            "duration_s": self.duration_s,
            **{name: getattr(self, name) for name in COUNTERS},
            "left": self.left,
            "latency_at": self.latency_at,
            "queue": self.queue,
            "latency_us": _all_rounded(self.latency_us),
            "cpu_pct": _all_rounded(self.cpu_pct),
            "verdict": self.verdict,
            "intervals": self.intervals
            and {name: [_rounded(x) for x in pair] for name, pair in self.intervals.items()},
            "error_pct": _all_rounded(self.error_pct),
            **({"ranges_us": ends} if self.ranges_us else {}),
            **_all_pairs("likely", self.likely),
            **_all_pairs("likely_difference", self.likely_difference),
            **({"causes": self._causes()} if causes else {}),
        }

    def _causes(self) -> dict[str, Any] | None:
        """Return the causes in the JSON form, us."""
        if self.causes is None:
            return None
        told = self.cause_percentiles or {}
        return {
            "mean_us": _all_rounded(self.causes),
            "percentiles_us": {cause: _all_rounded(values) for cause, values in told.items()},
            "tail": {
                "begins": self.tail_begins,
                "cause": self.tail_cause,
                "mean_us": _all_rounded(self.tail_causes),
            },
        }


@dataclass(frozen=True)
class Result:
    """The rows of one question, and what must be known to read them."""

    trace: str
    host: str
    arrivals: Literal["open", "closed"]
    rows: tuple[Row, ...]
    about: Mapping[str, str] = field(default_factory=dict)  # for the table's head, in order
    holes: tuple[Hole, ...] = ()  # what the recording lacks
    notes: tuple[str, ...] = ()  # what was assumed, one sentence each

    @property
    def explained(self) -> bool:
        """Whether any row has its causes."""
        return any(row.causes is not None for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, version 1. Notes are not data: they are for a person.

        `confidence` and `holes` are there where the recording lacks something.
        """
        lacking = [hole.to_dict() for hole in self.holes]
        trust = {"confidence": confidence(self.holes), "holes": lacking}
        return {
            "version": RESULT_VERSION,
            "trace": self.trace,
            "host": self.host,
            "arrivals": self.arrivals,
            **(trust if self.holes else {}),
            "rows": [row.to_dict(causes=self.explained) for row in self.rows],
        }

    def frame(self) -> pl.DataFrame:
        """Return the rows as a polars DataFrame: one column a field, rates per second, us, %."""
        import polars as pl

        from replay.columns import columns_of

        columns = columns_of(self)
        return pl.DataFrame(
            [[column.value(row) for column in columns] for row in self.rows],
            schema={column.name: getattr(pl, column.dtype) for column in columns},
            orient="row",
        )


def _rounded(value: float | None) -> float | None:
    """Three decimals: below the resolution of anything measured, and the same everywhere."""
    return None if value is None else round(value, 3)


def _all_pairs(
    name: str, pairs: Mapping[str, tuple[float, float]] | None
) -> dict[str, dict[str, list[float | None]]]:
    """Return an entry of intervals for the JSON form; none where there are none."""
    if pairs is None:
        return {}
    return {name: {key: [_rounded(end) for end in pair] for key, pair in pairs.items()}}


def _all_rounded(values: Numbers | None) -> dict[str, float | None] | None:
    if values is None:
        return None
    return {name: _rounded(value) for name, value in values.items()}
