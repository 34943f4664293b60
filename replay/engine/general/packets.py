"""The packets of an island in slots, each queue's one after another, and what grows with them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place
from replay.engine.causes import CAUSES
from replay.engine.followers import FOLLOWER, bucket_shift, buckets, plan
from replay.engine.general.ahead import memory_ahead
from replay.engine.general.state import WORKERS
from replay.engine.histogram import BUCKETS
from replay.engine.intrinsics import at, int64s_at
from replay.engine.workload import Int64s, Workload, count_requests
from replay.host import Host
from replay.mapped import require_memory, zeros
from replay.units import NEVER

#: Transmissions of a queue that may wait to be cleaned up: no NIC's ring holds as many.
MOST_TRANSMISSIONS = 1 << 20

#: Memory that laying a packet out and gathering its results takes, for a while.
_SORTING_BYTES = 48


class Packets(NamedTuple):
    """Arrays that kernels reach by address; they must live as long as the island."""

    when: Int64s  # shape (slots,)
    service: Int64s  # shape (slots,)
    lost: npt.NDArray[np.uint8]  # 1: no descriptor; shape (slots,)
    memory: Int64s  # all that is written


def lay_out_packets(g: Any, workload: Workload, host: Host, queues: Any) -> Packets:
    """Give every packet its slot and say in `g` and `queues` where everything lies."""
    rows = len(workload.arrival_ns)
    require_memory(rows, _SORTING_BYTES, "queues on shared CPUs", "a shorter capture does")
    closed = workload.parent is not None
    offered = rows
    if not closed:
        offered = int(np.searchsorted(workload.arrival_ns, workload.duration_ns))
    dealt = workload.queue is not None and len(queues) > 1
    slots_of = np.zeros(len(queues), np.int64)
    slots_of[0] = offered
    if dealt:
        assert workload.queue is not None
        slots_of = np.bincount(workload.queue[:offered], minlength=len(queues))
    queues["slots"] = np.cumsum(slots_of) - slots_of
    queues["known"] = 0 if closed else slots_of
    requests = count_requests(workload.service_ns)
    g.tx_size = min(MOST_TRANSMISSIONS, 1 << max(4, (requests + 1).bit_length()))
    g.offered, g.upcoming = offered, NEVER
    if closed:
        g.bucket_shift, g.buckets = bucket_shift(rows, int(g.end)), buckets(rows, int(g.end))
    memory = zeros(_say_where(g, workload, host, queues, rows, dealt or closed))
    if g.times:
        memory[g.delivered_at : g.done_at + rows] = -1
    _write_columns(g, workload, host, memory)
    when, service = workload.arrival_ns[:offered], workload.service_ns[:offered]
    if closed:
        when, service = np.zeros(offered, np.int64), np.full(offered, -1, np.int64)
        g.upcoming, g.waiting = plan(workload, memory, g)
        g.closed = 1
    when, service = (np.ascontiguousarray(column, np.int64) for column in (when, service))
    if dealt and not closed:
        when, service = _deal(workload, memory[g.row_at :][:offered], queues, when, service)
    if workload.worker is not None and not closed:
        rows_of = memory[g.row_at :][:offered] if dealt else slice(offered)
        memory[g.worker_at :][:offered] = workload.worker[rows_of]
    return Packets(when, service, zeros(offered, np.uint8), memory)


def _deal(
    workload: Workload, row: Int64s, queues: Any, arrival: Int64s, service: Int64s
) -> tuple[Int64s, Int64s]:
    """Return when the packet of each slot arrives and its service; write its row."""
    queue, slot = np.ascontiguousarray(workload.queue, np.int64), queues["slots"].copy()
    dealt = np.empty(len(row), np.int64), np.empty(len(row), np.int64)
    columns = (queue, arrival, service, row, *dealt, slot)
    _deal_in_turn(len(row), len(slot), *(column.ctypes.data for column in columns))
    return dealt


@jit_in_place
def _deal_in_turn(
    rows: int,
    queues: int,
    queue_address: int,
    arrival_address: int,
    service_address: int,
    row_address: int,
    when_address: int,
    dealt_address: int,
    slot_address: int,
) -> None:
    """Give each row the next slot of its queue, given the arrays by their addresses."""
    queue, arrival = int64s_at(queue_address, rows), int64s_at(arrival_address, rows)
    service, row = int64s_at(service_address, rows), int64s_at(row_address, rows)
    when, dealt = int64s_at(when_address, rows), int64s_at(dealt_address, rows)
    next_slot = int64s_at(slot_address, queues)
    for number in range(rows):
        slot = next_slot[at(queue[number])]
        next_slot[at(queue[number])] = slot + 1
        when[at(slot)], dealt[at(slot)], row[at(slot)] = arrival[number], service[number], number


def _say_where(
    g: Any, workload: Workload, host: Host, queues: Any, rows: int, numbered: bool
) -> int:
    """Say where in the memory each array begins, -1 where there is none; return its size."""
    slots, closed, times = int(g.offered), workload.parent is not None, rows * int(g.times)
    placed = closed and not (workload.queue is None and workload.worker is None)
    g.sizes = max(int(queues["weight"].max()), int(g.busy_budget), 8) + 1
    sizes = {
        "latency": BUCKETS * len(queues),
        "sizes": int(g.sizes),
        "cstate": 2 * len(host.cstates),
        "row": slots if numbered else -1,
        "queue": slots if len(queues) > 1 else -1,
        "worker": slots if workload.worker is not None else -1,
        "place": rows if placed else -1,
        "size": rows if workload.size is not None else -1,
        "answer_size": rows if workload.answer_size is not None else -1,
        "scheduled": rows if closed and workload.scheduled else -1,
        "next_ready": slots,
        "why": 5 * slots * int(g.causes),
        "cause": len(CAUSES) * BUCKETS * int(g.causes),
        "tail": len(CAUSES) * BUCKETS * int(g.causes),
        "tx": len(queues) * int(g.tx_size) * int(g.tx_completions),
        "delivered": times,
        "started": times,
        "done": times,
        "follower": FOLLOWER * rows if closed else 0,
        "heap": rows if closed else 0,
        "bucket": int(g.buckets),
        **memory_ahead(g, len(queues)),
    }
    g.memory_size = 0
    for name, size in sizes.items():
        g[f"{name}_at"] = -1 if size < 0 else g.memory_size
        g.memory_size += max(0, size)
    g.heap_at += max(0, sizes["heap"] - 1)  # it grows downwards
    queues["tx_base"] = np.arange(len(queues)) * int(g.tx_size)
    return int(g.memory_size)


def _write_columns(g: Any, workload: Workload, host: Host, memory: Int64s) -> None:
    """Write what the engine reads of the workload and the host by row."""
    rows = len(workload.arrival_ns)
    for begin, column in (
        (g.size_at, workload.size),
        (g.answer_size_at, workload.answer_size),
        (g.scheduled_at, workload.arrival_ns if workload.scheduled else None),
    ):
        if column is not None:
            memory[begin:][:rows] = column
    if g.place_at >= 0:
        queue, worker = (0 if c is None else c for c in (workload.queue, workload.worker))
        memory[g.place_at :][:rows] = queue * WORKERS + worker
    memory[g.cstate_at :][: 2 * len(host.cstates)] = np.array(host.cstates, np.int64).ravel()
