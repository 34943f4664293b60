"""How long each step of the receive path took, from the events of the CPU that served requests.

A step lies between two neighbouring events of that CPU. Recording an event takes time that falls
behind it, so a step holds one recording for each event from its start up to, not including, its
end; `Recorder` says how much that is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.errors import TraceError
from replay.trace.bundle import Trace
from replay.trace.schema import EventKind, PacketKind
from replay.units import MILLISECOND

Int64s = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Recorder:
    """What recording costs: ns a tracepoint, and tracepoints behind each row of the events."""

    event_ns: float
    per_receive: float  # GRO's entry and the stack's, where both were recorded


@dataclass(frozen=True)
class Timeline:
    """The events of one CPU in order, and what follows each; shape (events,)."""

    time: Int64s
    kind: Int64s
    tid: Int64s
    value: Int64s
    cause: Int64s
    duration: Int64s
    device: Int64s
    receiver: int  # the device whose packets are served
    napi_threads: Int64s
    workers: Int64s

    @property
    def gap(self) -> Int64s:
        """Time to the next event; 0 behind the last."""
        return np.append(np.diff(self.time), 0)

    def followed(self, first: Flags, second: Flags) -> Int64s:
        """Return the events of `first` that an event of `second` follows at once."""
        return np.flatnonzero(first[:-1] & second[1:])

    def transmissions(self) -> tuple[Int64s, Int64s]:
        """Return what softirqs took behind each transmission: firsts of their batch, and others.

        A batch is what one epoll_wait returned. 0 where no softirq followed at once.
        """
        mine = np.isin(self.tid, self.workers)
        sent = np.flatnonzero(mine & (self.kind == EventKind.XMIT))
        batch = np.searchsorted(
            self.time[mine & (self.kind == EventKind.EPOLL_RETURN)], self.time[sent]
        )
        behind = np.minimum(sent + 1, len(self.kind) - 1)
        raised = mine[behind] & (self.kind[behind] == EventKind.SOFTIRQ)
        spent = np.where(raised, self.duration[behind], 0)
        first = np.diff(batch, prepend=-1) > 0
        return spent[first], spent[~first]

    def runs(self, tids: Int64s) -> Flags:
        """Whether an event gives the CPU to one of these threads."""
        flags: Flags = (self.kind == EventKind.RUN) & np.isin(self.tid, tids)
        return flags


def timeline(trace: Trace) -> Timeline:
    """Return the events of the CPU where the workers run. Raises TraceError where none is seen."""
    events = trace.events
    tid, kind, cpu = (_column(events, name) for name in ("tid", "kind", "cpu"))
    workers = np.unique(tid[kind == EventKind.EPOLL_RETURN])
    if not len(workers):
        raise TraceError(f"{trace.name}: no epoll_wait was recorded: no costs can be calibrated")
    here = (kind == EventKind.EPOLL_RETURN) & np.isin(tid, workers)
    server = np.bincount(cpu[here]).argmax()
    rows = np.flatnonzero(cpu == server)
    device = _column(events, "device", -1)
    cause = _column(events, "cause")
    polls = (kind == EventKind.POLL) & (device >= 0)
    receiver = _receiver(trace, device[polls])
    threads = np.unique(tid[polls & (device == receiver) & ~np.isin(tid, workers)])
    in_thread = np.isin(tid, threads) & (kind == EventKind.RUN)
    return Timeline(
        time=_column(events, "time_ns")[rows],
        kind=kind[rows],
        tid=tid[rows],
        value=_column(events, "value")[rows],
        cause=cause[rows],
        duration=_column(events, "duration_ns")[rows],
        device=device[rows],
        receiver=receiver,
        napi_threads=np.unique(tid[in_thread]),
        workers=workers,
    )


def latencies_of_interrupts(trace: Trace, line: Timeline) -> Int64s:
    """Return, for interrupts that found the CPU idle, the time from arrival to the NAPI thread.

    Shape (interrupts,), ns. The first packet that the thread receives had raised the interrupt.
    """
    packets = trace.packets
    arrival = _column(packets, "arrival_ns")[_column(packets, "kind") != PacketKind.TX]
    received = line.time[(line.kind == EventKind.RECEIVE) & (line.device == line.receiver)]
    if len(received) != len(arrival):
        return np.empty(0, np.int64)
    served = np.concatenate([line.napi_threads, line.workers])
    starts = line.time[line.runs(line.napi_threads) & ~np.isin(line.value, served)]
    first = np.searchsorted(received, starts)
    starts, first = starts[first < len(received)], first[first < len(received)]
    waited: Int64s = starts - arrival[first]
    return waited[(waited > 0) & (waited < MILLISECOND)]


def _receiver(trace: Trace, polled: Int64s) -> int:
    """Return the number of the device whose packets were rebuilt, else that polled most."""
    devices, name = trace.manifest.get("devices"), trace.manifest.get("device")
    if isinstance(devices, list) and name in devices:
        return int(devices.index(name))
    return int(np.bincount(polled).argmax()) if len(polled) else -1


def _column(table: pa.Table, name: str, null: int = 0) -> Int64s:
    """Return a column as int64, nulls replaced."""
    column = table[name].cast(pa.int64())
    return np.asarray(column.fill_null(null).to_numpy(), np.int64)
