"""How well a capture and a recording fit together, in facts and in lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.ingest.join_match import FAR
from replay.ingest.join_packets import Joined
from replay.trace.holes import Hole
from replay.units import MICROSECOND

Int64s = npt.NDArray[np.int64]

#: Differences are counted by their upper bits first, then one by one.
_LOWER_BITS = 13
#: Fewer packets than one in so many are the edges of a sound pair: those under way at its ends.
_SOUND = 1_000


def join_facts(joined: Joined) -> dict[str, Any]:
    """Return the manifest's `joined`: counts of packets, and how the stamps of pairs differ, ns."""
    seen, matched = joined.seen, joined.matched
    pairs = within = alone = recorded_only = 0
    for part in mapped.steps(len(seen.packets.time)):
        paired = matched.recorded_of[part] >= 0
        mine = seen.within(part) | paired
        pairs += int(np.count_nonzero(paired))
        within += int(np.count_nonzero(mine))
        alone += int(np.count_nonzero(mine & ~paired))
    for part in mapped.steps(len(matched.capture_of)):
        recorded_only += int(np.count_nonzero(matched.capture_of[part] < 0))
    facts: dict[str, Any] = {
        "matched": pairs,
        "captured": within,
        "captured_before_or_after": len(seen.packets.time) - within,
        "captured_only": alone,
        "captured_only_kept": len(joined.alone),
        "recorded": len(matched.capture_of),
        "recorded_only": recorded_only,
    }
    if pairs:
        found = quartiles(lambda: _differences(joined), pairs)
        facts["difference_ns"] = dict(zip(("q1", "median", "q3"), found, strict=True))
    return facts


def _differences(joined: Joined) -> Iterator[Int64s]:
    """Yield of pairs the capture's stamp less the recording's, ns; within FAR."""
    captured, recorded_of = joined.seen.packets.time, joined.matched.recorded_of
    for part in mapped.steps(len(captured)):
        of = recorded_of[part]
        pairs = of >= 0
        yield captured[part][pairs] - joined.packets.time[of[pairs]]


def quartiles(values: Callable[[], Iterator[Int64s]], count: int) -> list[float]:
    """Return the quartiles of `count` values within FAR, as NumPy's quantile has them."""
    upper = np.zeros((2 * FAR >> _LOWER_BITS) + 1, np.int64)
    for part in values():
        upper += np.bincount(part + FAR >> _LOWER_BITS, minlength=len(upper))
    behind = np.cumsum(upper)
    lower: dict[int, Int64s] = {}

    def value_at(rank: int) -> int:
        place = int(np.searchsorted(behind, rank, side="right"))
        if place not in lower:
            counts = np.zeros(1 << _LOWER_BITS, np.int64)
            for part in values():
                mine = part[part + FAR >> _LOWER_BITS == place] + FAR
                counts += np.bincount(mine - (place << _LOWER_BITS), minlength=len(counts))
            lower[place] = behind[place] - upper[place] + np.cumsum(counts)
        own = int(np.searchsorted(lower[place], rank, side="right"))
        return (place << _LOWER_BITS) + own - FAR

    found = []
    for share in (0.25, 0.5, 0.75):
        at = share * (count - 1)
        low, high = (value_at(int(rank)) for rank in (np.floor(at), np.ceil(at)))
        found.append(low + (at - np.floor(at)) * (high - low))
    return [float(it) for it in found]


def join_holes(said: dict[str, Any]) -> list[Hole]:
    """Return what either of the two lacks that the other one has; `said` are `join_facts`."""
    holes = []
    lacking = said["captured_only_kept"]
    if lacking * _SOUND > said["captured"]:
        cause = "the captured packets are not in the recording"
        affects = "their arrivals, polls and service times"
        holes.append(Hole(cause, lacking / said["captured"], affects))
    lacking = said["recorded_only"]
    if lacking * _SOUND > said["recorded"]:
        cause = "the recorded packets are not in the capture"
        holes.append(Hole(cause, lacking / said["recorded"], "their flows, payloads and kinds"))
    return holes


def join_lines(said: dict[str, Any]) -> list[str]:
    """Return what was concluded from both, and what became of packets that one alone has seen.

    `said` are `join_facts`.
    """
    if not said["matched"]:
        return ["no packet of the capture is one of the recording"]
    difference = {name: value / MICROSECOND for name, value in said["difference_ns"].items()}
    share = 100.0 * said["matched"] / max(1, said["captured"])
    lines = [
        f"{said['matched']:,} of the capture's {said['captured']:,} packets in that time"
        f" ({share:.4g} %) are ones of the recording, by direction, length, time and flow: they"
        " have the capture's flow, payload and kind, and the recording's times and service",
        f"the capture stamps them {difference['median']:.3g} us after the recording (middle half"
        f" {difference['q1']:.3g} to {difference['q3']:.3g})",
    ]
    if said["captured_only"]:
        what = (
            "arrivals that no poll was seen to take"
            if said["captured_only_kept"]
            else "left out: an interface for all devices does not say whose they are"
        )
        lines.append(f"{said['captured_only']:,} packets are in the capture alone: {what}")
    if said["recorded_only"]:
        lines.append(
            f"{said['recorded_only']:,} packets are in the recording alone: kept as rebuilt from it"
        )
    if said["captured_before_or_after"]:
        lines.append(
            f"{said['captured_before_or_after']:,} packets were captured before or after the"
            " recording: left out"
        )
    return lines
