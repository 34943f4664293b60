"""How well a capture and a recording fit together, in facts and in lines for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from replay.ingest.join_packets import Joined
from replay.units import MICROSECOND


def join_facts(joined: Joined) -> dict[str, Any]:
    """Return the manifest's `joined`: counts of packets, and how the stamps of pairs differ, ns."""
    within, recorded = joined.within, joined.packets.row
    facts: dict[str, Any] = {
        "matched": joined.matched.pairs,
        "captured": int(np.count_nonzero(within)),
        "captured_before_or_after": int(np.count_nonzero(~within)),
        "captured_only": int(np.count_nonzero(within & (joined.matched.recorded_of < 0))),
        "captured_only_kept": len(joined.alone),
        "recorded": len(recorded),
        "recorded_only": int(np.count_nonzero(joined.matched.capture_of < 0)),
    }
    if len(joined.differences):
        quartiles = np.quantile(joined.differences, [0.25, 0.5, 0.75]).tolist()
        facts["difference_ns"] = dict(zip(("q1", "median", "q3"), quartiles, strict=True))
    return facts


def join_lines(joined: Joined) -> list[str]:
    """Return what was concluded from both, and what became of packets that one alone has seen."""
    said = join_facts(joined)
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
