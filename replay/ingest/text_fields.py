"""How text dialects spell the tracepoints that are understood: names, and keys before values.

A table, not a parser: the kernels of replay.ingest.text_walk follow it. Perf script, the `trace`
file of ftrace and trace-cmd report print one format (TP_printk in the kernel) after headers of
their own: the *plain* spelling. babeltrace2 prints every field as `name = value` within braces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.ingest.text_names import Names, add_name, empty_names
from replay.ingest.tracepoints import (
    COMM,
    DEVICE,
    HASH,
    HASH_IS_FLOW,
    KNOWN,
    MAC,
    MAC_VALID,
    NETWORK,
    OBJECT,
    OTHER,
    PID,
    PROTOCOL,
    ROLES,
    TRANSPORT,
    TRANSPORT_VALID,
    VALUE,
)

Int64s = npt.NDArray[np.int64]

CPU = ROLES  # one role more than a binary record's: there the sample says it
TEXT_ROLES = ROLES + 1

#: What a value looks like: a number, hexadecimal digits, a text, a function's name or address.
NUMBER, HEXADECIMAL, TEXT, FUNCTION = range(4)

#: What to try where a plain spelling's keys are not found: what the plugins of libtraceevent make
#: of sched_switch, `comm:pid [prio] R ==> comm:pid [prio]`, and of a wake-up, `comm:pid [prio]`.
NO_PLUGIN, SWITCH_PLUGIN, WAKE_PLUGIN = range(3)

LOST = 200  # a kind beside those of Point: perf script --show-lost-events
KEY_WORDS = 4

#: What stands for functions that a text names; no address is as low.
NAPI_WATCHDOG, ANOTHER_FUNCTION = 1, 2

_Spelling = tuple[tuple[str, int, int], ...]  # in print order; a key that ends in ? may be absent
_NUMBER: _Spelling = (("irq=", VALUE, NUMBER),)
_VECTOR: _Spelling = (("vec=", VALUE, NUMBER),)
_PACKET: _Spelling = (("dev=", DEVICE, TEXT), ("len=", VALUE, NUMBER))
_TIMER: _Spelling = (("hrtimer=", OBJECT, HEXADECIMAL), ("function=", OTHER, FUNCTION))
_EPOLL: _Spelling = (("maxevents: ?", OTHER, NUMBER), ("timeout: ", VALUE, NUMBER))
_RETURN: _Spelling = (("", VALUE, NUMBER),)
_WAKE: _Spelling = (
    ("comm=?", COMM, TEXT),
    ("pid=", VALUE, NUMBER),
    ("target_cpu=?", OTHER, NUMBER),
)
_GRO: _Spelling = (
    ("dev=", DEVICE, TEXT),
    ("napi_id=", OBJECT, NUMBER),
    ("protocol=?", PROTOCOL, NUMBER),
    ("hash=?", HASH, NUMBER),
    ("l4_hash=?", HASH_IS_FLOW, NUMBER),
    ("len=", VALUE, NUMBER),
    ("mac_header_valid=?", MAC_VALID, NUMBER),
    ("mac_header=?", MAC, NUMBER),
)
_PLAIN: dict[str, _Spelling] = {
    "irq:irq_handler_entry": _NUMBER,
    "irq:irq_handler_exit": _NUMBER,
    "irq:softirq_entry": _VECTOR,
    "irq:softirq_exit": _VECTOR,
    "irq:softirq_raise": _VECTOR,
    "napi:napi_poll": (  # napi poll on napi struct %p for device %s work %d budget %d
        ("struct ", OBJECT, HEXADECIMAL),
        ("device ", DEVICE, TEXT),
        ("work ?", VALUE, NUMBER),  # from Linux 4.8 on
        ("budget ?", OTHER, NUMBER),
    ),
    "net:napi_gro_receive_entry": _GRO,
    "net:napi_gro_frags_entry": _GRO,
    "net:netif_receive_skb": _PACKET,
    "net:net_dev_start_xmit": (
        ("dev=", DEVICE, TEXT),
        ("protocol=?", PROTOCOL, NUMBER),
        ("len=", VALUE, NUMBER),
        ("network_offset=?", NETWORK, NUMBER),
        ("transport_offset_valid=?", TRANSPORT_VALID, NUMBER),
        ("transport_offset=?", TRANSPORT, NUMBER),
    ),
    "net:net_dev_xmit": _PACKET,
    "net:net_dev_queue": _PACKET,
    "sched:sched_switch": (
        ("prev_pid=", OTHER, NUMBER),
        ("next_comm=?", COMM, TEXT),
        ("next_pid=", VALUE, NUMBER),
    ),
    "sched:sched_wakeup": _WAKE,
    "sched:sched_wakeup_new": _WAKE,
    "sched:sched_waking": _WAKE,
    "timer:hrtimer_start": (*_TIMER, ("expires=", VALUE, NUMBER)),
    "timer:hrtimer_expire_entry": _TIMER,
    "syscalls:sys_enter_epoll_wait": _EPOLL,
    "syscalls:sys_enter_epoll_pwait": _EPOLL,
    "syscalls:sys_enter_epoll_pwait2": _EPOLL[:1],
    "syscalls:sys_exit_epoll_wait": _RETURN,
    "syscalls:sys_exit_epoll_pwait": _RETURN,
    "syscalls:sys_exit_epoll_pwait2": _RETURN,
}
_PLUGINS = {"sched_switch": SWITCH_PLUGIN} | dict.fromkeys(
    ("sched_wakeup", "sched_wakeup_new", "sched_waking"), WAKE_PLUGIN
)

#: LTTng's names for what the kernel names otherwise.
_LTTNG_NAMES = {
    "irq:softirq_entry": ["irq_softirq_entry"],
    "irq:softirq_exit": ["irq_softirq_exit"],
    "irq:softirq_raise": ["irq_softirq_raise"],
    "net:netif_receive_skb": ["net_if_receive_skb"],
    "net:napi_gro_receive_entry": ["net_napi_gro_receive_entry"],
    "net:napi_gro_frags_entry": ["net_napi_gro_frags_entry"],
    "timer:hrtimer_start": ["timer_hrtimer_start"],
    "timer:hrtimer_expire_entry": ["timer_hrtimer_expire_entry"],
}
#: What stands before an event's own fields: LTTng's context, and the fields that perf writes.
_CONTEXT: _Spelling = (
    ("cpu_id = ?", CPU, NUMBER),
    ("tid = ?", PID, NUMBER),
    ("perf_tid = ?", PID, NUMBER),
    ("perf_cpu = ?", CPU, NUMBER),
)


class Keys(NamedTuple):
    """The keys of all spellings."""

    words: Int64s  # (keys, KEY_WORDS) their bytes
    mask: Int64s  # (keys, KEY_WORDS) which bits of the words count
    length: Int64s
    role: Int64s
    look: Int64s  # NUMBER, ...
    optional: Int64s


class Dialects(NamedTuple):
    """All that the kernels need to know of them; slots are one each event and base of numbers."""

    names: Names
    keys: Keys
    kind: Int64s  # (slots,) Point, or LOST
    needed: Int64s  # (slots,) bits of the roles that a line must have
    base: Int64s  # (slots,) 16 where all numbers are hexadecimal without saying so
    plugin: Int64s  # (slots,) SWITCH_PLUGIN, ...
    plain: Int64s  # (slots, 2) its first key, and the one after its last
    braced: Int64s  # (slots, 2)
    context: Int64s  # (2,)


def make_dialects() -> Dialects:
    """Return the table of all dialects, with no line counted."""
    names = empty_names()
    keys: list[tuple[str, int, int]] = []
    rows: list[tuple[int, int, int, int]] = []
    places: list[tuple[tuple[int, int], tuple[int, int]]] = []

    def add_keys(spelling: _Spelling) -> tuple[int, int]:
        keys.extend(spelling)
        return len(keys) - len(spelling), len(keys)

    def add_slot(
        spelt: Sequence[str], kind: int, plain: _Spelling, braced: _Spelling, base: int, plugin: int
    ) -> None:
        needed = sum(1 << role for key, role, _ in plain if not key.endswith("?"))
        for name in spelt:
            add_name(names, np.frombuffer(name.encode() + bytes(8), np.uint8), len(rows))
        places.append((add_keys(plain), add_keys(braced)))
        rows.append((kind, needed, base, plugin))

    for event, plain in _PLAIN.items():
        system, name = event.split(":")
        call = name.removeprefix("sys_enter_").removeprefix("sys_exit_")
        enters = name.startswith("sys_enter_")
        spelt = [event, name, *_LTTNG_NAMES.get(event, [])]
        if system == "syscalls":
            spelt.append(f"syscall_{'entry' if enters else 'exit'}_{call}")
        point, braced = int(KNOWN[event][0]), _braced(event)
        add_slot(spelt, point, plain, braced, 10, _PLUGINS.get(name, NO_PLUGIN))
        if system == "syscalls":  # ftrace's own spelling of system calls
            spelt = [f"sys_{call}(" if enters else f"sys_{call} ->"]
            add_slot(spelt, point, plain, braced, 16, NO_PLUGIN)
    lost: _Spelling = (("lost ", VALUE, NUMBER),)
    add_slot(("PERF_RECORD_LOST", "PERF_RECORD_LOST_SAMPLES"), LOST, lost, (), 10, NO_PLUGIN)
    context = np.array(add_keys(_CONTEXT), np.int64)
    table = np.array(rows, np.int64)
    ranges = np.array(places, np.int64)
    return Dialects(
        names,
        _packed(keys),
        kind=np.ascontiguousarray(table[:, 0]),
        needed=np.ascontiguousarray(table[:, 1]),
        base=np.ascontiguousarray(table[:, 2]),
        plugin=np.ascontiguousarray(table[:, 3]),
        plain=np.ascontiguousarray(ranges[:, 0]),
        braced=np.ascontiguousarray(ranges[:, 1]),
        context=context,
    )


def _braced(event: str) -> _Spelling:
    """Return an event's fields as babeltrace2 prints them, in whatever order; LTTng says tid."""
    texts = (DEVICE, COMM)
    spelling = []
    for role, name in KNOWN[event][1].items():
        field = name.removesuffix("?")
        spelt = [field, field.replace("pid", "tid")] if "pid" in field else [field]
        look = TEXT if role in texts else NUMBER
        spelling += [(f"{spelled} = ?", role, look) for spelled in spelt]
    return tuple(spelling)


def _packed(keys: Sequence[tuple[str, int, int]]) -> Keys:
    texts = [key.removesuffix("?").encode() for key, _, _ in keys]
    width = 8 * KEY_WORDS
    return Keys(
        np.frombuffer(b"".join(text.ljust(width, b"\0") for text in texts), np.int64).reshape(
            -1, KEY_WORDS
        ),
        np.frombuffer(
            b"".join((b"\xff" * len(text)).ljust(width, b"\0") for text in texts), np.int64
        ).reshape(-1, KEY_WORDS),
        np.array([len(text) for text in texts], np.int64),
        np.array([role for _, role, _ in keys], np.int64),
        np.array([look for _, _, look in keys], np.int64),
        np.array([key.endswith("?") for key, _, _ in keys], np.int64),
    )
