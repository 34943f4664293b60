"""What is known of every flow while packets pass: counts, TCP's next byte, whose turn it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place, jit_inline
from replay.engine.intrinsics import at
from replay.ingest.headers import ACK, END_OF_MESSAGE, FIN, OK, REPEATED, RST, SYN, TRANSPORT
from replay.ingest.records import LAST_OF_TURN, Columns

Int64s = npt.NDArray[np.int64]

#: No such row, flow, sequence number or time.
NONE = -1

#: Columns of the flows' state, shape (flows, 8): as much as one line of the processor's cache.
FIRST, LAST = 0, 1  # times of the first and last packet
PACKETS, BYTES = 2, 3
ASKS = 4  # 1 where a SYN was seen, -1 where the answer to one was
_NEXT_BYTE = 5  # sequence number of TCP's next byte
REVERSE = 6  # the flow in the opposite direction
_PART = 7  # row of a message's part that is not known to be its last
_STATE_COLUMNS = 8

_NEW = (NONE, NONE, 0, 0, 0, NONE, NONE, NONE)


def new_state(flows: int) -> Int64s:
    """Return the state of `flows` flows without packets."""
    return np.tile(np.array(_NEW, dtype=np.int64), (flows, 1))


def with_state_of(state: Int64s, flows: int) -> Int64s:
    """Return `state`, or a larger copy: with room for so many flows."""
    if flows <= len(state):
        return state
    return np.concatenate([state, new_state(2 * flows - len(state))])


@jit_in_place
def pair_flows(
    connections: npt.NDArray[np.int32],
    own: npt.NDArray[np.bool_],
    flow: int,
    first: Int64s,
    state: Int64s,
) -> None:
    """Tell the flows from `flow` on, and those they answer, of each other.

    `connections` holds the connection of each, `own` whether it answers itself; `first` each
    connection's first flow.
    """
    for i in range(len(connections)):
        other = first[connections[i]]
        if other == NONE:
            first[connections[i]] = flow + i
            state[flow + i, REVERSE] = flow + i if own[i] else NONE
        else:
            state[other, REVERSE], state[flow + i, REVERSE] = flow + i, other


@jit_in_place
def follow_flows(
    columns: Columns, sequence: Int64s, first: int, state: Int64s, status: Int64s, late: Int64s
) -> int:
    """Count packets, note SYNs, mark TCP payload that its flow carried before, and end turns.

    `status` counts the packets of each PacketStatus; the rest is as for `end_turns`.
    """
    rows, damaged, count = len(columns.flow), 0, 0
    for number in range(rows):
        row = at(number)
        if columns.status[row] != OK:
            status[columns.status[row]] += 1
            damaged += 1
        flow = columns.flow[row]
        if flow < 0:
            continue
        one = state[at(flow)]
        one[PACKETS] += 1
        marks, byte = columns.marks[row], sequence[row]
        if marks & SYN:
            one[ASKS] = -1 if marks & ACK else 1
        if byte >= 0:
            payload, expected = np.int64(columns.payload[row]), one[_NEXT_BYTE]
            if marks & SYN:
                one[_NEXT_BYTE] = byte + 1 + payload & 0xFFFF_FFFF
            elif payload > 0:
                after = byte + payload & 0xFFFF_FFFF
                ahead = after - expected & 0xFFFF_FFFF
                if expected >= 0 and (ahead == 0 or ahead >= 1 << 31):
                    columns.marks[row] |= REPEATED
                else:
                    one[_NEXT_BYTE] = after
        count += _end_turn(columns, number, first, state, late, count)
    status[OK] += rows - damaged
    return count


@jit_in_place
def end_turns(columns: Columns, first: int, state: Int64s, late: Int64s) -> int:
    """Mark the packets with payload behind which the other side speaks: they end messages.

    The packets are in order of time, the first of them is row `first`. Those that stand before it
    are written into `late`, shape (packets, 2), row and flow; return how many.
    """
    count = 0
    for number in range(len(columns.flow)):
        if columns.flow[at(number)] >= 0:
            count += _end_turn(columns, number, first, state, late, count)
    return count


@jit_inline
def _end_turn(
    columns: Columns, number: int, first: int, state: Int64s, late: Int64s, count: int
) -> int:
    """End the other side's turn where packet `number` speaks; return 1 where that is in `late`."""
    row = at(number)
    flow, marks = columns.flow[row], columns.marks[row]
    if columns.payload[row] <= 0 or not marks & TRANSPORT:
        return 0
    one, found = state[at(flow)], 0
    other = one[REVERSE]
    if other != NONE and other != flow:
        part = state[at(other), _PART]
        if part != NONE:
            state[at(other), _PART] = NONE
            if part >= first:
                columns.marks[at(part - first)] |= LAST_OF_TURN
            else:
                late[count, 0], late[count, 1] = part, other
                found = 1
    if not marks & (RST | REPEATED):
        one[_PART] = NONE if marks & (END_OF_MESSAGE | FIN) else first + number
    return found


def forget_turns(state: Int64s) -> None:
    """Begin again with `end_turns`."""
    state[:, _PART] = NONE
