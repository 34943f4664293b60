"""What flows amount to: their packets and bytes, and when the first and the last packet came."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay import mapped

Int64s = npt.NDArray[np.int64]


class FlowTotals(NamedTuple):
    """By flow."""

    first: Int64s  # ns; of a flow without packets later than any time
    last: Int64s  # ns
    packets: Int64s
    size: Int64s  # bytes


def flow_totals(
    flows: int, packets: int, part: Callable[[slice], tuple[Int64s, Int64s, Int64s]]
) -> FlowTotals:
    """Count the packets of `flows` flows.

    part: of some of the packets, their flows (-1: none), times (ns) and lengths (bytes).
    """
    found = FlowTotals(
        np.full(flows, np.iinfo(np.int64).max), *(np.zeros(flows, np.int64) for _ in range(3))
    )
    for rows in mapped.steps(packets):
        flow, time, length = part(rows)
        seen = flow >= 0
        mine, time = flow[seen], time[seen]
        np.minimum.at(found.first, mine, time)
        np.maximum.at(found.last, mine, time)
        np.add.at(found.packets, mine, 1)
        np.add.at(found.size, mine, length[seen])
    return found
