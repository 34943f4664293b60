"""Which packet of a capture is which one of a recording: same direction, length, time and flow.

A capture on the host itself sees a received packet after GRO, so that one of its packets may be
several of the recording's, and a sent one just before the device has it. The first candidate that
nothing else took is taken. Recordings know flows by a hash only: which hash is which flow is voted
by a first pass, and then candidates of the flow's own hash alone are taken: near ones, then those
farther off.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.engine.accelerate import jit_in_place, jit_inside
from replay.trace.schema import PacketKind
from replay.units import MILLISECOND

Int64s = npt.NDArray[np.int64]

#: How far the two stamps of one packet lie apart, in nanoseconds: a poll, and the clocks' error.
#: What finds nothing so near may have waited within a poll whose thread lost its CPU.
NEAR, FAR = MILLISECOND, 20 * MILLISECOND

#: Candidates that are looked at for one packet at most.
_MOST_LOOKS = 8192
#: Of those that could be its first part, the others are looked at for so many times together.
_MOST_PART_LOOKS = 1 << 16
#: Packets that GRO makes one of at most (MAX_GRO_SKBS is per list; 64 KiB hold fewer of 536 bytes).
_MOST_MERGED = 128

NONE = -1

_TX = int(PacketKind.TX)


class Recorded(NamedTuple):
    """Packets of a recording: received ones, then those sent, either in order of time."""

    time: Int64s  # ns, of the trace
    length: Int64s  # bytes on the wire
    flow: Int64s  # the number of its hash, NONE where it has none


class Captured(NamedTuple):
    """Packets of a capture in order of time."""

    time: Int64s  # ns, of the trace
    length: Int64s  # bytes on the wire
    kind: npt.NDArray[np.uint8]  # PacketKind
    flow: Int64s  # NONE where it has none
    payload: Int64s  # bytes of the length; NONE where that is not known


class Matched(NamedTuple):
    """What belongs together."""

    capture_of: Int64s  # by packet of the recording: the capture's, or NONE
    recorded_of: Int64s  # by packet of the capture: the last of the recording's, or NONE
    flow_of_hash: Int64s  # the capture's flow, or NONE


def match(recorded: Recorded, received: int, captured: Captured, hashes: int) -> Matched:
    """Match the packets of a capture with a recording's.

    received: how many of the recording's are received ones. hashes: how many it has.
    """
    first = _nothing(recorded, captured, np.full(hashes, NONE, np.int64))
    _pass(recorded, received, captured, NEAR, first)
    found = _nothing(recorded, captured, _vote(recorded, captured, first, hashes))
    del first
    for window in (NEAR, FAR):
        _pass(recorded, received, captured, window, found)
    return found


def _nothing(recorded: Recorded, captured: Captured, flow_of_hash: Int64s) -> Matched:
    """Return that nothing is matched yet."""
    columns = [mapped.column(len(side.time)) for side in (recorded, captured)]
    for column in columns:
        for part in mapped.steps(len(column)):
            column[part] = NONE
    return Matched(columns[0], columns[1], flow_of_hash)


def _pass(
    recorded: Recorded, received: int, captured: Captured, window: int, found: Matched
) -> None:
    """Match what is not matched yet."""
    low = np.array([0, received], np.int64)
    ends = np.array([received, len(recorded.time)], np.int64)
    for part in mapped.steps(len(captured.time)):
        _walk(recorded, captured, window, ends, part.start, part.stop, low, found)


def _vote(recorded: Recorded, captured: Captured, first: Matched, hashes: int) -> Int64s:
    """Return the flow of each hash by more than half of its packets; NONE where there is none.

    Had a flow more than half of them, it would be left after each of the others has taken one.
    """
    left, count = np.full(hashes, NONE, np.int64), np.zeros(hashes, np.int64)
    votes = np.zeros((hashes, 2), np.int64)
    for vote in (_leave, _count):
        for part in mapped.steps(len(recorded.time)):
            flows = recorded.flow[part], first.capture_of[part], captured.flow
            vote(*flows, left, count, votes)
    return np.where(2 * votes[:, 0] > votes[:, 1], left, NONE)


@jit_in_place
def _leave(
    hash_of: Int64s,
    capture_of: Int64s,
    flow_of: Int64s,
    left: Int64s,
    count: Int64s,
    votes: Int64s,
) -> None:
    """Let votes for different flows take each other away; `left`, by hash, is what remains."""
    for packet in range(len(hash_of)):
        named, other = hash_of[packet], capture_of[packet]
        if named < 0 or other < 0 or flow_of[other] < 0:
            continue
        if count[named] == 0:
            left[named] = flow_of[other]
        count[named] += 1 if left[named] == flow_of[other] else -1


@jit_in_place
def _count(
    hash_of: Int64s,
    capture_of: Int64s,
    flow_of: Int64s,
    left: Int64s,
    count: Int64s,
    votes: Int64s,
) -> None:
    """Count the votes for what is left, and all votes."""
    for packet in range(len(hash_of)):
        named, other = hash_of[packet], capture_of[packet]
        if named >= 0 and other >= 0 and flow_of[other] >= 0:
            votes[named, 0] += left[named] == flow_of[other]
            votes[named, 1] += 1


@jit_in_place
def _walk(
    recorded: Recorded,
    captured: Captured,
    window: int,
    ends: Int64s,
    begin: int,
    end: int,
    low: Int64s,
    found: Matched,
) -> None:
    """Find the capture's packets from `begin` up to `end`: a whole one first, then parts of it.

    low, ends (2,): by direction, the first candidate, and the end of the candidates.
    """
    for packet in range(begin, end):
        if found.recorded_of[packet] >= 0:
            continue
        side = 1 if captured.kind[packet] == _TX else 0
        earliest = captured.time[packet] - window
        first = low[side]
        while first < ends[side] and (
            recorded.time[first] < earliest or found.capture_of[first] >= 0
        ):
            first += 1
        low[side] = first
        if not _find(first, ends[side], packet, True, window, recorded, captured, found):
            _find(first, ends[side], packet, False, window, recorded, captured, found)


@jit_inside
def _find(
    low: int,
    end: int,
    packet: int,
    whole: bool,
    window: int,
    recorded: Recorded,
    captured: Captured,
    found: Matched,
) -> bool:
    """Match `packet` with the first candidate from `low` on, and return whether one fits."""
    length = captured.length[packet]
    latest = captured.time[packet] + window
    looks = 0
    for candidate in range(low, min(low + _MOST_LOOKS, end)):
        if recorded.time[candidate] > latest or looks > _MOST_PART_LOOKS:
            break
        if (recorded.length[candidate] == length) == whole and _fits(
            candidate, packet, recorded, captured, found
        ):
            last = candidate
            if not whole:
                last, more = _merged(candidate, end, packet, latest, recorded, captured, found)
                looks += more
            if last >= 0:
                found.capture_of[candidate] = packet
                found.recorded_of[packet] = last
                return True
    return False


@jit_inside
def _fits(
    candidate: int, packet: int, recorded: Recorded, captured: Captured, found: Matched
) -> bool:
    """Whether a recorded packet is free, not longer than the captured one, and of its flow."""
    if found.capture_of[candidate] >= 0 or recorded.length[candidate] > captured.length[packet]:
        return False
    named = recorded.flow[candidate]
    voted = found.flow_of_hash[named] if named >= 0 else NONE
    return bool(voted < 0 or captured.flow[packet] < 0 or voted == captured.flow[packet])


@jit_inside
def _merged(
    first: int,
    end: int,
    packet: int,
    latest: int,
    recorded: Recorded,
    captured: Captured,
    found: Matched,
) -> tuple[int, int]:
    """Return the last of the recorded packets that GRO made one captured packet of; or NONE.

    And how many were looked at. They begin at `first` and have its hash, each adding its payload;
    all but the first are assigned where they make up the whole.
    """
    named = recorded.flow[first]
    headers = captured.length[packet] - captured.payload[packet]
    if named < 0 or captured.payload[packet] < 0 or recorded.length[first] <= headers:
        return NONE, 0
    last, looks = first, 0
    for assign in (False, True):
        left = captured.length[packet] - recorded.length[first]
        count = 1
        for other in range(first + 1, min(first + _MOST_LOOKS, end)):
            if left <= 0 or count == _MOST_MERGED or recorded.time[other] > latest:
                break
            looks += 1
            part = recorded.length[other] - headers
            if (
                0 < part <= left
                and recorded.flow[other] == named
                and _fits(other, packet, recorded, captured, found)
            ):
                left -= part
                count += 1
                last = other
                if assign:
                    found.capture_of[other] = packet
        if left != 0:
            return NONE, looks
    return int(last), looks
