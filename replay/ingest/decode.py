"""The first pass through a capture: every packet decoded, its flow numbered, rows put aside.

One thread reads and decodes, another numbers flows and writes; batches of rows go round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import COMPILER
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
from replay.ingest.records import BLOCK, LAST_OF_TURN, ROWS, Capture, Columns, Int64s
from replay.ingest.spool import Spool
from replay.ingest.times import Clock
from replay.mapped import forget_code
from replay.trace.schema import PacketStatus

#: Batches on their way: one is filled, one is emptied, one waits.
_BATCHES = 3

MARKS = Columns._fields.index("marks")


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
    """All packets of a capture, in the file's order, and its flows in order of appearance."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.clock = Clock()
        self.flows = 0
        self.table: FlowTable = new_table(BLOCK)
        self.state = new_state(BLOCK)
        self.status = np.zeros(len(PacketStatus), dtype=np.int64)  # packets of each
        self._connections = 0
        self._table_of_connections: FlowTable = new_table(BLOCK)
        self._first = np.full(BLOCK, NONE, dtype=np.int64)  # flow of each connection
        self._late = np.empty(ROWS, dtype=np.int64)

    def add(self, batch: Batch) -> None:
        """Number the flows of the next batch, and put its rows aside."""
        rows = len(batch.sequence)
        for first in range(0, rows, BLOCK):
            part = batch.part(first, min(first + BLOCK, rows))
            self._number(part.keys, part.columns.flow)
            follow_flows(part.columns, part.sequence, self.state)
        columns = batch.columns
        late = end_turns(columns, self.spool.rows, self.state, self._late)
        for row in self._late[:late].tolist():
            self.spool.set_bits(row, MARKS, LAST_OF_TURN)
        self.clock.look(columns.time)
        self.status += np.bincount(columns.status, minlength=len(PacketStatus))
        self.spool.append(columns)

    def _number(self, keys: Keys, found: npt.NDArray[np.int32]) -> None:
        """Write the flow of each key into `found`; tell new flows whom they answer."""
        rows, before = len(found), self.flows
        self.table = table = with_room(self.table, before, rows)
        self.flows = number_flows(keys, rows, table.keys, table.slots, before, found)
        new = self.flows - before
        if not new:
            return
        self.state = with_state_of(self.state, self.flows)
        ends, own = one_of_two(table.keys.part(before, self.flows))
        self._table_of_connections = table = with_room(
            self._table_of_connections, self._connections, new
        )
        connections = np.empty(new, dtype=np.int32)
        self._connections = number_flows(
            ends, new, table.keys, table.slots, self._connections, connections
        )
        if self._connections > len(self._first):
            more = np.full(2 * self._connections - len(self._first), NONE, dtype=np.int64)
            self._first = np.concatenate([self._first, more])
        pair_flows(connections, own, before, self._first, self.state)


def decode_capture(capture: Capture, spool: Spool, done: Callable[[], None]) -> Decoded:
    """Decode every packet of `capture`; rows, of the types KINDS, are put into `spool`.

    `done` is called now and then. Raises OSError where there is no room for the rows.
    """
    forget_code(COMPILER)  # most of what its import touched is not needed to load functions
    decoded = Decoded(spool)
    free = [new_batch() for _ in range(_BATCHES)]
    busy: deque[tuple[Batch, Future[None]]] = deque()
    rows, most = 0, 0  # a short batch first: it loads all functions of this pass
    batch = free.pop()
    with ThreadPoolExecutor(1) as other:
        for block, filled in capture.blocks():
            links = np.array([it.link for it in capture.findings.interfaces] or [0], dtype=np.int64)
            if rows and rows + filled > most:
                busy.append((batch, other.submit(decoded.add, batch.part(0, rows))))
                rows = 0
                if not most or not free:
                    batch, before = busy.popleft()
                    before.result()
                else:
                    batch = free.pop()
                if not most:
                    forget_code(COMPILER)
                    most = ROWS
                done()
            here = batch.part(rows, rows + filled)
            read_headers(
                capture.window.data, block, filled, links, here.columns, here.keys, here.sequence
            )
            rows += filled
        for _, before in busy:
            before.result()
        decoded.add(batch.part(0, rows))
    return decoded


def new_batch() -> Batch:
    """Return room for the rows of a batch."""
    return Batch(
        Columns.empty(ROWS),
        new_keys(ROWS),
        np.empty(ROWS, dtype=np.int64),
    )
