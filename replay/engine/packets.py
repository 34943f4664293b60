"""The packets of an island: arrays that kernels reach by their addresses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_inline
from replay.engine.followers import plan
from replay.engine.intrinsics import bytes_at, int64s_at
from replay.engine.workload import Int64s, Workload
from replay.mapped import zeros


class Packets(NamedTuple):
    """Packets in the order they arrive."""

    when: Int64s  # shape (packets,); only read
    service: Int64s  # shape (packets,); only read
    lost: npt.NDArray[np.uint8]  # 1: the ring was full; shape (packets,)
    memory: Int64s  # all that is written and grows with the packets, one array after another


@jit_inline
def packets(k: Any) -> Packets:
    """Return the arrays of a replay. Its caller holds them: here only their addresses are known.

    Passed as arguments, each array would cost seven words at every call.
    """
    return Packets(
        int64s_at(k.when, k.offered),
        int64s_at(k.service, k.offered),
        bytes_at(k.lost, k.offered),
        int64s_at(k.memory, k.memory_size),
    )


def new_packets(workload: Workload, k: np.record) -> Packets:
    """Lay out the arrays of a replay and note their addresses; they must live as long as `k`.

    Open arrivals are used where they lie.
    """
    memory = zeros(int(k.memory_size) + 7)
    memory = memory[-(memory.ctypes.data // 8) % 8 :][: k.memory_size]  # begins a cache line
    if k.times:
        memory[k.delivered_at : k.done_at + len(workload.arrival_ns)] = -1
    if workload.parent is None:
        offered = int(np.searchsorted(workload.arrival_ns, workload.duration_ns))
        when, service = workload.arrival_ns[:offered], workload.service_ns[:offered]
    else:
        offered = len(workload.arrival_ns)
        when = memory[k.when_at :][:offered]
        service = memory[k.service_at :][:offered]
        k.first_arrival, k.first_waiting = plan(workload, memory, k)
        if k.scheduled_at >= 0:
            memory[k.scheduled_at :][:offered] = workload.arrival_ns
    arrays = Packets(
        np.ascontiguousarray(when, np.int64),
        np.ascontiguousarray(service, np.int64),
        zeros(offered, np.uint8),
        memory,
    )
    k.offered = offered
    for name, array in arrays._asdict().items():
        k[name] = array.ctypes.data
    return arrays
