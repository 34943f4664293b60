"""`ethtool -S` before and after: packets, drops and polls as the device and its driver count them.

Drivers name their counters as they please. Of each metric the first name that is there is taken,
and said; where a driver counts by queue only, its queues are added up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from replay.errors import TraceError

#: The first line, by which a snapshot is known.
HEADER = re.compile(r"^NIC statistics:[ \t]*$", re.MULTILINE)

_LINE = re.compile(r"^[ \t]+(\S.*?):[ \t]*(-?\d{1,20})[ \t]*$")

#: metric: names of a counter of the whole device, then patterns of one a queue.
_NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "packets": (
        ("rx_packets", "rx_ucast_packets", "port.rx_unicast", "rx_pkts"),
        (r"rx(?:_queue)?[-_]?\d+[._]packets", r"queue_\d+_rx_cnt", r"rx-\d+\.packets"),
    ),
    "tx_packets": (
        ("tx_packets", "tx_ucast_packets", "port.tx_unicast", "tx_pkts"),
        (r"tx(?:_queue)?[-_]?\d+[._]packets", r"queue_\d+_tx_cnt", r"tx-\d+\.packets"),
    ),
    # what was lost because the ring had no descriptor left
    "dropped": (
        (
            "rx_out_of_buffer",
            "rx_missed_errors",
            "port.rx_dropped",
            "rx_no_dma_resources",
            "rx_dropped",
            "rx_drops",
        ),
        (r"rx(?:_queue)?[-_]?\d+[._]drops",),
    ),
    "polls": (("ch_poll",), (r"queue_\d+_rx_napi_comp",)),
    "irqs": (("ch_events",), ()),
}

Counters = Mapping[str, int]


def read_counters(where: str, text: str) -> dict[str, int]:
    """Return the counters of one snapshot by name. Raises TraceError where there are none."""
    header = HEADER.search(text)
    if header is None:
        raise TraceError(f"{where}: no ethtool -S: a line 'NIC statistics:' is expected")
    found: dict[str, int] = {}
    for line in text[header.end() :].splitlines():
        match = _LINE.match(line)
        if match:
            found[match[1].strip()] = int(match[2])
    if not found:
        raise TraceError(f"{where}: cut: no counter follows 'NIC statistics:'")
    return found


def metrics_between(before: Counters, after: Counters) -> dict[str, tuple[int, str]]:
    """Return what each metric counted between two snapshots, and the counter that says so.

    A metric of which no counter is known is left out. Raises TraceError where one fell.
    """
    found = {}
    for metric, (whole, parts) in _NAMES.items():
        names = next(([name] for name in whole if name in before and name in after), None)
        if names is None:
            by_queue = re.compile("|".join(parts)) if parts else None
            names = [it for it in after if it in before and by_queue and by_queue.fullmatch(it)]
        if not names:
            continue
        grown = sum(after[name] - before[name] for name in names)
        if grown < 0:
            raise TraceError(
                f"counter {names[0]} falls by {-grown:,} between the snapshots: was the device or"
                " its driver restarted?"
            )
        found[metric] = (grown, names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}")
    return found


def traffic(counters: Counters) -> int:
    """Return what only grows: all packets and bytes, or all that is counted where none is named."""
    grows = [value for name, value in counters.items() if re.search("packets|bytes|cnt", name)]
    return sum(grows or counters.values())
