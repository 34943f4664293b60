"""What must hold of text, trace.dat and retis' files of kernel events with any content."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from replay.errors import TraceError
from replay.ingest.reconstruct_points import NO_CPU, NO_DEVICE, NO_TID, Point, Points
from replay.ingest.recording import Recording
from replay.ingest.retis import read_retis
from replay.ingest.sniff import TRACE_DAT_MAGIC
from replay.ingest.stream import Stream
from replay.ingest.text import empty_found
from replay.ingest.text_fields import TEXT_ROLES, Dialects, make_dialects
from replay.ingest.text_line import HEADER
from replay.ingest.text_values import MARGIN, Line
from replay.ingest.text_walk import LOSS, POINT, Found, walk
from replay.ingest.tracedat import recording_of
from tests.ingest.tracedat_builder import TraceDatBuilder

_LINES = """\
# hostname : box
     swapper     0 [002]  6205.804133777: irq:softirq_raise: vec=3 [action=NET_RX]
 Web Content  12/345 [011]  6205.9: sched:sched_switch: prev_comm=a prev_pid=1 ==> next_comm=b \
next_pid=2 next_prio=1
        ffffffff8cfe3aaa __netif_receive_skb_core.constprop.0+0x6ca ([kernel.kallsyms])
  <...>-2110  (  12) [001] dNH1.   466.634916: napi_poll: napi poll on napi struct 0xffff8881 for \
device eth0 work 3 budget 64
irq/43-e-280     0....2    74.017658: sched_wakeup: ksoftirqd/4:39 [120] CPU:004
<idle>-0  6.594695: sched_switch: swapper/4:0 [120] R ==> idle_inject/4:37 [49]
<idle>-0  6.594695: napi_schedule_prep <-tg3_msi_1shot
pid-2275  6.594720: sys_epoll_wait(epfd: 61, events: 7fbd2bfe3300, maxevents: 80, timeout: 0)
pid-2275  6.594721: sys_epoll_wait -> 0xfffffffffffffffc
CPU:2 [LOST 123 EVENTS]
a 1 [001] 7.0: net:napi_gro_receive_entry: dev=eth0 napi_id=0x108 protocol=0x0800 hash=0x2a \
l4_hash=1 len=61 mac_header_valid=1 mac_header=-14
a 1 [001] 7.1: timer:hrtimer_start: hrtimer=0xff function=napi_watchdog expires=18446612684138070016
[1412670961.249706339] (+0.000005600) lager napi_poll: { cpu_id = 0 }, { napi = 3458219228, \
dev_name = "eth0" }
"""


def texts() -> list[bytes]:
    """Lines of all dialects."""
    return [_LINES.encode(), b"\n".join(reversed(_LINES.encode().split(b"\n")))]


def texts_of(data: bytes) -> list[bytes]:
    """Return `data` where it may be a text."""
    return [] if b"\0" in data else [data]


def trace_dats() -> list[bytes]:
    """Small files of both versions, packed and not."""
    made = []
    for version, compression in ((6, "none"), (7, "none"), (7, "zlib")):
        file = TraceDatBuilder(version, compression)
        file.perf.events = ("napi:napi_poll", "irq:softirq_entry", "sched:sched_switch")
        for number in range(6):
            time = 10**12 + number * 10**8
            file.at("irq:softirq_entry", time, number % 2, 0, vec=3)
            file.at("napi:napi_poll", time, 0, 0, napi=7, dev_name="eth0", work=1, budget=64)
            file.at(
                "sched:sched_switch",
                time,
                1,
                0,
                prev_comm="a",
                prev_pid=1,
                next_comm="b",
                next_pid=2,
            )
        made.append(file.build())
    return made


def trace_dat_of(data: bytes) -> list[bytes]:
    """Return `data` where it is a trace.dat."""
    return [data] if data.startswith(TRACE_DAT_MAGIC) else []


def run_text(data: bytes) -> str:
    """Walk over a text's lines: each has one status, and points are possible."""
    dialects, found, line = _text_state()
    found.counts[:] = 0
    found.names[:] = 0
    buffer = np.frombuffer(data + b"\n" + bytes(MARGIN), np.uint8)
    ends = np.flatnonzero(buffer[: len(data) + 1] == 10)
    points = Points.empty(len(ends))
    rows = walk(buffer, 0, ends, dialects, line, points, found)
    assert found.counts[: LOSS + 1].sum() == len(ends)
    assert found.counts[POINT] == rows
    _check(points.part(0, rows), int(found.names[0]))
    for tid, *_ in found.threads[: found.names[1]]:
        found.named[tid] = 0
    return "all points" if rows == len(ends) else "some points" if rows else "no point"


@cache
def _text_state() -> tuple[Dialects, Found, Line]:
    """What is costly to make, and the same for all texts."""
    numbers = (np.zeros(size, np.int64) for size in (HEADER, TEXT_ROLES, TEXT_ROLES))
    return make_dialects(), empty_found(), Line(*numbers)


def run_trace_dat(data: bytes) -> str:
    """Read a trace.dat: points are possible, and sorted within their runs."""
    if not trace_dat_of(data):
        return "no trace.dat"
    try:
        found = recording_of(Path("made.dat"), np.frombuffer(data, np.uint8))
    except TraceError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return "refused"
    return _checked(found)


def retis_lines() -> list[bytes]:
    """Lines of retis, and sorted ones."""
    events: list[dict[str, Any]] = [
        {
            "common": {"timestamp": 1000 + number, "smp_id": 1, "task": {"pid": 7, "comm": "a"}},
            "kernel": {"symbol": f"net:{symbol}"},
            "packet": {"len": 98, "capture_len": 4, "data": "+ly9jg=="},
            "skb": {"meta": {"len": 84}},
            "dev": {"name": f"eth{number % 2}"},
        }
        for number, symbol in enumerate(
            ("netif_receive_skb", "net_dev_queue", "net_dev_start_xmit", "net_dev_xmit")
        )
    ]
    start = {
        "common": {"timestamp": 9},
        "startup": {"clock_monotonic_offset": {"sec": 1, "nsec": 5}},
    }
    return [b"\n".join(json.dumps(it).encode() for it in (start, *events, events[::-1]))]


def retis_of(data: bytes) -> list[bytes]:
    """Return `data` where it is retis'."""
    return [data] if data.startswith(b"{") and b'"common"' in data[:4096] else []


def run_retis(data: bytes) -> str:
    """Read retis' lines: points are possible, and sorted within their runs."""
    try:
        found = read_retis(_Content(data))
    except TraceError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return "refused"
    return _checked(found)


class _Content(Stream):
    """A stream of bytes that stand in memory."""

    def __init__(self, data: bytes) -> None:
        self._content = io.BytesIO(data)
        self.name, self.note = "made.json", None

    def readinto(self, room: memoryview) -> int:
        return self._content.readinto(room)


def _checked(found: Recording) -> str:
    """Check a recording; return how much of it was read."""
    points = found.points
    assert points.time.min() == 0
    _check(points, len(found.devices))
    steps = np.flatnonzero(points.time[1:] < points.time[:-1]) + 1
    assert found.runs is not None
    assert set(steps) <= set(found.runs)
    return "read in part" if found.left_out or found.cut else "read"


def _check(points: Points, devices: int) -> None:
    """Check that points are possible."""
    assert (points.time >= 0).all()
    assert (points.cpu >= 0).all()
    assert (points.cpu <= NO_CPU).all()
    assert (points.tid >= 0).all()
    assert (points.tid <= NO_TID).all()
    assert (points.kind < len(Point)).all()
    assert (points.device[points.device != NO_DEVICE] < devices).all()
