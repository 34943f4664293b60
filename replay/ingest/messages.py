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
from replay.ingest.headers import (
    ACK,
    END_OF_MESSAGE,
    FIN,
    OUTGOING,
    REPEATED,
    RST,
    SYN,
    TRANSPORT,
)
from replay.ingest.records import Columns
from replay.ingest.server import ELSEWHERE, FROM_SERVER
from replay.trace.schema import PacketKind

Int64s = npt.NDArray[np.int64]

_REQUEST, _ACK, _CONTROL = int(PacketKind.REQUEST), int(PacketKind.ACK), int(PacketKind.CONTROL)
_TX, _DATA = int(PacketKind.TX), int(PacketKind.DATA)

#: No such row, and no such time.
NONE = -1

#: Columns of the flows' statistics, shape (flows, 5).
FIRST, LAST, PACKETS, BYTES, ASKS = 0, 1, 2, 3, 4
STATISTICS = 5

#: Columns of the flows' facts, shape (flows, 3), side by side: each packet looks them up.
_SIDE, _CONNECTION, _NUMBER, _FACTS = 0, 1, 2, 3

#: Columns of the connections' state, shape (flows, 6), by the lower flow of the two.
_PART = 0  # row of a message's part that is not known to be its last
_ANSWERED = 1  # row of the request that is being answered, or was last
_COMPLETE = 2  # whether its answer was seen to end
_NEWEST = 3  # row of the last request
_ANSWER_TIME = 4  # of the last packet of any answer
_WAITING = 5  # whether nothing answered the last request yet
_STATE_COLUMNS = 6


class Messages(NamedTuple):
    """Each of shape (packets,); NONE where there is none."""

    flow: npt.NDArray[np.int32]  # row of the flows table
    kind: npt.NDArray[np.uint8]  # PacketKind
    reply_to: Int64s  # row
    think: Int64s  # ns


class Counts(NamedTuple):
    """What a capture was seen to hold."""

    requests: int
    answers: int  # packets with payload from the server
    following: int  # requests that an answer to the connection's request before them precedes
    overlapping: int  # requests sent while the one before them waited
    repeated: int  # TCP segments seen before


@jit_in_place
def summarise_flows(columns: Columns, statistics: Int64s) -> None:
    """Write first and last time, packets, bytes and `asks` (see server) of every flow."""
    for row in range(len(columns.flow)):
        flow = columns.flow[row]
        if flow < 0:
            continue
        one = statistics[flow]
        if one[PACKETS] == 0:
            one[FIRST] = columns.time[row]
        one[LAST] = columns.time[row]
        one[PACKETS] += 1
        one[BYTES] += np.int64(columns.length[row])
        if columns.marks[row] & SYN:
            one[ASKS] = -1 if columns.marks[row] & ACK else 1


def find_messages(
    columns: Columns, side: npt.NDArray[np.int8], connection: Int64s, order: Int64s
) -> tuple[Messages, Counts]:
    """Return each packet's kind, the request it answers or acknowledges, and think times.

    `columns` is in order of time; `side` and `connection` are by flow; row i of the flows table is
    flow order[i]. The flows of `columns` become rows of that table.
    """
    rows = len(columns.time)
    messages = Messages(
        columns.flow,
        np.empty(rows, dtype=np.uint8),
        np.empty(rows, dtype=np.int64),
        np.empty(rows, dtype=np.int64),
    )
    state = np.full((len(side), _STATE_COLUMNS), NONE, dtype=np.int64)
    following = np.empty(rows, dtype=np.int64)
    facts = np.empty((len(side), _FACTS), dtype=np.int32)
    facts[:, _SIDE], facts[:, _CONNECTION] = side, connection
    facts[order, _NUMBER] = np.arange(len(order))
    return messages, Counts(*_follow(columns, facts, messages, state, following))


@jit_in_place
def _follow(
    columns: Columns,
    facts: npt.NDArray[np.int32],
    messages: Messages,
    state: Int64s,
    next_request: Int64s,
) -> tuple[int, int, int, int, int]:
    """Walk through all packets; return the numbers of Counts.

    `next_request` chains the requests of a connection.
    """
    requests = answers = following = overlapping = repeated = 0
    for row in range(len(columns.time)):
        flow, marks, payload = columns.flow[row], columns.marks[row], columns.payload[row]
        kind, reply_to, side, connection = _CONTROL, NONE, ELSEWHERE, NONE
        messages.think[row] = NONE
        if flow >= 0:
            side, connection = facts[flow, _SIDE], facts[flow, _CONNECTION]
            messages.flow[row] = facts[flow, _NUMBER]
        if marks & REPEATED:
            repeated += 1
        if side == ELSEWHERE:
            if marks & OUTGOING:
                kind = _TX
        elif side == FROM_SERVER:
            kind = _TX
            one = state[connection]
            if payload > 0 and marks & TRANSPORT:
                answers += 1
                if one[_PART] != NONE:
                    requests += 1
                    after = _request(one[_PART], one, columns, messages, next_request)
                    following, overlapping = following + (after == 0), overlapping + (after == 1)
                reply_to = _answer(one, marks, next_request)
                one[_ANSWER_TIME] = columns.time[row]
        elif marks & TRANSPORT and not marks & RST and payload > 0:
            one = state[connection]
            if marks & REPEATED:
                kind = _ACK
            elif marks & (END_OF_MESSAGE | FIN):
                kind = _REQUEST
                requests += 1
                after = _request(row, one, columns, messages, next_request)
                following, overlapping = following + (after == 0), overlapping + (after == 1)
            else:
                kind = _DATA
                one[_PART] = row
        elif marks & TRANSPORT and not marks & (SYN | FIN | RST) and payload == 0:
            kind = _ACK
            one = state[connection]
            if one[_ANSWER_TIME] != NONE:
                reply_to = one[_ANSWERED]
        messages.kind[row] = kind
        messages.reply_to[row] = reply_to
    return requests, answers, following, overlapping, repeated


@jit_inside
def _request(
    row: int, one: Int64s, columns: Columns, messages: Messages, next_request: Int64s
) -> int:
    """Note that `row` ends a message to the server.

    Return whether the connection's request before it waited then: 1 or 0, NONE for the first.
    """
    waited: int = one[_WAITING]
    messages.kind[row] = _REQUEST
    if one[_ANSWER_TIME] != NONE:
        messages.think[row] = columns.time[row] - one[_ANSWER_TIME]
    next_request[row] = NONE
    if one[_NEWEST] != NONE:
        next_request[one[_NEWEST]] = row
    else:
        one[_ANSWERED], one[_COMPLETE] = row, 0
    one[_NEWEST], one[_WAITING], one[_PART] = row, 1, NONE
    return waited


@jit_inside
def _answer(one: Int64s, marks: int, next_request: Int64s) -> int:
    """Return the request that a packet of the server with these marks answers, or NONE."""
    if one[_ANSWERED] == NONE:
        return NONE
    if one[_COMPLETE] == 1 and next_request[one[_ANSWERED]] != NONE and not marks & REPEATED:
        one[_ANSWERED], one[_COMPLETE] = next_request[one[_ANSWERED]], 0
    if marks & END_OF_MESSAGE:
        one[_COMPLETE] = 1
    if one[_ANSWERED] == one[_NEWEST]:
        one[_WAITING] = 0
    answered: int = one[_ANSWERED]
    return answered
