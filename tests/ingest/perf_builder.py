"""perf.data files made from nothing but struct: frame, tracepoint formats, records."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdCompressor
else:
    from backports.zstd import ZstdCompressor

IP, TID, TIME, ADDR, READ, CALLCHAIN, ID, CPU, PERIOD, STREAM_ID, RAW = (
    1 << bit for bit in range(11)
)
IDENTIFIER = 1 << 16
USUAL = IDENTIFIER | IP | TID | TIME | CPU | PERIOD | RAW

_COMMON = (
    ("unsigned short common_type", 2),
    ("unsigned char common_flags", 1),
    ("unsigned char common_preempt_count", 1),
    ("int common_pid", 4),
)
_COMM = ("char", 16)

#: system:event: its fields as (declaration, size); signed unless unsigned is said or a pointer.
EVENTS: dict[str, tuple[tuple[str, int], ...]] = {
    "irq:irq_handler_entry": (("int irq", 4), ("__data_loc char[] name", 4)),
    "irq:irq_handler_exit": (("int irq", 4), ("int ret", 4)),
    "irq:softirq_entry": (("unsigned int vec", 4),),
    "irq:softirq_exit": (("unsigned int vec", 4),),
    "irq:softirq_raise": (("unsigned int vec", 4),),
    "napi:napi_poll": (
        ("struct napi_struct * napi", 8),
        ("__data_loc char[] dev_name", 4),
        ("int work", 4),
        ("int budget", 4),
    ),
    "net:napi_gro_receive_entry": (
        ("__data_loc char[] name", 4),
        ("unsigned int napi_id", 4),
        ("u16 protocol", 2),
        ("u32 hash", 4),
        ("bool l4_hash", 1),
        ("unsigned int len", 4),
        ("bool mac_header_valid", 1),
        ("int mac_header", 4),
    ),
    "net:netif_receive_skb": (("unsigned int len", 4), ("__data_loc char[] name", 4)),
    "net:net_dev_start_xmit": (
        ("__data_loc char[] name", 4),
        ("u16 protocol", 2),
        ("unsigned int len", 4),
        ("int network_offset", 4),
        ("bool transport_offset_valid", 1),
        ("int transport_offset", 4),
    ),
    "net:net_dev_xmit": (("unsigned int len", 4), ("__data_loc char[] name", 4)),
    "net:net_dev_queue": (("unsigned int len", 4), ("__data_loc char[] name", 4)),
    "sched:sched_switch": (
        ("char prev_comm[16]", 16),
        ("pid_t prev_pid", 4),
        ("char next_comm[16]", 16),
        ("pid_t next_pid", 4),
    ),
    "sched:sched_wakeup": (("char comm[16]", 16), ("pid_t pid", 4), ("int target_cpu", 4)),
    "sched:sched_waking": (("char comm[16]", 16), ("pid_t pid", 4), ("int target_cpu", 4)),
    "timer:hrtimer_start": (
        ("void * hrtimer", 8),
        ("void * function", 8),
        ("s64 expires", 8),
    ),
    "timer:hrtimer_expire_entry": (("void * hrtimer", 8), ("s64 now", 8), ("void * function", 8)),
    "syscalls:sys_enter_epoll_wait": (("int epfd", 8), ("int maxevents", 8), ("int timeout", 8)),
    "syscalls:sys_exit_epoll_wait": (("int __syscall_nr", 4), ("long ret", 8)),
    "kmem:kmalloc": (("size_t bytes_req", 8),),  # one that is not known
}


_PAGE = b"".join(
    b"\tfield: %s;\toffset:%d;\tsize:%d;\tsigned:%d;\n" % field
    for field in (
        (b"u64 timestamp", 0, 8, 0),
        (b"local_t commit", 8, 8, 1),
        (b"int overwrite", 8, 1, 1),
        (b"char data", 16, 4080, 0),
    )
)


def _name(declaration: str) -> str:
    return declaration.split()[-1].split("[")[0]


def _offsets(event: str) -> dict[str, tuple[str, int, int]]:
    """Fields by name: declaration, offset, size; aligned as the kernel aligns them."""
    places, at = {}, 0
    for declaration, size in (*_COMMON, *EVENTS[event]):
        align = 1 if size == 16 else size
        at += -at % align
        places[_name(declaration)] = declaration, at, size
        at += size
    return places


def format_text(event: str, number: int) -> str:
    """The text of events/SYSTEM/EVENT/format."""
    lines = [f"name: {event.split(':')[1]}", f"ID: {number}", "format:"]
    for place, (declaration, offset, size) in enumerate(_offsets(event).values()):
        if place == len(_COMMON):
            lines.append("")  # as the kernel sets the common fields apart
        unsigned = "unsigned" in declaration or (
            declaration[0] in "u_vsb" and "s64" not in declaration
        )
        if "[" in declaration and "__data_loc" not in declaration:
            unsigned = False
        lines.append(
            f"\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{int(not unsigned)};"
        )
    told, values = [], []
    for name, (declaration, _, size) in list(_offsets(event).items())[len(_COMMON) :]:
        text = "[" in declaration
        told.append(f"{name}=" + ("%s" if text else "%llu" if size == 8 else "%d"))
        values.append(f"__get_str({name})" if "__data_loc" in declaration else f"REC->{name}")
    return "\n".join([*lines, "", f'print fmt: "{" ".join(told)}", {", ".join(values)}', ""])


def record(event: str, number: int, tid: int, /, order: str = "<", **values: int | str) -> bytes:
    """A tracepoint's raw record: common header, fields, then the texts that fields point to."""
    turned = "little" if order == "<" else "big"
    places = _offsets(event)
    size = max(offset + width for _, offset, width in places.values())
    size += -size % 4
    raw, texts = bytearray(size), b""
    for name, value in {"common_type": number, "common_pid": tid, **values}.items():
        declaration, offset, width = places[name]
        if isinstance(value, str) and "__data_loc" in declaration:
            text = value.encode() + b"\0"
            struct.pack_into(order + "I", raw, offset, len(text) << 16 | size + len(texts))
            texts += text
        elif isinstance(value, str):
            raw[offset : offset + width] = value.encode()[:width].ljust(width, b"\0")
        else:
            raw[offset : offset + width] = (value % (1 << 8 * width)).to_bytes(width, turned)
    return bytes(raw) + texts


@dataclass
class PerfBuilder:
    """A perf.data file that grows record by record; `build` gives its bytes."""

    sample_type: int = USUAL
    read_format: int = 0
    clockid: int | None = 1
    sample_id_all: bool = True
    events: Sequence[str] = tuple(EVENTS)
    attr_size: int = 128
    features: dict[int, bytes] = field(default_factory=dict)
    order: str = "<"  # of the machine that recorded
    records: list[bytes] = field(default_factory=list)
    tracing: bool = True
    edit_format: Callable[[str, str], str] = lambda _, text: text
    edit_tracing: Callable[[bytes], bytes] = lambda section: section

    def pack(self, form: str, *values: int | bytes) -> bytes:
        """struct.pack in the machine's byte order."""
        return struct.pack(self.order + form, *values)

    @property
    def magic(self) -> bytes:
        return b"PERFILE2" if self.order == "<" else b"2ELIFREP"

    def number(self, event: str) -> int:
        return 300 + list(EVENTS).index(event)

    def id(self, event: str) -> int:
        return 1000 + list(EVENTS).index(event)

    def sample(
        self, event: str, time: int, cpu: int, tid: int, /, *, calls: int = 0, **values: int | str
    ) -> None:
        """Add one sample of a tracepoint."""
        raw = record(event, self.number(event), tid, order=self.order, **values)
        self.raw_sample(time, cpu, tid, self.id(event), raw, calls)

    def raw_sample(
        self, time: int, cpu: int, tid: int, identifier: int, raw: bytes, calls: int = 0
    ) -> None:
        kinds = self.sample_type
        body = b""
        for bit, part in (
            (IDENTIFIER, self.pack("Q", identifier)),
            (IP, self.pack("Q", 0xFFFF_8000_0000_0000)),
            (TID, self.pack("II", tid, tid)),
            (TIME, self.pack("Q", time)),
            (ADDR, self.pack("Q", 1)),
            (ID, self.pack("Q", identifier)),
            (STREAM_ID, self.pack("Q", identifier)),
            (CPU, self.pack("II", cpu, 0)),
            (PERIOD, self.pack("Q", 1)),
            (READ, self._read()),
            (CALLCHAIN, self.pack(f"Q{calls}Q", calls, *range(calls))),
        ):
            body += part if kinds & bit else b""
        raw += b"\0" * (-(len(raw) + 4) % 8)
        body += self.pack("I", len(raw)) + raw
        self.add(9, body)

    def _read(self) -> bytes:
        times = 8 * bool(self.read_format & 1) + 8 * bool(self.read_format & 2)
        entry = 8 + 8 * bool(self.read_format & 4) + 8 * bool(self.read_format & 16)
        if self.read_format & 8:
            return self.pack("Q", 3) + bytes(times + 3 * entry)
        return bytes(times + entry)

    def add(self, kind: int, body: bytes) -> None:
        """Add any record."""
        self.records.append(self.pack("IHH", kind, 0, 8 + len(body)) + body)

    def tail(self, time: int, cpu: int) -> bytes:
        """What ends every record that is no sample (sample_id_all), for the usual sample type."""
        return self.pack("IIQIIQ", 1, 1, time, cpu, 0, self.id("napi:napi_poll"))

    def lost(self, time: int, cpu: int, records: int) -> None:
        self.add(2, self.pack("QQ", 0, records) + self.tail(time, cpu))

    def comm(self, tid: int, name: str) -> None:
        text = name.encode() + b"\0"
        text += b"\0" * (-len(text) % 8)
        self.add(3, self.pack("II", tid, tid) + text + self.tail(0, 0))

    def tracing_data(self) -> bytes:
        """The section that holds the formats."""
        parts = [
            b"\x17\x08\x44tracing",
            b"0.6\0",
            b"\0\x08" if self.order == "<" else b"\1\x08",
            self.pack("I", 4096),
        ]
        for name, text in ((b"header_page", _PAGE), (b"header_event", b"")):
            parts += [name + b"\0", self.pack("Q", len(text)), text]
        parts += [self.pack("I", 0)]
        systems: dict[str, list[str]] = {}
        for event in self.events:
            systems.setdefault(event.split(":")[0], []).append(event)
        parts.append(self.pack("I", len(systems)))
        for system, events in systems.items():
            parts += [system.encode() + b"\0", self.pack("I", len(events))]
            for event in events:
                text = self.edit_format(event, format_text(event, self.number(event))).encode()
                parts += [self.pack("Q", len(text)), text]
        return self.edit_tracing(b"".join([*parts, self.pack("IIQ", 0, 0, 0)]))

    def attrs(self) -> list[tuple[int, int, int, list[int]]]:
        """(type, config, sample_type, ids) of every event."""
        return [
            (2, self.number(event), self.sample_type, [self.id(event)]) for event in self.events
        ]

    def attr(self, attr: tuple[int, int, int, list[int]]) -> bytes:
        """One perf_event_attr."""
        kind, config, sample_type, _ = attr
        flags = (self.sample_id_all << 18) | (0 if self.clockid is None else 1 << 25)
        bits = flags.to_bytes(8, "little")
        if self.order == ">":  # bit fields begin at the other end of each byte
            bits = bytes(int(f"{byte:08b}"[::-1], 2) for byte in bits)
        head = self.pack("IIQQQQ", kind, self.attr_size, config, 1, sample_type, self.read_format)
        whole = (head + bits).ljust(92, b"\0") + self.pack("i", self.clockid or 0)
        return whole.ljust(self.attr_size, b"\0")[: self.attr_size]

    def build_pipe(self) -> bytes:
        """What perf writes where its output is a pipe."""
        parts = [self.magic, self.pack("Q", 16)]
        for bit, section in sorted(self.features.items()):
            parts.append(self._record(80, self.pack("Q", bit) + section))
        for attr in self.attrs():
            ids = self.pack(f"{len(attr[3])}Q", *attr[3])
            parts.append(self._record(64, self.attr(attr) + ids))
        if self.tracing:
            section = self.tracing_data()
            section += b"\0" * (-len(section) % 8)
            parts += [self._record(66, self.pack("I", len(section))), section]
        return b"".join([*parts, *self.records])

    def _record(self, kind: int, body: bytes) -> bytes:
        return self.pack("IHH", kind, 0, 8 + len(body)) + body

    def compressed(self, kind: int = 81, piece: int = 500) -> list[bytes]:
        """The records as perf record -z writes them: one zstd stream, never ended, in pieces."""
        compressor = ZstdCompressor()
        records = b"".join(self.records)
        made = []
        for at in range(0, len(records), piece):
            body = compressor.compress(records[at : at + piece], compressor.FLUSH_BLOCK)
            if kind == 83:
                body = self.pack("Q", len(body)) + body + b"\0" * (-len(body) % 8)
            made.append(self._record(kind, body))
        return made

    def build(self) -> bytes:
        """The whole file."""
        attrs = self.attrs()
        ids = b"".join(self.pack(f"{len(a[3])}Q", *a[3]) for a in attrs)
        entry = self.attr_size + 16
        attrs_at = 104 + len(ids)
        data_at = attrs_at + entry * len(attrs)
        table, place = b"", 104
        for attr in attrs:
            table += self.attr(attr) + self.pack("QQ", place, 8 * len(attr[3]))
            place += 8 * len(attr[3])
        data = b"".join(self.records)
        features = dict(self.features)
        if self.tracing:
            features[1] = self.tracing_data()
        bits = [sum(1 << (b % 64) for b in features if b // 64 == word) for word in range(4)]
        head = self.pack(
            "8sQQQQQQQQ", self.magic, 104, entry, attrs_at, len(table), data_at, len(data), 0, 0
        ) + self.pack("4Q", *bits)
        at = data_at + len(data) + 16 * len(features)
        places, sections = b"", b""
        for bit in sorted(features):
            places += self.pack("QQ", at, len(features[bit]))
            at += len(features[bit])
            sections += features[bit]
        return head + ids + table + data + places + sections

    def write(self, path: Path) -> Path:
        path.write_bytes(self.build())
        return path


def text_feature(text: str, order: str = "<") -> bytes:
    """A feature that is one string."""
    return struct.pack(order + "I", 64) + text.encode().ljust(64, b"\0")


NAPI, TIMER_OFFSET, WATCHDOG, OTHER_FUNCTION = 0xFFFF_8881_0000_0000 - (1 << 64), 288, 77, 78
NAPI_TID, WORKER, CLIENT, SPINNER = 50, 60, 70, 80


class Scene(PerfBuilder):
    """A server as the recording bench has it: CPU 1 serves, CPU 0 sends; times in ns."""

    origin = 10**12

    def at(self, event: str, time: int, cpu: int, tid: int, /, **values: int | str) -> None:
        self.sample(event, self.origin + time, cpu, tid, **values)

    def send(self, time: int, length: int = 75, device: str = "cli", tid: int = CLIENT) -> None:
        cpu = 0 if device == "cli" else 1
        self.at(
            "net:net_dev_start_xmit",
            time,
            cpu,
            tid,
            name=device,
            len=length,
            protocol=0x800,
            network_offset=14,
            transport_offset_valid=1,
            transport_offset=34,
        )

    def receive(self, time: int, length: int = 61, flow: int = 1, tid: int = NAPI_TID) -> None:
        self.at(
            "net:napi_gro_receive_entry",
            time,
            1,
            tid,
            name="srv",
            napi_id=264,
            len=length,
            hash=flow,
            l4_hash=1,
            mac_header_valid=1,
            mac_header=-14,
            protocol=0x800,
        )

    def poll(self, time: int, work: int, tid: int = NAPI_TID, budget: int = 64) -> None:
        self.at("napi:napi_poll", time, 1, tid, napi=NAPI, dev_name="srv", work=work, budget=budget)

    def wake(self, time: int, tid: int, cpu: int, waker: int) -> None:
        name = "napi/srv-264" if tid == NAPI_TID else f"thread{tid}"
        self.at("sched:sched_wakeup", time, cpu, waker, comm=name, pid=tid, target_cpu=1)

    def switch(self, time: int, before: int, after: int) -> None:
        name = "napi/srv-264" if after == NAPI_TID else f"thread{after}"
        self.at(
            "sched:sched_switch",
            time,
            1,
            before,
            prev_comm="x",
            prev_pid=before,
            next_comm=name,
            next_pid=after,
        )

    def timer_start(self, time: int, after: int, tid: int = NAPI_TID) -> None:
        self.at(
            "timer:hrtimer_start",
            time,
            1,
            tid,
            hrtimer=NAPI + TIMER_OFFSET,
            function=WATCHDOG,
            expires=self.origin + time + after,
        )

    def timer_fire(self, time: int, tid: int = SPINNER) -> None:
        self.at(
            "timer:hrtimer_expire_entry",
            time,
            1,
            tid,
            hrtimer=NAPI + TIMER_OFFSET,
            function=WATCHDOG,
            now=self.origin + time,
        )

    def epoll_wait(self, time: int, tid: int = WORKER) -> None:
        self.at("syscalls:sys_enter_epoll_wait", time, 1, tid, epfd=5, maxevents=64, timeout=-1)

    def epoll_return(self, time: int, events: int, tid: int = WORKER) -> None:
        self.at("syscalls:sys_exit_epoll_wait", time, 1, tid, ret=events)

    def exchange(self, time: int, flow: int = 1) -> int:
        """One request, served: by interrupt, in the NAPI thread, then the worker; its end."""
        self.send(time)
        self.wake(time + 1_000, NAPI_TID, 0, CLIENT)
        self.switch(time + 2_000, SPINNER, NAPI_TID)
        self.receive(time + 3_000, flow=flow)
        self.wake(time + 4_000, WORKER, 1, NAPI_TID)
        self.poll(time + 5_000, 1)
        self.switch(time + 6_000, NAPI_TID, WORKER)
        self.epoll_return(time + 7_000, 1)
        self.send(time + 10_000, 121, "srv", WORKER)
        self.epoll_wait(time + 12_000)
        self.switch(time + 13_000, WORKER, SPINNER)
        return time + 13_000


SHAPES = ("file", "pipe", "81", "83", "pipe83", "folder")


def shaped(tmp_path: Path, builder: PerfBuilder, shape: str) -> Path:
    """The recording as a file, a pipe's output, compressed, or a folder of several files."""
    place = tmp_path / shape
    if shape == "folder":
        place.mkdir()
        records, builder.records = builder.records, builder.records[::3]
        (place / "data").write_bytes(builder.build())
        (place / "data.0").write_bytes(b"".join(records[1::3]))
        builder.records = records[2::3]
        (place / "data.10").write_bytes(b"".join(builder.compressed()))
        (place / "data.txt").write_bytes(b"no records")
        return place
    if shape in ("81", "83", "pipe83"):
        builder.records = builder.compressed(int(shape[-2:]))
    place.write_bytes(builder.build_pipe() if shape.startswith("pipe") else builder.build())
    return place
