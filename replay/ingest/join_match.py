"""Which packet of a capture is which one of a recording: same direction, length, time and flow.

A capture on the host itself sees a received packet after GRO, so that one of its packets may be
several of the recording's, and a sent one just before the device has it. The first candidate that
nothing else took is taken. Recordings know flows by a hash only: which hash is which flow is voted
by a first pass, and then candidates of the flow's own hash alone are taken: near ones, then those
farther off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place
from replay.units import MILLISECOND

Int64s = npt.NDArray[np.int64]

#: How far the two stamps of one packet lie apart, in nanoseconds: a poll, and the clocks' error.
#: What finds nothing so near may have waited within a poll whose thread lost its CPU.
NEAR, FAR = MILLISECOND, 20 * MILLISECOND

#: Candidates that are looked at for one packet at most.
_MOST_LOOKS = 8192
#: Packets that GRO makes one of at most (MAX_GRO_SKBS is per list; 64 KiB hold fewer of 536 bytes).
_MOST_MERGED = 128

NONE = -1


class Side(NamedTuple):
    """Packets of one source in order of time, each of shape (packets,)."""

    time: Int64s  # ns, of the trace
    length: Int64s  # bytes on the wire
    sent: npt.NDArray[np.bool_]  # by the host
    flow: Int64s  # of a recording the number of its hash, NONE where it has none


@dataclass(frozen=True)
class Matched:
    """What belongs together."""

    capture_of: Int64s  # by packet of the recording: the capture's, or NONE
    recorded_of: Int64s  # by packet of the capture: the last of the recording's, or NONE
    flow_of_hash: Int64s  # the capture's flow, or NONE

    @property
    def pairs(self) -> int:
        """How many of the capture's packets are in the recording."""
        return int(np.count_nonzero(self.recorded_of >= 0))


def match(recorded: Side, captured: Side, headers: Int64s, hashes: int) -> Matched:
    """Match the packets of a capture with a recording's.

    headers: of each captured packet, the bytes before its payload; NONE where they are not known.
    hashes: how many the recording has.
    """
    unknown = np.full(hashes, NONE, np.int64)
    first = _Found.none(recorded, captured)
    _pass(recorded, captured, headers, unknown, NEAR, first)
    voted = _vote(recorded.flow, captured.flow, first.capture_of, hashes)
    found = _Found.none(recorded, captured)
    for window in (NEAR, FAR):
        _pass(recorded, captured, headers, voted, window, found)
    return Matched(found.capture_of, found.recorded_of, voted)


class _Found(NamedTuple):
    """As in Matched."""

    capture_of: Int64s
    recorded_of: Int64s

    @classmethod
    def none(cls, recorded: Side, captured: Side) -> _Found:
        """Return that nothing is matched yet."""
        return cls(*(np.full(len(side.time), NONE, np.int64) for side in (recorded, captured)))


def _pass(
    recorded: Side,
    captured: Side,
    headers: Int64s,
    flow_of_hash: Int64s,
    window: int,
    found: _Found,
) -> None:
    """Match what is not matched yet, either direction for itself."""
    for sent in (False, True):
        mine, theirs = (np.flatnonzero(side.sent == sent) for side in (recorded, captured))
        _walk(_Sides(recorded, captured, headers, flow_of_hash, window, mine), theirs, found)


class _Sides(NamedTuple):
    """What one direction is matched by."""

    recorded: Side
    captured: Side
    headers: Int64s
    flow_of_hash: Int64s
    window: int
    mine: Int64s  # packets of the recording in that direction


def _vote(hash_of: Int64s, flow_of: Int64s, capture_of: Int64s, hashes: int) -> Int64s:
    """Return the flow of each hash by more than half of its packets; NONE where there is none."""
    voted = np.full(hashes, NONE, np.int64)
    mine = np.flatnonzero((capture_of >= 0) & (hash_of >= 0))
    mine = mine[flow_of[capture_of[mine]] >= 0]
    if not len(mine):
        return voted
    named = hash_of[mine]
    pairs, votes = np.unique(
        np.stack([named, flow_of[capture_of[mine]]]), axis=1, return_counts=True
    )
    most = 2 * votes > np.bincount(named, minlength=hashes)[pairs[0]]
    voted[pairs[0, most]] = pairs[1, most]
    return voted


@jit_in_place
def _walk(by: _Sides, theirs: Int64s, found: _Found) -> None:
    """Find each of the capture's packets `theirs`: a whole one first, then parts of it."""
    low = 0
    for place in range(len(theirs)):
        packet = theirs[place]
        if found.recorded_of[packet] >= 0:
            continue
        earliest = by.captured.time[packet] - by.window
        while low < len(by.mine) and (
            by.recorded.time[by.mine[low]] < earliest or found.capture_of[by.mine[low]] >= 0
        ):
            low += 1
        if not _find(low, packet, True, by, found):
            _find(low, packet, False, by, found)


@jit_in_place
def _find(low: int, packet: int, whole: bool, by: _Sides, found: _Found) -> bool:
    """Match `packet` with the first candidate from place `low` on, and return whether one fits."""
    length = by.captured.length[packet]
    latest = by.captured.time[packet] + by.window
    for at in range(low, min(low + _MOST_LOOKS, len(by.mine))):
        candidate = by.mine[at]
        if by.recorded.time[candidate] > latest:
            break
        if (by.recorded.length[candidate] == length) == whole and _fits(
            candidate, packet, by, found
        ):
            last = candidate if whole else _merged(at, packet, latest, by, found)
            if last >= 0:
                found.capture_of[candidate] = packet
                found.recorded_of[packet] = last
                return True
    return False


@jit_in_place
def _fits(candidate: int, packet: int, by: _Sides, found: _Found) -> bool:
    """Whether a recorded packet is free, not longer than the captured one, and of its flow."""
    recorded, captured = by.recorded, by.captured
    if found.capture_of[candidate] >= 0 or recorded.length[candidate] > captured.length[packet]:
        return False
    named = recorded.flow[candidate]
    voted = by.flow_of_hash[named] if named >= 0 else NONE
    return bool(voted < 0 or captured.flow[packet] < 0 or voted == captured.flow[packet])


@jit_in_place
def _merged(first: int, packet: int, latest: int, by: _Sides, found: _Found) -> int:
    """Return the last of the recorded packets that GRO made one captured packet of; or NONE.

    They begin at place `first` and have its hash, each adding its payload; all but the first are
    assigned where they make up the whole.
    """
    recorded, headers = by.recorded, by.headers[packet]
    start = by.mine[first]
    named = recorded.flow[start]
    if named < 0 or headers < 0 or recorded.length[start] <= headers:
        return NONE
    last = start
    for assign in (False, True):
        left = by.captured.length[packet] - recorded.length[start]
        count = 1
        for at in range(first + 1, min(first + _MOST_LOOKS, len(by.mine))):
            other = by.mine[at]
            if left <= 0 or count == _MOST_MERGED or recorded.time[other] > latest:
                break
            part = recorded.length[other] - headers
            if (
                0 < part <= left
                and recorded.flow[other] == named
                and _fits(other, packet, by, found)
            ):
                left -= part
                count += 1
                last = other
                if assign:
                    found.capture_of[other] = packet
        if left != 0:
            return NONE
    return int(last)
