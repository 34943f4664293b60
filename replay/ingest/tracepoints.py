"""The tracepoints that are taken from a perf.data file, and the fields that are wanted of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.ingest.reconstruct_points import Point
from replay.ingest.tracepoint_formats import Field, Format

#: Rows of a slot, each a field: its offset (-1: it has none), bytes that are read, signedness, kind
#: of text, bytes that it takes.
OBJECT, VALUE, OTHER, DEVICE, COMM, HASH, HASH_IS_FLOW, MAC_VALID, MAC, PROTOCOL, NETWORK = range(
    11
)
TRANSPORT, TRANSPORT_VALID, PID = 11, 12, 13
ROLES = 14
COLUMNS = 5
_WIDE = (OBJECT, VALUE, OTHER)  # may be addresses, times or counts of eight bytes

#: system:event: (what it is, {role: the names its field has had}). A name that ends in ? may lack.
KNOWN: dict[str, tuple[Point, dict[int, str]]] = {
    "irq:irq_handler_entry": (Point.IRQ_ENTRY, {VALUE: "irq"}),
    "irq:irq_handler_exit": (Point.IRQ_EXIT, {VALUE: "irq"}),
    "irq:softirq_entry": (Point.SOFTIRQ_ENTRY, {VALUE: "vec"}),
    "irq:softirq_exit": (Point.SOFTIRQ_EXIT, {VALUE: "vec"}),
    "irq:softirq_raise": (Point.SOFTIRQ_RAISE, {VALUE: "vec"}),
    "napi:napi_poll": (
        Point.POLL,
        {OBJECT: "napi", VALUE: "work", OTHER: "budget", DEVICE: "dev_name"},
    ),
    "net:netif_receive_skb": (Point.RECEIVE, {VALUE: "len", DEVICE: "name"}),
    "net:net_dev_start_xmit": (
        Point.XMIT,
        {
            VALUE: "len",
            DEVICE: "name",
            PROTOCOL: "protocol?",
            NETWORK: "network_offset?",
            TRANSPORT: "transport_offset?",
            TRANSPORT_VALID: "transport_offset_valid?",
        },
    ),
    "net:net_dev_xmit": (Point.XMIT_DONE, {VALUE: "len", DEVICE: "name"}),
    "net:net_dev_queue": (Point.XMIT_QUEUED, {VALUE: "len", DEVICE: "name"}),
    "sched:sched_switch": (
        Point.SWITCH,
        {VALUE: "next_pid", OTHER: "prev_pid", COMM: "next_comm?"},
    ),
    "timer:hrtimer_start": (
        Point.TIMER_START,
        {OBJECT: "hrtimer", VALUE: "expires", OTHER: "function"},
    ),
    "timer:hrtimer_expire_entry": (Point.TIMER_FIRE, {OBJECT: "hrtimer", OTHER: "function"}),
    "syscalls:sys_enter_epoll_pwait2": (  # its timeout is a pointer
        Point.EPOLL_WAIT,
        {OTHER: "maxevents?"},
    ),
}
for _event in ("napi_gro_receive_entry", "napi_gro_frags_entry"):
    KNOWN[f"net:{_event}"] = (
        Point.GRO,
        {
            OBJECT: "napi_id",
            VALUE: "len",
            DEVICE: "name",
            HASH: "hash?",
            HASH_IS_FLOW: "l4_hash?",
            MAC: "mac_header?",
            MAC_VALID: "mac_header_valid?",
            PROTOCOL: "protocol?",
        },
    )
for _event, _point in (
    ("sched_wakeup", Point.WAKEUP),
    ("sched_wakeup_new", Point.WAKEUP),
    ("sched_waking", Point.WAKING),
):
    KNOWN[f"sched:{_event}"] = (_point, {VALUE: "pid", OTHER: "target_cpu?", COMM: "comm?"})
for _event in ("epoll_wait", "epoll_pwait"):
    KNOWN[f"syscalls:sys_enter_{_event}"] = (
        Point.EPOLL_WAIT,
        {VALUE: "timeout", OTHER: "maxevents?"},
    )
for _event in ("epoll_wait", "epoll_pwait", "epoll_pwait2"):
    KNOWN[f"syscalls:sys_exit_{_event}"] = (Point.EPOLL_RETURN, {VALUE: "ret"})


class Slots(NamedTuple):
    """The known tracepoints of one file, as the kernels take them."""

    by_number: npt.NDArray[np.uint8]  # (65536,) slot of a tracepoint's number, 255 where unknown
    kind: npt.NDArray[np.int64]  # (slots,) Point
    fields: npt.NDArray[np.int64]  # (slots, ROLES, COLUMNS)
    needed: npt.NDArray[np.int64]  # (slots,) bytes that hold all fields


def choose_slots(formats: dict[int, Format]) -> tuple[Slots, list[str], list[str]]:
    """Return the known tracepoints among `formats`, their names by slot, and the names of those
    that lack a field they need.
    """
    by_number = np.full(1 << 16, 255, np.uint8)
    kinds, tables, needed = [], [], []
    names: list[str] = []
    lacking: list[str] = []
    for number, found in sorted(formats.items()):
        if found.name not in KNOWN or len(names) == 255:
            continue
        point, wanted = KNOWN[found.name]
        table = np.full((ROLES, COLUMNS), -1, np.int64)
        end = 8
        complete = True
        for role, name in {**wanted, PID: "common_pid"}.items():
            place = found.fields.get(name.removesuffix("?"))
            if place is None or not _usable(role, place):
                complete &= name.endswith("?")
                continue
            # A system call's int argument is declared eight bytes wide; its upper half is noise.
            size = 4 if point == Point.EPOLL_WAIT else place.size
            signed = place.signed or point == Point.EPOLL_WAIT
            table[role] = place.offset, size, signed, place.text, place.size
            end = max(end, place.offset + place.size)
        if not complete:
            lacking.append(found.name)
            continue
        by_number[number] = len(names)
        kinds.append(int(point))
        tables.append(table)
        needed.append(end)
        names.append(found.name)
    return (
        Slots(
            by_number,
            np.array(kinds, np.int64),
            np.array(tables, np.int64).reshape(-1, ROLES, COLUMNS),
            np.array(needed, np.int64),
        ),
        names,
        lacking,
    )


def _usable(role: int, place: Field) -> bool:
    """Whether a field is of the shape that its role is read as."""
    if role == DEVICE:
        return (place.text in (2, 3) and place.size == 4) or place.text == 1
    if role == COMM:
        return place.text == 1
    return place.text == 0 and place.size in ((1, 2, 4, 8) if role in _WIDE else (1, 2, 4))
