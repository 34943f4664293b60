"""Events that `retis collect` wrote, one JSON object a line, as a Recording.

Retis looks at packets: where the kernel received one and where it handed one to a device.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from replay.errors import TraceError
from replay.ingest.point_files import PointFiles
from replay.ingest.points_order import BLOCK, LONGEST
from replay.ingest.reconstruct_points import NO_CPU, NO_DEVICE, NO_TID, NULL, Point, detail
from replay.ingest.recording import CLOCK_MONOTONIC, Recording
from replay.ingest.stream import Stream
from replay.ingest.tracepoint_decode import LATEST
from replay.ingest.tracepoint_values import (
    ETHERNET_HEADER,
    HIGHEST_CPU,
    HIGHEST_TID,
    MOST_DEVICES,
)

_CHUNK = 1 << 20
_LONGEST_LINE = 1 << 24
_LONGEST_PACKET = 1 << 32
_SHOWN = 3

_POINTS = {
    "net:netif_receive_skb": Point.RECEIVE,
    "net:net_dev_start_xmit": Point.XMIT,
    "net:net_dev_xmit": Point.XMIT_DONE,
    "net:net_dev_queue": Point.XMIT_QUEUED,
}


class _Reader:
    """What is kept of events: points, names, and what could not be used."""

    def __init__(self) -> None:
        self.whole = PointFiles()
        self.runs: list[int] = []
        self.devices: dict[str, int] = {}
        self.threads: dict[int, str] = {}
        self.others: Counter[str] = Counter()
        self.bad: list[bytes] = []
        self.damaged = 0
        self.offset: int | None = None  # from CLOCK_MONOTONIC to the wall clock
        self._rows: list[tuple[int, ...]] = []
        self._last = 0

    def take(self, line: bytes) -> None:
        """Take one line: an event, or a list of events of one packet, as retis sorts them."""
        try:
            found = json.loads(line)
            for event in found if isinstance(found, list) else [found]:
                self._take(event)
        # Deep nesting is a RecursionError, a number like 1e999 an OverflowError; a field of another
        # type than retis writes, the others.
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            self.damaged += 1
            if len(self.bad) < _SHOWN:
                self.bad.append(line[:60])

    def _take(self, event: dict[str, Any]) -> None:
        common = event["common"]
        if "startup" in event:
            offset = event["startup"].get("clock_monotonic_offset", {})
            wall = int(offset["sec"]) * 10**9 + int(offset["nsec"]) if offset else None
            if wall is not None and not 0 <= wall <= LATEST:
                raise ValueError
            self.offset = wall
            return
        symbol = str(event["kernel"]["symbol"]) if "kernel" in event else "no kernel event"
        point = _POINTS.get(symbol)
        length = None if point is None else _length(event, point)
        if point is None or length is None:
            self.others[symbol if point is None else f"{symbol} without a length"] += 1
            return
        time, cpu = int(common["timestamp"]), int(common.get("smp_id", NO_CPU))
        task = common.get("task", {})
        tid = int(task.get("pid", NO_TID))
        device = self._device(event)
        if not (0 <= time <= LATEST and 0 <= length < _LONGEST_PACKET):
            raise ValueError
        if not (0 <= cpu <= HIGHEST_CPU or cpu == NO_CPU):
            raise ValueError
        if not (0 <= tid <= HIGHEST_TID or tid == NO_TID):
            raise ValueError
        if "comm" in task:
            self.threads.setdefault(tid, str(task["comm"])[:16])
        if time < self._last:
            self.runs.append(self.whole.rows + len(self._rows))
        self._last = time
        packed = detail() if point == Point.XMIT else NULL
        self._rows.append((time, cpu, int(point), device, tid, NULL, length, packed))
        if len(self._rows) == BLOCK:
            self.flush()

    def _device(self, event: dict[str, Any]) -> int:
        """Return the number of an event's device, by name."""
        name = event.get("dev", event.get("skb", {})).get("name", "") or (
            event.get("skb", {}).get("dev_name", "")
        )
        if not name:
            return NO_DEVICE
        if name not in self.devices and len(self.devices) == MOST_DEVICES:
            raise ValueError
        return self.devices.setdefault(str(name)[:16], len(self.devices))

    def flush(self) -> None:
        """Put the rows that are held into columns."""
        if self._rows:
            rows = np.array(self._rows, np.int64).T
            room = self.whole.room(len(self._rows))._asdict()
            for column, row in zip(room.values(), rows, strict=True):
                column[:] = row
            self.whole.add(len(self._rows))
            self._rows.clear()


def read_retis(stream: Stream) -> Recording:
    """Read retis' events. Raises TraceError where none is of a received or sent packet."""
    reader = _Reader()
    for line in _lines(stream):
        reader.take(line)
    reader.flush()
    if not reader.whole.rows:
        seen = ", ".join(list(reader.others)[:8]) or "none"
        raise TraceError(
            f"{stream.name}: no event of a packet that was received or sent (its probes: {seen});"
            " collect with -p tp:net:netif_receive_skb -p tp:net:net_dev_start_xmit"
        )
    runs = np.array(reader.runs, np.int64)
    points, origin, last = reader.whole.whole(runs)
    if last - origin > LONGEST:
        raise TraceError(f"{stream.name}: times {origin} to {last} ns are not of one recording")
    facts: dict[str, Any] = {"recorded_by": "retis collect"}
    if reader.offset is not None:
        facts["wall_origin_ns"] = reader.offset + origin
    return Recording(
        points=points,
        counted=reader.whole.counted,
        runs=runs,
        origin=origin,
        devices=list(reader.devices),
        threads=reader.threads,
        clock=CLOCK_MONOTONIC,  # bpf_ktime_get_ns()
        cut=stream.note,
        facts=facts,
        left_out=list(_left_out(reader)),
    )


def _left_out(reader: _Reader) -> Iterator[str]:
    if reader.damaged:
        shown = " | ".join(ascii(line.decode("utf-8", "replace")) for line in reader.bad)
        yield f"{reader.damaged:,} lines not understood: {shown}"
    if reader.others:
        names = ", ".join(name for name, _ in reader.others.most_common(8))
        yield f"{reader.others.total():,} events of other probes left out: {names}"


def _length(event: dict[str, Any], point: Point) -> int | None:
    """Return a packet's length on the wire; None where retis did not collect it."""
    whole = event.get("packet", {}).get("len")
    if whole is not None:
        return int(whole)
    length = event.get("skb", {}).get("meta", {}).get("len")
    if length is None:
        return None
    # skb->len is without the link's header where the packet is received.
    return int(length) + (ETHERNET_HEADER if point == Point.RECEIVE else 0)


def _lines(stream: Stream) -> Iterator[bytes]:
    """Yield the lines that are not empty; one that is too long ends early."""
    room = memoryview(bytearray(_CHUNK))
    rest = b""
    while count := stream.readinto(room):
        *lines, rest = (rest + bytes(room[:count])).split(b"\n")
        yield from (line for line in lines if line.strip())
        if len(rest) > _LONGEST_LINE:
            yield rest
            rest = b""
    if rest.strip():
        yield rest
