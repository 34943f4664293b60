"""How well arrivals are rebuilt, where the true ones were recorded as well.

The two ends of a veth pair on one host: the sending end's net_dev_start_xmit is the instant at
which a packet is put into the receiving end's ring, which the rebuilding does not look at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.errors import TraceError
from replay.ingest.reconstruct_arrivals import Arrivals, find_arrivals
from replay.ingest.reconstruct_events import table_events
from replay.ingest.reconstruct_state import Columns
from replay.trace.bundle import Manifest
from replay.trace.schema import Cause, EventKind

Int64s = npt.NDArray[np.int64]

#: A packet may be seen leaving this long before the ring shows it.
_ON_THE_WIRE_NS = 3_000


@dataclass(frozen=True)
class ArrivalError:
    """Errors of one group of packets: rebuilt arrival minus true one, ns."""

    group: str  # the cause of the poll that took them, or "all"
    packets: int
    bias: float  # median error
    median: float  # of the absolute error
    p90: float
    p99: float
    before_earliest: int  # true arrivals outside the bounds
    after_latest: int
    waited: float  # median time from the true arrival to the receive event


def interrupt_lag(
    events: Columns, device: int, napis: Int64s, peer: int, *, by_gro: bool
) -> int | None:
    """Return the median time from an arrival to the interrupt it raised, ns; None without any.

    Only the constant is taken from the true arrivals; the rebuilding uses nothing else of them.
    """
    arrivals = find_arrivals(events, device, napis, by_gro=by_gro)
    truth = true_arrivals(events, arrivals, device, peer)
    first = np.append(True, arrivals.poll[1:] != arrivals.poll[:-1])
    polls = np.maximum(arrivals.poll, 0)
    mine = (truth >= 0) & (arrivals.poll >= 0) & (events.cause[polls] == Cause.IRQ) & first
    # Without a signal the latest instant is the receive event itself.
    mine &= arrivals.latest < events.time[arrivals.row]
    return int(np.median((arrivals.latest - truth)[mine])) if mine.any() else None


def table_errors(events: pa.Table, manifest: Manifest, peer: str) -> list[ArrivalError]:
    """Return the errors of a bundle's arrivals, by its events and manifest.

    peer: the sending end of the virtual pair. Raises TraceError where it was not recorded.
    """
    devices = manifest.get("devices", [])
    if peer not in devices or manifest.get("device") not in devices:
        raise TraceError(f"device {peer!r} is not in this recording ({', '.join(devices)})")
    columns, napis = table_events(events)
    device = devices.index(manifest["device"])
    arrivals = find_arrivals(
        columns,
        device,
        napis,
        lag=int(manifest.get("irq_lag_ns") or 0),
        by_gro=manifest.get("received_by") == "napi_gro_receive",
    )
    return arrival_errors(columns, arrivals, device, devices.index(peer))


def arrival_errors(
    events: Columns, arrivals: Arrivals, device: int, peer: int
) -> list[ArrivalError]:
    """Return the errors of all packets, then of those of each cause of a poll.

    Packets whose true arrival cannot be told (events lost on either side) are left out.
    """
    truth = true_arrivals(events, arrivals, device, peer)
    known = truth >= 0
    polls = np.maximum(arrivals.poll, 0)
    cause = np.where(arrivals.poll >= 0, events.cause[polls], int(Cause.UNKNOWN))
    errors = [_error("all", events, arrivals, truth, known)]
    for one in Cause:
        mine = known & (cause == one)
        if mine.any():
            errors.append(_error(one.name.lower(), events, arrivals, truth, mine))
    return errors


def true_arrivals(events: Columns, arrivals: Arrivals, device: int, peer: int) -> Int64s:
    """Return when each packet left `peer`, -1 where that cannot be told.

    The ring is first in, first out. Between two instants at which it was certainly empty as many
    packets were sent as received, or something was not recorded.
    """
    sent = events.time[(events.kind == EventKind.XMIT) & (events.device == peer)]
    received = events.time[arrivals.row]
    truth = np.full(len(received), -1, np.int64)
    polls = np.flatnonzero((events.kind == EventKind.POLL) & (events.device == device))
    ended = events.value[polls] < events.budget[polls]
    end = events.time[polls[ended]]
    # The ring's end was seen between the poll's last packet, or its start, and its end.
    start = end - np.maximum(events.duration[polls[ended]], 0)
    last = np.searchsorted(received, end, side="right")
    seen = np.maximum(np.where(last > 0, received[np.maximum(last - 1, 0)], 0), start)
    before = np.searchsorted(sent, seen - _ON_THE_WIRE_NS, side="right")
    empty = before == np.searchsorted(sent, end, side="right")
    sent_to, received_to = before[empty], last[empty]
    for one in np.flatnonzero(np.diff(received_to) > 0):
        first, last_one = received_to[one], received_to[one + 1]
        mine = sent[sent_to[one] : sent_to[one + 1]]
        if len(mine) == last_one - first and np.all(mine <= received[first:last_one]):
            truth[first:last_one] = mine
    return truth


def _error(
    group: str,
    events: Columns,
    arrivals: Arrivals,
    truth: Int64s,
    mine: npt.NDArray[np.bool_],
) -> ArrivalError:
    if not mine.any():
        none = float("nan")
        return ArrivalError(group, 0, none, none, none, none, 0, 0, none)
    true = truth[mine]
    error = arrivals.arrival[mine] - true
    median, p90, p99 = np.percentile(np.abs(error), [50, 90, 99])
    return ArrivalError(
        group=group,
        packets=len(true),
        bias=float(np.median(error)),
        median=float(median),
        p90=float(p90),
        p99=float(p99),
        before_earliest=int(np.count_nonzero(true < arrivals.earliest[mine])),
        after_latest=int(np.count_nonzero(true > arrivals.latest[mine])),
        waited=float(np.median(events.time[arrivals.row[mine]] - true)),
    )
