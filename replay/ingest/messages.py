"""What each packet is to the server: request, part of one, acknowledgement, control or answer.

A message ends with the packet that has PSH or FIN, or that the other side answers; a datagram is a
message. A repeated TCP segment wakes nobody: it counts as an acknowledgement. An answer belongs to
the oldest request that was not answered to its end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place, jit_inside
from replay.engine.intrinsics import at
from replay.ingest.flow_state import BYTES, FIRST, LAST, NONE
from replay.ingest.headers import (
    END_OF_MESSAGE,
    FIN,
    OUTGOING,
    REPEATED,
    RST,
    SYN,
    TRANSPORT,
)
from replay.ingest.records import LAST_OF_TURN, ROWS, Columns
from replay.ingest.server import ELSEWHERE, FROM_SERVER, Sides
from replay.trace.schema import PacketKind

Int64s = npt.NDArray[np.int64]
Answerable = npt.NDArray[np.bool_]

_REQUEST, _ACK, _CONTROL = int(PacketKind.REQUEST), int(PacketKind.ACK), int(PacketKind.CONTROL)
_TX, _DATA = int(PacketKind.TX), int(PacketKind.DATA)

_ENDS = END_OF_MESSAGE | FIN | LAST_OF_TURN

#: Columns of the flows' facts, shape (flows, 4), side by side: each packet looks them up.
_SIDE, _CONNECTION, _NUMBER, _ANSWERABLE, _FACTS = 0, 1, 2, 3, 4

#: Columns of the connections' state, shape (flows, 6), by the lower flow of the two.
_ANSWERED = 0  # row of the request that is being answered, or was last
_COMPLETE = 1  # whether its answer was seen to end
_NEXT, _NEWEST = 2, 3  # the requests behind it, from the next to the newest: places in `waiting`
_ANSWER_TIME = 4  # of the last packet of any answer
_WAITING = 5  # whether nothing answered the last request yet
_STATE_COLUMNS = 6

#: Requests that wait behind others of their connection, shape (room, 2): row, and place of the
#: next. Place 0 holds how many places were ever used, and the first of those that are free again.
_ROW, _BEHIND = 0, 1
_USED, _FREE = 0, 1

#: More requests than this never wait at once; the answers of those beyond are not told apart.
MOST_WAITING = 1 << 20


class Messages(NamedTuple):
    """Each but the last of shape (packets,); NONE where there is none."""

    flow: npt.NDArray[np.int32]  # row of the flows table
    kind: npt.NDArray[np.uint8]  # PacketKind
    reply_to: Int64s  # row
    think: Int64s  # ns
    none: Int64s  # (4,): packets without flow, payload, reply_to and think

    @classmethod
    def empty(cls, rows: int) -> Messages:
        """Return room for `rows` packets."""
        return cls(
            np.empty(rows, dtype=np.int32),
            np.empty(rows, dtype=np.uint8),
            np.empty(rows, dtype=np.int64),
            np.empty(rows, dtype=np.int64),
            np.zeros(4, dtype=np.int64),
        )

    def part(self, rows: int) -> Messages:
        """Return the first `rows`, sharing memory."""
        return Messages(
            self.flow[:rows], self.kind[:rows], self.reply_to[:rows], self.think[:rows], self.none
        )


class Counts(NamedTuple):
    """What a capture was seen to hold."""

    requests: int
    answers: int  # packets with payload from the server
    following: int  # requests that an answer to the connection's request before them precedes
    overlapping: int  # requests sent while the one before them waited
    repeated: int  # TCP segments seen before
    beyond: int  # requests that waited beyond MOST_WAITING


#: The places of Counts.
_REQUESTS, _ANSWERS, _FOLLOWING, _OVERLAPPING, _REPEATED, _BEYOND = 0, 1, 2, 3, 4, 5


class Follower:
    """Follows all connections of a capture, batch by batch, in order of time.

    `most` requests wait at once for others of their connection.
    """

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.flows = 0
        self._facts = np.empty((0, _FACTS), dtype=np.int32)
        self._state = np.empty((0, _STATE_COLUMNS), dtype=np.int64)
        self._most = most
        self._waiting = np.zeros((min(ROWS, most), 2), dtype=np.int64)
        self._counts = np.zeros(len(Counts._fields), dtype=np.int64)
        self._rows = 0

    def know(self, side: Sides, connection: Int64s, number: Int64s, answerable: Answerable) -> None:
        """Learn of more flows: side, connection, row of the flows table, whether it is answered."""
        first, self.flows = self.flows, self.flows + len(side)
        if self.flows > len(self._facts):
            more = self.flows + first - len(self._facts)
            self._facts = np.concatenate([self._facts, np.empty((more, _FACTS), dtype=np.int32)])
            fresh = np.full((more, _STATE_COLUMNS), NONE, dtype=np.int64)
            self._state = np.concatenate([self._state, fresh])
        new = self._facts[first : self.flows]
        new[:, _SIDE], new[:, _CONNECTION], new[:, _NUMBER] = side, connection, number
        new[:, _ANSWERABLE] = answerable

    @property
    def side(self) -> npt.NDArray[np.int32]:
        """The side of each flow."""
        return self._facts[: self.flows, _SIDE]

    def follow(self, columns: Columns, state: Int64s, messages: Messages) -> None:
        """Write what the next packets are; bring times and bytes of the flows' state up to date.

        The flows of `columns` become rows of the flows table in `messages`.
        """
        rows = len(columns.time)
        used = int(self._waiting[0, _USED]) + 1 + rows
        if used > len(self._waiting) and len(self._waiting) < self._most:
            larger = np.zeros((min(2 * used, self._most), 2), dtype=np.int64)
            larger[: len(self._waiting)] = self._waiting
            self._waiting = larger
        _follow(
            columns,
            self._rows,
            self._facts,
            state,
            self._state,
            self._waiting,
            messages,
            self._counts,
        )
        self._rows += rows

    @property
    def counts(self) -> Counts:
        """What was seen so far."""
        return Counts(*self._counts.tolist())


@jit_in_place
def _follow(
    columns: Columns,
    first: int,
    facts: npt.NDArray[np.int32],
    flows: Int64s,
    state: Int64s,
    waiting: Int64s,
    messages: Messages,
    counts: Int64s,
) -> None:
    """Walk through packets, of which the first is row `first` of all; add to `counts`."""
    requests = answers = repeated = strangers = unknown = alone = quick = 0
    for i in range(len(columns.time)):
        row = at(i)
        flow, marks, payload = columns.flow[row], columns.marks[row], columns.payload[row]
        kind, reply_to, think, side, connection = _CONTROL, NONE, NONE, ELSEWHERE, NONE
        time, number = columns.time[row], NONE
        if flow >= 0:
            fact, known = facts[at(flow)], flows[at(flow)]
            side, connection, number = fact[_SIDE], fact[_CONNECTION], fact[_NUMBER]
            if known[FIRST] == NONE:
                known[FIRST] = time
            known[LAST] = time
            known[BYTES] += np.int64(columns.length[row])
        if marks & REPEATED:
            repeated += 1
        if side == ELSEWHERE:
            if marks & OUTGOING:
                kind = _TX
        elif side == FROM_SERVER:
            kind = _TX
            if payload > 0 and marks & TRANSPORT:
                answers += 1
                reply_to = _answer(state[at(connection)], marks, waiting)
                state[at(connection), _ANSWER_TIME] = time
        elif marks & TRANSPORT and not marks & RST and payload > 0:
            if marks & REPEATED:
                kind = _ACK
            elif marks & _ENDS:
                kind = _REQUEST
                requests += 1
                one = state[at(connection)]
                if one[_ANSWER_TIME] != NONE:
                    think = time - one[_ANSWER_TIME]
                _request(first + i, one, facts[at(flow), _ANSWERABLE], waiting, counts)
            else:
                kind = _DATA
        elif marks & TRANSPORT and not marks & (SYN | FIN | RST) and payload == 0:
            kind = _ACK
            if state[at(connection), _ANSWER_TIME] != NONE:
                reply_to = state[at(connection), _ANSWERED]
        messages.flow[row] = number
        messages.kind[row] = kind
        messages.reply_to[row] = reply_to
        messages.think[row] = think
        strangers += number < 0
        unknown += payload < 0
        alone += reply_to < 0
        quick += think < 0
    none = messages.none
    none[0], none[1], none[2], none[3] = strangers, unknown, alone, quick
    counts[_REQUESTS] += requests
    counts[_ANSWERS] += answers
    counts[_REPEATED] += repeated


@jit_inside
def _request(row: int, one: Int64s, answerable: int, waiting: Int64s, counts: Int64s) -> None:
    """Note that `row` ends a message to the server, and whether the one before it waits."""
    if one[_WAITING] == 0:
        counts[_FOLLOWING] += 1
    elif one[_WAITING] == 1:
        counts[_OVERLAPPING] += 1
    one[_WAITING] = 1
    if one[_ANSWERED] == NONE:
        one[_ANSWERED], one[_COMPLETE] = row, 0
    elif answerable:
        place = waiting[0, _FREE]
        if place:
            waiting[0, _FREE] = waiting[at(place), _BEHIND]
        elif waiting[0, _USED] + 1 < len(waiting):
            waiting[0, _USED] += 1
            place = waiting[0, _USED]
        else:
            counts[_BEYOND] += 1
            return
        waiting[place, _ROW], waiting[place, _BEHIND] = row, NONE
        if one[_NEXT] == NONE:
            one[_NEXT] = place
        else:
            waiting[one[_NEWEST], _BEHIND] = place
        one[_NEWEST] = place


@jit_inside
def _answer(one: Int64s, marks: int, waiting: Int64s) -> int:
    """Return the request that a packet of the server with these marks answers, or NONE."""
    if one[_ANSWERED] == NONE:
        return NONE
    place = one[_NEXT]
    if one[_COMPLETE] == 1 and place != NONE and not marks & REPEATED:
        one[_ANSWERED], one[_COMPLETE] = waiting[at(place), _ROW], 0
        one[_NEXT] = waiting[at(place), _BEHIND]
        waiting[at(place), _BEHIND], waiting[0, _FREE] = waiting[0, _FREE], place
    if marks & END_OF_MESSAGE:
        one[_COMPLETE] = 1
    if one[_NEXT] == NONE:
        one[_WAITING] = 0
    answered: int = one[_ANSWERED]
    return answered
