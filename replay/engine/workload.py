"""What an island has to do: its packets as they arrive, and how they depend on answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from replay.mapped import chunks

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Workload:
    """The packets offered to one island. All arrays are int64 of shape (packets,).

    Open arrivals: `parent` is None and packets arrive as recorded.
    Closed arrivals: a packet with a parent arrives `think_ns` after the response to that earlier
    request is transmitted, whenever that is; its `arrival_ns` is not used. Where they are
    `scheduled`, it arrives then or at its `arrival_ns`, whichever is later: a client that sends at
    given times, but one request at a time.
    """

    arrival_ns: Int64s  # sorted, ns since the start
    service_ns: Int64s  # application time of a request; -1 for a packet that wakes nobody
    duration_ns: int  # the replay ends here; what arrives later is not offered
    parent: Int64s | None = None  # index of the request it follows; -1 where there is none
    think_ns: Int64s | None = None
    queue: Int64s | None = None  # the island's queue that receives it; None: all queue 0
    worker: Int64s | None = None  # the island's worker that serves it; None: all worker 0
    size: Int64s | None = None  # bytes, for adaptive moderation; None: all alike
    answer_size: Int64s | None = None  # bytes of the response to a request; None: all alike
    scheduled: bool = False  # closed arrivals come no earlier than their arrival_ns

    @property
    def closed(self) -> bool:
        """Whether arrivals follow responses."""
        return self.parent is not None

    @cached_property
    def requests(self) -> int:
        """Number of requests that arrive, as recorded, within the duration."""
        inside = int(np.searchsorted(self.arrival_ns, self.duration_ns))
        return count_requests(self.service_ns[:inside])


def count_requests(service_ns: Int64s) -> int:
    """Return the number of packets with a service, chunk by chunk."""
    return sum(int(np.count_nonzero(service_ns[it] >= 0)) for it in chunks(len(service_ns)))
