"""Every packet of a capture decoded, and its flow numbered, batch by batch.

One thread reads, decodes and numbers flows, another follows them; batches of rows go round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from replay.ingest.flow_state import (
    NONE,
    follow_flows,
    new_state,
    pair_flows,
    with_state_of,
)
from replay.ingest.flows import (
    FlowTable,
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


#: Flows that there is room for at first.
_ROOM = 1 << 16


#: Fewer packets than this in a window make it larger.
_FEW = 1_024


class Batch(NamedTuple):
    """Decoded packets, and the flows met up to the last of them."""

    columns: Columns
    sequence: Int64s
    flows: int
    table: FlowTable


class Decoded:
    """What is known of the packets of a capture, in the file's order, and of its flows.

    Flows are numbered in order of appearance.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.flows = 0
        self.table: FlowTable = new_table(1)
        self.state = new_state(BLOCK)
        self.status = np.zeros(len(PacketStatus), dtype=np.int64)  # packets of each
        self._connections = 0
        self._table_of_connections: FlowTable = new_table(_ROOM)
        self._first = np.full(BLOCK, NONE, dtype=np.int64)  # flow of each connection
        self._late = np.empty((ROWS, 2), dtype=np.int64)

    def add(self, batch: Batch) -> Int64s:
        """Follow the flows of the next batch; return whose turns it ended, as `end_turns` does."""
        self._meet(batch)
        columns, first = batch.columns, self.clock.packets
        late = follow_flows(columns, batch.sequence, first, self.state, self.status, self._late)
        self.clock.look(columns.time)
        return self._late[:late]

    def _meet(self, batch: Batch) -> None:
        """Tell the flows that are new in a batch whom they answer."""
        before, self.flows, self.table = self.flows, batch.flows, batch.table
        new = self.flows - before
        if not new:
            return
        self.state = with_state_of(self.state, self.flows)
        ends, own = one_of_two(self.table.keys.part(before, self.flows))
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
    free = [_Room() for _ in range(BATCHES)]
    busy: deque[tuple[_Room, Future[Future[None] | None]]] = deque()
    rows, most = 0, 0  # a short batch first: it loads all functions of this pass
    room = free.pop()
    keys, table, flows = new_keys(BLOCK), new_table(_ROOM), 0
    links = np.zeros(0, dtype=np.int64)  # of the interfaces met so far
    with ThreadPoolExecutor(1) as other:
        for block, filled in capture.blocks():
            interfaces = capture.findings.interfaces
            if len(links) < len(interfaces):
                links = np.array([it.link for it in interfaces], dtype=np.int64)
            if rows and rows + filled > most:
                busy.append((room, other.submit(take, room.batch(rows, flows, table))))
                rows = 0
                if not most or not free:
                    room, before = busy.popleft()
                    _finish(before.result())
                else:
                    room = free.pop()
                if not most:
                    forget_code()
                    most = ROWS
                done()
            data, columns = capture.window.data, room.columns
            read_headers(data, block, filled, links, columns, keys, room.sequence, rows)
            table = with_room(table, flows, filled)
            flows = number_flows(keys, filled, table, flows, columns.flow[rows : rows + filled])
            rows += filled
            if filled < _FEW:
                capture.window.widen()
        busy.append((room, other.submit(take, room.batch(rows, flows, table))))
        for _, before in busy:
            _finish(before.result())


def _finish(taken: Future[None] | None) -> None:
    """Wait until a batch that was taken is not needed any more."""
    if taken is not None:
        taken.result()


class _Room:
    """Room for the rows of a batch."""

    def __init__(self) -> None:
        self.columns = Columns.empty(ROWS)
        self.sequence = np.empty(ROWS, dtype=np.int64)

    def batch(self, rows: int, flows: int, table: FlowTable) -> Batch:
        """Return the first `rows` as a batch, sharing memory."""
        return Batch(self.columns.part(0, rows), self.sequence[:rows], flows, table)
