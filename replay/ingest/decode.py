"""Every packet of a capture decoded, and its flow numbered, batch by batch.

One thread reads and decodes, another numbers flows; batches of rows go round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.ingest.flow_state import (
    NONE,
    end_turns,
    follow_flows,
    new_state,
    pair_flows,
    with_state_of,
)
from replay.ingest.flows import (
    FlowTable,
    Keys,
    new_keys,
    new_table,
    number_flows,
    one_of_two,
    with_room,
)
from replay.ingest.packet import read_headers
from replay.ingest.records import BLOCK, ROWS, Capture, Columns, Int64s
from replay.ingest.times import Clock
from replay.mapped import forget_code
from replay.trace.schema import PacketStatus

#: Batches on their way: one is filled, one is followed, one is written.
BATCHES = 3


class Batch(NamedTuple):
    """Decoded packets, and what their flows are found by."""

    columns: Columns
    keys: Keys
    sequence: Int64s

    def part(self, first: int, behind: int) -> Batch:
        """Return the rows from `first` up to `behind`, sharing memory."""
        return Batch(
            self.columns.part(first, behind),
            self.keys.part(first, behind),
            self.sequence[first:behind],
        )


class Decoded:
    """What is known of the packets of a capture, in the file's order, and of its flows.

    Flows are numbered in order of appearance.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.flows = 0
        self.table: FlowTable = new_table(BLOCK)
        self.state = new_state(BLOCK)
        self.status = np.zeros(len(PacketStatus), dtype=np.int64)  # packets of each
        self._connections = 0
        self._table_of_connections: FlowTable = new_table(BLOCK)
        self._first = np.full(BLOCK, NONE, dtype=np.int64)  # flow of each connection
        self._late = np.empty((ROWS, 2), dtype=np.int64)

    def add(self, batch: Batch) -> Int64s:
        """Number the flows of the next batch; return whose turns it ended, as `end_turns` does."""
        rows = len(batch.sequence)
        for first in range(0, rows, BLOCK):
            part = batch.part(first, min(first + BLOCK, rows))
            self._number(part.keys, part.columns.flow)
            follow_flows(part.columns, part.sequence, self.state, self.status)
        columns = batch.columns
        late = end_turns(columns, self.clock.packets, self.state, self._late)
        self.clock.look(columns.time)
        return self._late[:late]

    def _number(self, keys: Keys, found: npt.NDArray[np.int32]) -> None:
        """Write the flow of each key into `found`; tell new flows whom they answer."""
        rows, before = len(found), self.flows
        self.table = table = with_room(self.table, before, rows)
        self.flows = number_flows(keys, rows, table, before, found)
        new = self.flows - before
        if not new:
            return
        self.state = with_state_of(self.state, self.flows)
        ends, own = one_of_two(table.keys.part(before, self.flows))
        self._table_of_connections = table = with_room(
            self._table_of_connections, self._connections, new
        )
        connections = np.empty(new, dtype=np.int32)
        self._connections = number_flows(ends, new, table, self._connections, connections)
        if self._connections > len(self._first):
            more = np.full(2 * self._connections - len(self._first), NONE, dtype=np.int64)
            self._first = np.concatenate([self._first, more])
        pair_flows(connections, own, before, self._first, self.state)


def decode_capture(
    capture: Capture, take: Callable[[Batch], Future[None] | None], done: Callable[[], None]
) -> None:
    """Decode every packet of `capture`, and let another thread `take` them, a batch at a time.

    A batch is filled again once the future that `take` returns is over. `done` is called now and
    then.
    """
    forget_code()  # most of what its import touched is not needed to load functions
    free = [new_batch() for _ in range(BATCHES)]
    busy: deque[tuple[Batch, Future[Future[None] | None]]] = deque()
    rows, most = 0, 0  # a short batch first: it loads all functions of this pass
    batch = free.pop()
    links = np.zeros(0, dtype=np.int64)  # of the interfaces met so far
    with ThreadPoolExecutor(1) as other:
        for block, filled in capture.blocks():
            interfaces = capture.findings.interfaces
            if len(links) < len(interfaces):
                links = np.array([it.link for it in interfaces], dtype=np.int64)
            if rows and rows + filled > most:
                busy.append((batch, other.submit(take, batch.part(0, rows))))
                rows = 0
                if not most or not free:
                    batch, before = busy.popleft()
                    _finish(before.result())
                else:
                    batch = free.pop()
                if not most:
                    forget_code()
                    most = ROWS
                done()
            read_headers(
                capture.window.data,
                block,
                filled,
                links,
                batch.columns,
                batch.keys,
                batch.sequence,
                rows,
            )
            rows += filled
        busy.append((batch, other.submit(take, batch.part(0, rows))))
        for _, before in busy:
            _finish(before.result())


def _finish(taken: Future[None] | None) -> None:
    """Wait until a batch that was taken is not needed any more."""
    if taken is not None:
        taken.result()


def new_batch() -> Batch:
    """Return room for the rows of a batch."""
    return Batch(
        Columns.empty(ROWS),
        new_keys(ROWS),
        np.empty(ROWS, dtype=np.int64),
    )
