"""trace.dat files of versions 6 and 7 made from nothing but struct: frame, pages, records."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from tests.ingest.perf_builder import EVENTS, PerfBuilder, record

PAGE = 4096
HEAD = 16  # of a page
ADDRESS = 0xFFFF_8000_0000_1000


@dataclass
class Ring:
    """One CPU's pages; `add` takes records in order of time."""

    pages: list[bytes] = field(default_factory=list)
    page: bytes = b""
    start: int = 0
    time: int = 0
    flags: int = 0
    tail: bytes = b""

    def add(self, time: int, raw: bytes, *, absolute: bool = False) -> None:
        """Add a record; its time by difference, extended where that is too large, or absolute."""
        raw += bytes(-len(raw) % 4)
        extra = b""
        if self.page:
            delta = time - self.time
            if absolute:
                low = time & ((1 << 59) - 1)
                extra, delta = struct.pack("<II", 31 | (low & 0x7FFFFFF) << 5, low >> 27), 0
            elif delta >> 27:
                extra, delta = struct.pack("<II", 30 | (delta & 0x7FFFFFF) << 5, delta >> 27), 0
        else:
            delta, self.start = 0, time
        if len(raw) <= 112:
            head = struct.pack("<I", len(raw) // 4 | delta << 5)
        else:
            head = struct.pack("<II", delta << 5, len(raw) + 4)
        if len(self.page) + len(extra) + len(head) + len(raw) > PAGE - HEAD:
            self.end()
            return self.add(time, raw)
        self.page += extra + head + raw
        self.time = time
        return None

    def thrown_away(self, delta: int, size: int = 8) -> None:
        """Add a record that was discarded, `delta` ns (not 0) after the one before."""
        self.page += struct.pack("<II", 29 | delta << 5, size + 4) + bytes(size)
        self.time += delta

    def end(self, *, padded: bool = False, missed: int | None = None) -> None:
        """End the page; `missed` events were lost before it."""
        flags, tail = 0, b""
        if missed is not None:
            flags, tail = 3 << 30, struct.pack("<Q", missed)
        body = self.page + (struct.pack("<I", 29) if padded else b"")
        size = len(self.page) if not padded else PAGE - HEAD
        head = struct.pack("<QQ", self.start, size | flags)
        self.pages.append((head + body + tail).ljust(PAGE, b"\0"))
        self.page = b""

    def data(self) -> bytes:
        if self.page:
            self.end()
        return b"".join(self.pages)


@dataclass
class TraceDatBuilder:
    """A file that grows record by record; `build` gives its bytes."""

    version: int = 6
    compression: str = "none"
    clock: str = "mono"
    overrun: int = 0
    rings: dict[int, Ring] = field(default_factory=dict)
    threads: dict[int, str] = field(default_factory=lambda: {60: "worker", 50: "napi/srv-264"})
    perf: PerfBuilder = field(default_factory=PerfBuilder)

    def at(self, event: str, time: int, cpu: int, tid: int, /, **values: int | str) -> None:
        raw = record(event, 300 + list(EVENTS).index(event), tid, **values)
        self.rings.setdefault(cpu, Ring()).add(time, raw)

    def _parts(self) -> dict[str, bytes]:
        section = self.perf.tracing_data()
        begin = len(b"\x17\x08\x44tracing0.6\0\0\x08") + 4
        place = begin
        for name in (b"header_page\0", b"header_event\0"):
            place += len(name)
            place += 8 + struct.unpack_from("<Q", section, place)[0]
        symbols = f"{ADDRESS:016x} t napi_watchdog\n".encode()
        lines = "".join(f"{tid} {name}\n" for tid, name in self.threads.items()).encode()
        return {
            "header": section[begin:place],
            "ftrace": section[place : place + 4],
            "formats": section[place + 4 : -16],
            "kallsyms": struct.pack("<I", len(symbols)) + symbols,
            "printk": struct.pack("<I", 0),
            "cmdlines": struct.pack("<Q", len(lines)) + lines,
        }

    def _options(self) -> list[tuple[int, bytes]]:
        clocks = " ".join(f"[{it}]" if it == self.clock else it for it in ("local", self.clock))
        stat = f"CPU: 1\nentries: 0\noverrun: {self.overrun}\ncommit overrun: 0\n"
        uname = "Linux box 6.18.0 #1 SMP x86_64\0"
        return [(2, stat.encode()), (4, clocks.encode()), (5, uname.encode())]

    def build(self) -> bytes:
        return self._build_6() if self.version == 6 else self._build_7()

    def _head(self, version: bytes) -> bytes:
        return b"\x17\x08\x44tracing" + version + b"\0\0\x08" + struct.pack("<I", PAGE)

    def _build_6(self) -> bytes:
        cpus = max(self.rings, default=0) + 1
        body = self._head(b"6") + b"".join(self._parts().values()) + struct.pack("<I", cpus)
        body += b"options  \0"
        for number, data in self._options():
            body += struct.pack("<HI", number, len(data)) + data
        body += struct.pack("<H", 0) + b"flyrecord\0"
        at = len(body) + 16 * cpus
        at += -at % PAGE
        table, pages = b"", b""
        for cpu in range(cpus):
            data = self.rings[cpu].data() if cpu in self.rings else b""
            table += struct.pack("<QQ", at + len(pages), len(data))
            pages += data
        return (body + table).ljust(at, b"\0") + pages

    def _pack(self, data: bytes) -> bytes:
        return zlib.compress(data)

    def _section(self, number: int, data: bytes) -> bytes:
        packed = self.compression != "none"
        if packed:
            small = self._pack(data)
            data = struct.pack("<II", len(small), len(data)) + small
        return struct.pack("<HHIQ", number, packed, 0, len(data)) + data

    def _build_7(self) -> bytes:
        head = self._head(b"7") + self.compression.encode() + b"\x001.0\0"
        body, places = b"", {}
        start = len(head) + 8
        numbers = dict(zip(self._parts(), range(16, 22), strict=True))
        for name, data in self._parts().items():
            places[numbers[name]] = start + len(body)
            body += self._section(numbers[name], data)
        rings = b""
        for cpu, ring in self.rings.items():
            data, at = ring.data(), start + len(body)
            if self.compression != "none":
                chunks = [data[i : i + 2 * PAGE] for i in range(0, len(data), 2 * PAGE)]
                packed = [(self._pack(chunk), len(chunk)) for chunk in chunks]
                data = struct.pack("<I", len(packed))
                data += b"".join(struct.pack("<II", len(p), n) + p for p, n in packed)
            size = len(data) - 4 * (self.compression != "none")
            rings += struct.pack("<IQQ", cpu, at, size)
            body += data
        buffer = struct.pack("<Q", start) + b"\0" + self.clock.encode() + b"\0"
        buffer += struct.pack("<II", PAGE, len(self.rings)) + rings
        options = [*self._options(), *((n, struct.pack("<Q", at)) for n, at in places.items())]
        first = b"".join(struct.pack("<HI", n, len(d)) + d for n, d in options)
        second = struct.pack("<HI", 3, len(buffer)) + buffer
        ends = struct.pack("<HIQ", 0, 8, 0)
        last = start + len(body)
        body += self._section(0, second + ends)
        at = start + len(body)
        body += self._section(0, first + struct.pack("<HIQ", 0, 8, last))
        return head + struct.pack("<Q", at) + body

    def write(self, path: Path) -> Path:
        path.write_bytes(self.build())
        return path
