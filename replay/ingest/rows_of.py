"""Which of the events are of one kind and device, without a look at all of them at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.engine.accelerate import jit_in_place
from replay.ingest.reconstruct_state import Columns

Int64s = npt.NDArray[np.int64]


def rows_of(events: Columns, kind: int, device: int) -> Int64s:
    """Return the rows of the events of this kind and device."""
    steps = list(mapped.steps(len(events.kind)))
    count = sum(int(_count(events.kind[it], events.device[it], kind, device)) for it in steps)
    rows = mapped.column(count)
    filled = 0
    for part in mapped.steps(len(events.kind)):
        of = events.kind[part], events.device[part]
        filled = int(_fill(*of, kind, device, part.start, rows, filled))
    return rows


def places(events: Columns) -> tuple[int, int]:
    """Return how much room there must be for what is kept by CPU, and by thread id."""
    cpus = threads = 0
    for part in mapped.steps(len(events.cpu)):
        cpus = max(cpus, int(events.cpu[part].max()))
        threads = max(threads, int(events.tid[part].max()))
    return cpus + 1, threads + 1


@jit_in_place
def _count(
    kinds: npt.NDArray[np.uint8], devices: npt.NDArray[np.uint16], kind: int, device: int
) -> int:
    count = 0
    for row in range(len(kinds)):
        count += (kinds[row] == kind) & (devices[row] == device)
    return count


@jit_in_place
def _fill(
    kinds: npt.NDArray[np.uint8],
    devices: npt.NDArray[np.uint16],
    kind: int,
    device: int,
    begin: int,
    rows: Int64s,
    filled: int,
) -> int:
    """Write the rows, the first of which is `begin`; returns how many there are now."""
    for row in range(len(kinds)):
        if kinds[row] == kind and devices[row] == device:
            rows[filled] = begin + row
            filled += 1
    return filled
