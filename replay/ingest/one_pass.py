"""A capture written while it is read: the server is guessed from the first packets.

What only later packets could tell is not waited for. Where they tell something else than was
written (UnsettledError), the capture must be read again, in two passes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.errors import TraceError
from replay.ingest.capture_tables import packets_batch, packets_schema
from replay.ingest.decode import BATCHES, Batch, Decoded, decode_capture
from replay.ingest.flow_state import ASKS, NONE, PACKETS, REVERSE
from replay.ingest.messages import Counts, Follower, Messages
from replay.ingest.parties import Guess, Parties, parties_of
from replay.ingest.records import ROWS, Capture
from replay.ingest.rows import Rows
from replay.ingest.server import FROM_SERVER, TO_SERVER, Server, ends_of, infer_server
from replay.mapped import read_only
from replay.trace.table_file import table_file, write_pieces

Int64s = npt.NDArray[np.int64]

#: More requests than this never wait at once while the server is a guess.
_MOST_WAITING = 1 << 18

#: The server is inferred again when there are so many times as many flows.
_MORE_FLOWS = 8


class UnsettledError(Exception):
    """What was written is not what the capture says."""


def write_at_once(
    capture: Capture, folder: Path, named: Server | None, done: Callable[[], None]
) -> tuple[Decoded, Parties, Counts]:
    """Write the packets table into `folder`; return what was read, of whom, and what was said.

    `named` is the server, where somebody named it; `done` is called now and then. Raises
    UnsettledError, and OSError where there is no room.
    """
    one = _OnePass(named)
    with _Table(folder) as table, ThreadPoolExecutor(1) as other:

        def take(batch: Batch) -> Future[None]:
            rows, messages = one.follow(batch)
            return other.submit(table.write, packets_batch(one.schema, rows, messages))

        decode_capture(capture, take, done)
    parties = one.settled()
    if not np.array_equal(parties.order, np.arange(len(parties.order))):
        _renumber(folder / "packets.arrow", parties.order)
    return one.decoded, parties, one.counts


class _OnePass:
    """Follows the packets of a capture as they come."""

    def __init__(self, named: Server | None) -> None:
        self.decoded = Decoded()
        self.schema = pa.schema([])  # of the packets table
        self._named = named
        self._follower = Follower(_MOST_WAITING)
        self._guess: Guess | None = None
        self._inferred = 0  # flows of which the server was inferred last
        self._rooms = [Messages.empty(ROWS) for _ in range(BATCHES)]
        self._batches = 0

    @property
    def counts(self) -> Counts:
        """What was seen so far."""
        return self._follower.counts

    def settled(self) -> Parties:
        """Return who speaks with whom. Raises UnsettledError where that is not what was guessed."""
        parties = parties_of(self.decoded, self._named)
        answered = bool((parties.side == FROM_SERVER).any())
        if answered != ("reply_to" in self.schema.names):
            raise UnsettledError
        if not np.array_equal(parties.side, self._follower.side):
            raise UnsettledError
        return parties

    def follow(self, batch: Batch) -> tuple[Rows, Messages]:
        """Return the rows of a batch as they are to be written. Raises UnsettledError."""
        decoded, columns = self.decoded, batch.columns
        late = decoded.add(batch)
        clock = decoded.clock
        if clock.untimed or clock.backwards or clock.origin is None:
            raise UnsettledError
        self._meet()
        if (self._follower.side[late[:, 1]] == TO_SERVER).any():
            raise UnsettledError  # a request ended in a batch that was written
        np.subtract(columns.time, clock.origin, out=columns.time)
        messages = self._rooms[self._batches % len(self._rooms)].part(len(columns.time))
        self._batches += 1
        self._follower.follow(columns, decoded.state, messages)
        if self._follower.counts.beyond:
            raise UnsettledError
        return Rows(columns), messages

    def _meet(self) -> None:
        """Guess the sides of the flows that are new."""
        decoded, known = self.decoded, self._follower.flows
        if known == decoded.flows and self._guess is not None:
            return
        state = decoded.state[: decoded.flows]
        if self._guess is None:
            try:
                parties = parties_of(decoded, self._named)
            except TraceError:  # who was named comes later, or never
                raise UnsettledError from None
            self._guess = Guess(parties.host, named=self._named)
            self._inferred = decoded.flows
            self.schema = packets_schema(not (parties.side == FROM_SERVER).any(), False)
            side = parties.side
        else:
            if self._named is None and decoded.flows >= _MORE_FLOWS * self._inferred:
                ends = ends_of(decoded.table, state[:, REVERSE].copy())
                if not self._guess.agrees(infer_server(ends, state[:, ASKS], state[:, PACKETS])):
                    raise UnsettledError
                self._inferred = decoded.flows
            side = self._guess.sides(decoded.table.keys.ends[known : decoded.flows], known, state)
        own = np.arange(known, decoded.flows)
        reverse = state[known:, REVERSE]
        connection = np.where(reverse == NONE, own, np.minimum(reverse, own))
        # That nobody will answer is not known: nothing but memory is lost.
        self._follower.know(side, connection, own, np.ones(len(own), dtype=np.bool_))


class _Table:
    """The packets table, opened when its first batch says which columns it has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context: Any = None
        self._writer: Any = None

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *problem: Any) -> None:
        if self._context is not None:
            self._context.__exit__(*problem)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the next batch."""
        if self._context is None:
            self._context = table_file(self._folder / "packets.arrow", batch.schema, None)
            self._writer = self._context.__enter__()
        self._writer.write_batch(batch)


def _renumber(path: Path, order: Int64s) -> None:
    """Replace flow order[i] by i in the packets table at `path`."""
    number = np.full(len(order) + 1, NONE, dtype=np.int32)  # the last: of packets without a flow
    number[order] = np.arange(len(order))
    whole = pa.py_buffer(read_only(path))
    reader = pa.ipc.open_file(pa.BufferReader(whole))
    with path.open("r+b", buffering=0) as file:
        for i in range(reader.num_record_batches):
            _, values = reader.get_batch(i).column("flow").buffers()
            if values is not None:
                found = number[np.frombuffer(values, dtype=np.int32)]
                file.seek(values.address - whole.address)
                write_pieces(file.fileno(), [found.data])
