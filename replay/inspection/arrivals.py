"""How packets came: rates, the gaps between them, how bursty they were, how requests fared."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

import numpy as np
import numpy.typing as npt

from replay.engine.histogram import BUCKETS, Histogram, bucket_bounds
from replay.inspection.section import Figures, Section, percent, spread_us
from replay.mapped import zeros
from replay.trace.bundle import Trace, int64s
from replay.trace.facts import number
from replay.trace.schema import PacketKind
from replay.units import MICROSECOND, SECOND, duration_text

Int64s = npt.NDArray[np.int64]

#: Windows in which packets are counted, ns.
WINDOWS = (100 * MICROSECOND, 1_000 * MICROSECOND, 10_000 * MICROSECOND, 100_000 * MICROSECOND)

_COLUMNS = {
    "arrival_ns": 0,
    "kind": int(PacketKind.CONTROL),
    "length": 0,
    "payload": 1,
    "queue": -1,
    "reply_to": -1,
    "service_ns": -1,
    "think_ns": -1,
}
_NOTHING = Histogram.of(np.empty(0, np.int64))


@dataclass
class _Gaps:
    """Times between neighbours of a sorted column that comes in parts."""

    last: int | None = None
    seen: Histogram = _NOTHING
    squares: float = 0.0

    def add(self, times: Int64s) -> None:
        if not len(times):
            return
        gaps = np.diff(times) if self.last is None else np.diff(times, prepend=self.last)
        self.last = int(times[-1])
        self.seen = self.seen + Histogram.of(gaps)
        self.squares += float(np.square(gaps.astype(np.float64)).sum())

    def variation(self) -> float | None:
        """Return the standard deviation over the mean: 1 of Poisson arrivals."""
        mean = self.seen.mean
        if not mean:
            return None
        return sqrt(max(0.0, self.squares / self.seen.count - mean * mean)) / mean


@dataclass
class _Windows:
    """Packets counted in windows of one length."""

    window_ns: int
    open: tuple[int, int] | None = None  # the last window seen, and its packets so far
    counts: Histogram = _NOTHING  # of the windows with packets

    def add(self, times: Int64s) -> None:
        if not len(times):
            return
        windows, counts = np.unique(times // self.window_ns, return_counts=True)
        if self.open is not None:
            if self.open[0] == windows[0]:
                counts[0] += self.open[1]
            else:
                self._close(np.array([self.open[1]]))
        self._close(counts[:-1])
        self.open = int(windows[-1]), int(counts[-1])

    def _close(self, counts: Int64s) -> None:
        self.counts = self.counts + Histogram.of(counts.astype(np.int64))

    def figures(self, duration_ns: int) -> Figures | None:
        """Return how the packets spread over all whole windows, also those without any."""
        windows = duration_ns // self.window_ns
        if self.open is not None and self.open[0] < windows:
            self._close(np.array([self.open[1]]))
        empty = windows - self.counts.count
        if windows < 2 or empty < 0:
            return None
        whole = self.counts + Histogram.of(np.zeros(1, np.int64))
        whole.counts[0] += empty - 1
        mean = self.counts.total / windows
        # exact below 2048 packets a window; above, each count within 0.1 %
        variance = float((whole.counts * np.square(_middles() - mean)).sum()) / windows
        return {
            "window": duration_text(self.window_ns),
            "mean_packets": mean,
            "p99_packets": whole.quantile(0.99),
            "max_packets": self.counts.high,
            "dispersion": variance / mean if mean else None,
        }


def _middles() -> npt.NDArray[np.float64]:
    """Return the middle value of each bucket of a histogram."""
    low, high = bucket_bounds(np.arange(BUCKETS))
    return (low + high) / 2


@dataclass
class _Kind:
    """Packets of one kind."""

    packets: int = 0
    octets: int = 0


@dataclass
class _Counted:
    """What one pass over the packets counts."""

    kinds: dict[int, _Kind] = field(default_factory=lambda: {int(it): _Kind() for it in PacketKind})
    gaps: dict[str, _Gaps] = field(
        default_factory=lambda: {"packets": _Gaps(), "requests": _Gaps()}
    )
    windows: list[_Windows] = field(default_factory=lambda: [_Windows(it) for it in WINDOWS])
    queues: dict[int, list[int]] = field(default_factory=dict)  # packets, requests
    answers: Histogram = _NOTHING  # from a request to the first packet of its answer
    service: Histogram = _NOTHING
    think: Histogram = _NOTHING


def arrivals(trace: Trace) -> list[Section]:
    """Return the sections on packets, gaps, bursts, requests and queues."""
    rows, last = trace.last_arrival()
    duration = int(number(trace, "duration_ns") or last + 1)
    counted = _count(trace, rows)
    return [
        Section("packets", "packets", _packets(counted, duration)),
        Section(
            "intervals",
            "gaps between arrivals: variation is 1 of Poisson arrivals, more of bursts",
            [
                {"of": name, **spread_us(it.seen), "variation": it.variation()}
                for name, it in counted.gaps.items()
                if it.seen.count
            ],
        ),
        Section(
            "bursts",
            "arrivals in windows: dispersion (variance over mean) is 1 of Poisson arrivals",
            [it for it in (each.figures(duration) for each in counted.windows) if it],
        ),
        Section("requests", "requests", _requests(counted)),
        Section("queues", "queues, as recorded", _queues(counted)),
    ]


def _count(trace: Trace, rows: int) -> _Counted:
    """Count in one pass; times of all packets are kept for the answers to look up."""
    counted = _Counted()
    times, answered, start = zeros(rows), zeros(rows, np.bool_), 0
    for part in trace.packets_by_chunk(*_COLUMNS):
        columns = (
            int64s(it, null) for it, null in zip(part.columns, _COLUMNS.values(), strict=True)
        )
        at, kind, length, payload, queue, reply_to, service, think = columns
        times[start : start + len(at)] = at
        start += len(at)
        for number_, of_kind in counted.kinds.items():
            mine = kind == number_
            of_kind.packets += int(np.count_nonzero(mine))
            of_kind.octets += int(length[mine].sum())
        received, request = kind != PacketKind.TX, kind == PacketKind.REQUEST
        counted.gaps["packets"].add(at[received])
        counted.gaps["requests"].add(at[request])
        for windows in counted.windows:
            windows.add(at[received])
        for number_ in np.unique(queue[received & (queue >= 0)]).tolist():
            mine = received & (queue == number_)
            seen = counted.queues.setdefault(number_, [0, 0])
            seen[0] += int(np.count_nonzero(mine))
            seen[1] += int(np.count_nonzero(mine & request))
        answer = (kind == PacketKind.TX) & (reply_to >= 0) & (reply_to < start) & (payload > 0)
        to, first = np.unique(reply_to[answer], return_index=True)
        new = ~answered[to]
        answered[to] = True
        waited = at[answer][first[new]] - times[to[new]]
        counted.answers = counted.answers + Histogram.of(waited[waited >= 0])
        counted.service = counted.service + Histogram.of(service[service >= 0])
        counted.think = counted.think + Histogram.of(think[think >= 0])
    return counted


def _packets(counted: _Counted, duration: int) -> list[Figures]:
    whole = sum(it.packets for it in counted.kinds.values())
    return [
        {
            "kind": PacketKind(number_).name.lower(),
            "packets": it.packets,
            "packets_per_s": it.packets * SECOND / duration,
            "share_pct": percent(it.packets, whole),
            "mean_bytes": it.octets / it.packets,
        }
        for number_, it in counted.kinds.items()
        if it.packets
    ]


def _requests(counted: _Counted) -> list[Figures]:
    times = {
        "arrival to answer": counted.answers,
        "service": counted.service,
        "think": counted.think,
    }
    return [
        {"time": name, "requests": it.count, **spread_us(it)}
        for name, it in times.items()
        if it.count
    ]


def _queues(counted: _Counted) -> list[Figures]:
    whole = sum(packets for packets, _ in counted.queues.values())
    return [
        {
            "queue": queue,
            "packets": packets,
            "share_pct": percent(packets, whole),
            "requests": requests,
        }
        for queue, (packets, requests) in sorted(counted.queues.items())
    ]
