"""What each step of the receive path costs on the recorded host, from its own recording.

Each constant is a middle value of the steps seen, with their quartiles and number. The time that
recording took is removed: the manifest says what one event costs, where that was measured by
comparing recorded with unrecorded runs. A step that the recorded policy never takes (a timer under
`base`) comes from the manifest's measurements of the host, else from the generic host, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.calibration.batches import batches
from replay.errors import TraceError
from replay.host import GENERIC, NICS, Cost, Host, nic_of_driver
from replay.intervals import Recorder, Timeline, latencies_of_interrupts, timeline
from replay.recorded import with_recorded_nic
from replay.trace.bundle import Trace
from replay.trace.facts import number, numbers, table
from replay.trace.schema import Cause, EventKind, PacketKind

Floats = npt.NDArray[Any]

#: Fewer samples than this say nothing of a cost.
FEWEST = 30
#: What a manifest says of each measurement.
SPREAD = ("median", "q1", "q3", "samples")


@dataclass(frozen=True)
class Estimate:
    """A constant and where it comes from."""

    value: float
    cost: Cost


def calibrate(trace: Trace, *, interrupted: bool = False) -> Host:
    """Return the costs of the host that `trace` records.

    With `interrupted`, also what an interrupted thread takes more, where it was seen: the engine's
    tightest loop does not know that, and the other takes twice as long.

    Raises TraceError where it holds no events of a server that waits in epoll_wait.
    """
    if not trace.events.num_rows:
        raise TraceError(f"{trace.name}: holds no kernel events to calibrate on")
    manifest = trace.manifest
    line = timeline(trace)
    if not np.any((line.kind == EventKind.POLL) & (line.device == line.receiver)):
        raise TraceError(f"{trace.name}: no poll was recorded: no costs can be calibrated")
    recorder = recorder_of(trace)
    found = {
        **_napi(line, recorder),
        **_thread(line, recorder),
        **_service(trace, line, recorder),
        **_measured_beside(trace),
    }
    enter = found.pop("enter_ns").value
    found |= _interrupts(trace, line, recorder, found, enter)
    if interrupted:
        found |= _interrupted(line, recorder, found["irq_ns"].value - enter)
    host = table(trace, "host")
    constants: dict[str, Any] = {name: round(known.value) for name, known in found.items()}
    preemption = manifest.get("preemption")
    if preemption not in (None, "none", "voluntary", "full", "lazy"):
        raise TraceError(
            f"{trace.name}: manifest.json: preemption = {preemption!r}"
            " is none of none, voluntary, full, lazy"
        )
    measured = Host(
        name=trace.name,
        threaded=bool(len(line.napi_threads)),
        preemption=preemption not in ("none", "voluntary"),
        ring=int(number(trace, "ring")) or GENERIC.ring,
        rx_usecs=int(number(trace, "rx_usecs")),
        rx_frames=int(number(trace, "rx_frames")),
        looks_again=_looks_again(host.get("nic")),
        about=", ".join(str(host[key]) for key in ("kernel", "cpu", "nic") if host.get(key)),
        **constants,
        costs={name: estimate.cost for name, estimate in found.items()},
    )
    return with_recorded_nic(measured, trace)[0]


def _looks_again(nic: object) -> bool:
    """Whether the driver does so that this text, "veth, NAPI thread", begins with."""
    name = nic_of_driver(re.split(r"\W", nic, maxsplit=1)[0]) if isinstance(nic, str) else None
    return name is not None and NICS[name].looks_again


def recorder_of(trace: Trace) -> Recorder:
    """Return what recording an event cost on that host; 0 where nobody measured it."""
    probe = numbers(trace, "probe_ns", keys=["median"])
    counted = table(trace, "recorded_events")
    receive = ["per_receive"] if "per_receive" in counted else []
    return Recorder(
        event_ns=probe.get("median", 0.0),
        per_receive=numbers(trace, "recorded_events", keys=receive).get("per_receive", 1.0),
    )


def _napi(line: Timeline, recorder: Recorder) -> dict[str, Estimate]:
    """Polls: a fixed part, a part for each packet, and leaving.

    Polls that follow another at once say what a poll costs; those that follow an interrupt, how
    much more the first one does: entering the softirq or the thread.
    """
    poll = (line.kind == EventKind.POLL) & (line.device == line.receiver)
    mine = np.flatnonzero(poll & ~np.isin(line.tid, line.workers) & (line.duration > 0))
    work, wakes = line.value[mine], _wakes_inside(line, mine)
    events = 1 + work * recorder.per_receive + wakes
    spent = line.duration[mine] - events * recorder.event_ns
    again = np.isin(line.cause[mine], (Cause.REPOLL, Cause.THREAD))
    if np.count_nonzero(again & (work == 1)) < FEWEST:
        again[:] = True
    fixed, slope = _line_through(work[again], spent[again])
    single, double = spent[again & (work == 1)], spent[again & (work == 2)]
    entering = spent[~again & (work == 1)] - fixed - slope
    enter = max(0.0, float(np.median(entering))) if len(entering) else 0.0
    found = {
        "poll_ns": _around(fixed, single - slope, "poll duration, extrapolated to 0"),
        "packet_ns": _around(slope, double - fixed - slope, "poll duration per packet"),
        "enter_ns": _around(enter, entering, "polls after an interrupt, less other polls"),
    }
    left = line.followed(poll, line.kind == EventKind.RUN)
    if len(line.napi_threads):
        exits = line.gap[left] - recorder.event_ns
        found["exit_ns"] = _middle("exit_ns", exits, "poll to context switch")
    else:
        found["exit_ns"] = _generic("exit_ns")
    return found


def _thread(line: Timeline, recorder: Recorder) -> dict[str, Estimate]:
    """epoll_wait: calls that find events at once, sleeping, waking."""
    returns = line.kind == EventKind.EPOLL_RETURN
    waits = line.kind == EventKind.EPOLL_WAIT
    others = (line.kind == EventKind.RUN) & ~np.isin(line.tid, line.workers)
    others &= ~np.isin(line.tid, line.napi_threads)
    woken = line.followed(line.runs(line.workers), returns)
    woke = line.gap[woken] - recorder.event_ns
    events = line.value[woken + 1]
    direct = line.gap[line.followed(waits, returns)] - recorder.event_ns
    call = _middle("epoll_ns", direct, "epoll_wait that finds events at once")
    slept = line.gap[line.followed(waits, others)] - recorder.event_ns - call.value
    one = each = 0.0
    if min(np.count_nonzero(events == 1), np.count_nonzero(events == 2)) >= FEWEST:
        one = float(np.median(woke[events == 1]))
        each = max(0.0, float(np.median(woke[events == 2])) - one)
    return {
        "epoll_ns": call,
        "sleep_ns": _middle("sleep_ns", slept, "epoll_wait to context switch, less epoll_ns"),
        "event_ns": _around(each, woke[events == 2] - one, "return of two events, less one"),
        "wake_ns": _middle("wake_ns", woke - each * events, "context switch to return"),
    }


def _service(trace: Trace, line: Timeline, recorder: Recorder) -> dict[str, Estimate]:
    """The application: each request as recorded, and what follows its transmission."""
    packets = trace.packets
    request = packets["kind"].to_numpy() == PacketKind.REQUEST
    seen = packets["service_ns"].fill_null(-1).to_numpy()
    service = seen[request & (seen >= 0)]
    events = trace.events
    returns = events["value"].to_numpy()[events["kind"].to_numpy() == EventKind.EPOLL_RETURN]
    returns = returns[returns > 0]
    # behind each return of epoll_wait, each transmission, and the softirq that this raises
    recordings = len(returns) / max(1, int(returns.sum())) + 2.0
    own = recordings * recorder.event_ns
    first, later = line.transmissions()
    first, later = (np.maximum(spent - recorder.event_ns, 0) for spent in (first, later))
    rest, begin = _mean(later), _mean(first)
    source = f"{recordings:.1f} recordings a request"
    whole = batches(line, recorder)
    if whole:
        own = max(0.0, _mean(service) - whole.request_ns)
        begin += whole.once_ns
        source += f", and what {whole.count} batches took less than their requests"
    return {
        "request_ns": _middle("request_ns", service - own, "service of each request"),
        "recorded_ns": Estimate(own, Cost(own, own, len(service), source)),
        "transmit_ns": _around(rest, later, "softirq of a transmission, not the first of a batch"),
        "notify_ns": _around(
            max(0.0, begin - rest), first - rest, "the same, the first of a batch"
        ),
    }


def _interrupts(
    trace: Trace, line: Timeline, recorder: Recorder, found: Mapping[str, Estimate], enter: float
) -> dict[str, Estimate]:
    """The device's interrupt: its CPU time, and how long before that it was signalled.

    It and the timer's both end with entering the softirq or the NAPI thread.
    """
    irq, back = _generic("irq_ns"), _generic("idle_ns")
    beside = numbers(trace, "interrupt_ns", keys=SPREAD)
    if beside:
        # Nothing tells what lies before the polls from what lies behind them: half and half
        half = {key: beside[key] / 2 for key in ("median", "q1", "q3")} | {
            "samples": beside["samples"]
        }
        source = "half of what interrupts took of an idle CPU, less the steps recorded"
        irq = back = _beside(half, source)
    elif np.count_nonzero(line.kind == EventKind.IRQ) >= FEWEST:
        handlers = line.duration[line.kind == EventKind.IRQ]
        irq = _middle("irq_ns", handlers, "handler")
    # where the sender was recorded, too: that it sent, and that it woke the thread
    events = 2 if trace.manifest.get("peer_device") else 0
    waited = latencies_of_interrupts(trace, line) - irq.value - events * recorder.event_ns
    return {
        "irq_ns": _more(irq, enter),
        "timer_ns": _more(found["timer_ns"], enter),
        "idle_ns": back,
        "irq_latency_ns": _middle("irq_latency_ns", waited, "arrival to NAPI thread, less irq_ns"),
    }


def _interrupted(line: Timeline, recorder: Recorder, irq_ns: float) -> dict[str, Estimate]:
    """What an interruption takes of a busy thread behind it: its way back, and its caches."""
    whole = batches(line, recorder)
    more = np.empty(0) if whole is None else whole.interrupted_ns - irq_ns
    if len(more) < FEWEST:
        return {}
    source = "NAPI threads amid a batch, less their own time and irq_ns"
    return {"interrupted_ns": _around(max(0.0, float(np.median(more))), more, source)}


def _measured_beside(trace: Trace) -> dict[str, Estimate]:
    """What the recorded policy never does, from measurements of the host beside the recording."""
    found = {}
    for name, key, source in (
        ("timer_start_ns", "arming_ns", "arming a timer"),
        ("timer_latency_ns", "lateness_ns", "lateness of a timer"),
        ("timer_ns", "interrupt_ns", "a timer's interrupt of an idle CPU"),
    ):
        timer = numbers(trace, "timer", key, keys=SPREAD)
        found[name] = _beside(timer, source) if timer else _generic(name)
    found["busy_poll_ns"] = _generic("busy_poll_ns")
    client = numbers(trace, "client", keys=SPREAD)
    if client:
        found["client_ns"] = _beside(client, "client's latency less the server's")
    return found


def _line_through(work: Floats, spent: Floats) -> tuple[float, float]:
    """Return where a line through the medians of `spent` begins, and its slope a packet."""
    sizes = [size for size in range(9) if np.count_nonzero(work == size) >= FEWEST]
    if len(sizes) < 2:
        middle = float(np.median(spent[work > 0])) if (work > 0).any() else 0.0
        slope = min(GENERIC.packet_ns, middle / 2)
        return max(0.0, middle - slope), slope
    medians = np.array([np.median(spent[work == size]) for size in sizes])
    weight = np.sqrt([np.count_nonzero(work == size) for size in sizes])
    slope, fixed = np.polyfit(sizes, medians, 1, w=weight)
    return max(0.0, float(fixed)), max(0.0, float(slope))


def _wakes_inside(line: Timeline, polls: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many wake-ups were recorded within each poll."""
    before = np.concatenate([[0], np.cumsum(line.kind == EventKind.WAKE)])
    start = np.searchsorted(line.time, line.time[polls] - line.duration[polls])
    inside: npt.NDArray[np.int64] = before[polls] - before[start]
    return inside


def _mean(samples: Floats) -> float:
    """Return the mean of the samples but the highest twentieth, the host's own pauses; not < 0."""
    if not len(samples):
        return 0.0
    return max(0.0, float(np.mean(samples[samples <= np.quantile(samples, 0.95)])))


def _middle(name: str, samples: Floats, source: str) -> Estimate:
    """Return the mean of what was seen, without pauses; the generic host's where it is too few."""
    if len(samples) < FEWEST:
        return _generic(name)
    return _around(_mean(samples), samples, source)


def _around(value: float, samples: Floats, source: str) -> Estimate:
    """Return `value` with the samples' quartiles."""
    q1, q3 = np.quantile(samples, [0.25, 0.75]) if len(samples) else (value, value)
    return Estimate(value, Cost(max(0.0, float(q1)), max(0.0, float(q3)), len(samples), source))


def _beside(measured: Mapping[str, float], source: str) -> Estimate:
    """Return a constant that the manifest carries with its quartiles."""
    return Estimate(
        max(0.0, measured["median"]),
        Cost(measured["q1"], measured["q3"], int(measured["samples"]), source),
    )


def _more(estimate: Estimate, ns: float) -> Estimate:
    """Return an estimate, and its spread, that much higher."""
    cost = estimate.cost
    higher = replace(
        cost,
        q1=cost.q1 + ns,
        q3=cost.q3 + ns,
        source=f"{cost.source}; with {ns:,.0f} to enter NAPI" if ns else cost.source,
    )
    return Estimate(estimate.value + ns, higher)


def _generic(name: str) -> Estimate:
    """Return the generic host's constant: not seen in this recording."""
    value = float(getattr(GENERIC, name))
    return Estimate(value, Cost(value / 2, value * 2, 0, f"not seen: host {GENERIC.name}"))
