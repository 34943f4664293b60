"""The frame of a trace-cmd trace.dat, versions 6 and 7: what it describes, and where its pages are.

Layout: trace-cmd.dat.v6(5) and trace-cmd.dat.v7(5).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from replay.errors import TraceError
from replay.ingest.little_endian import Bytes
from replay.ingest.tracepoint_formats import (
    Format,
    SectionReader,
    begin_tracing_data,
    read_event_formats,
    skip_ftrace_formats,
    take_ring_formats,
)
from replay.ingest.zstd import ZstdDecompressor, ZstdError

#: Options; those from HEADER_INFO on say where a section of version 7 is.
_DONE, _CPU_STAT, _BUFFER, _CLOCK, _UNAME, _CPU_COUNT = 0, 2, 3, 4, 5, 8
_HEADER_INFO, _FTRACE, _FORMATS, _KALLSYMS, _PRINTK, _CMDLINES = range(16, 22)
_COMPRESSED = 1  # a section's flag

_MOST_CPUS = 1 << 16
_MOST_OPTIONS = 1 << 16
_MOST_CHUNKS = 1 << 20
_LARGEST_CHUNK = 1 << 28  # bytes, unpacked
_SMALLEST_PAGE, _LARGEST_PAGE = 1 << 10, 1 << 22

_COMMIT = re.compile(r"local_t commit;\s*offset:8;\s*size:4;")
_LOST = re.compile(rb"^CPU: (\d{1,5})$(?:.*?)^overrun: (\d{1,15})$", re.MULTILINE | re.DOTALL)
_WATCHDOG = re.compile(rb"^([0-9a-f]{8,16}) \w napi_watchdog$", re.MULTILINE)
_THREAD = re.compile(rb"^(\d{1,8}) (.{1,16})$", re.MULTILINE)


@dataclass(frozen=True)
class CpuPages:
    """One CPU's ring buffer in the file: `size` bytes from `at`, packed in chunks or not."""

    cpu: int
    at: int
    size: int


@dataclass
class TraceDat:
    """What a file says of its recording."""

    path: Path
    data: Bytes
    version: int
    page_size: int = 4096
    compression: str = "none"
    clock: str = ""  # as trace_clock names it
    uname: str = ""
    cpus: int | None = None
    overwritten: dict[int, int] = field(default_factory=dict)  # by CPU: events that were lost
    long_size: int = 8  # of the kernel
    formats: dict[int, Format] = field(default_factory=dict)
    threads: dict[int, str] = field(default_factory=dict)
    watchdog: int | None = None  # address of napi_watchdog()
    pages: list[CpuPages] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)  # of packed pages
    instances: list[str] = field(default_factory=list)  # other ring buffers, which are left out

    def blocks(self, part: CpuPages) -> Iterator[Bytes]:
        """Yield a CPU's pages, unpacked; what is cut or damaged ends them, and is noted."""
        if self.version == 6 or self.compression == "none":
            yield self.data[part.at : part.at + part.size]
            return
        # The size leaves out the count of chunks; each chunk says its own.
        reader = SectionReader(self.path, self.data.data[part.at :])
        try:
            for _ in range(reader.count(_MOST_CHUNKS)):
                yield np.frombuffer(_unpack(self, reader), np.uint8)
        except TraceError as error:
            self.damage.append(str(error).removeprefix(f"{self.path}: "))


def read_trace_dat(path: Path, data: Bytes) -> TraceDat:
    """Read the frame. Raises TraceError where it is damaged, or of a kind that is not read."""
    reader = SectionReader(path, data.data)
    said = begin_tracing_data(reader)
    if reader.order != "<":
        raise TraceError(f"{path}: trace.dat of a big-endian machine is not read")
    if said not in ("6", "7"):
        raise TraceError(f"{path}: trace.dat of version {said[:20]!r}; 6 and 7 are read")
    file = TraceDat(path, data, int(said), _page_size(path, reader.page_size))
    if file.version == 6:
        _read_6(file, reader)
    else:
        _read_7(file, reader)
    return file


def _read_6(file: TraceDat, reader: SectionReader) -> None:
    """Read what follows the head in version 6, one part behind the other."""
    _take_page_format(file, take_ring_formats(reader))
    skip_ftrace_formats(reader)
    file.formats = read_event_formats(reader)
    file.watchdog = _watchdog(reader.block("I"))
    reader.block("I")  # formats of trace_printk()
    file.threads = _threads(reader.block())
    cpus = reader.count(_MOST_CPUS)
    file.cpus = cpus
    kind = reader.take(10)
    if kind == b"options  \0":
        for number, body in _options(reader, sized_end=False):
            _take_option(file, number, body)
        kind = reader.take(10)
    if kind != b"flyrecord\0":
        raise TraceError(f"{file.path}: holds {kind!r}, no ring buffer (trace-cmd record makes it)")
    for cpu in range(cpus):
        at, size = reader.number("Q"), reader.number("Q")
        if size:
            file.pages.append(CpuPages(cpu, at, size))


def _read_7(file: TraceDat, reader: SectionReader) -> None:
    """Read the chain of option sections of version 7, and the sections that they point to."""
    file.compression = reader.text()
    reader.text()  # its version
    at, seen = reader.number("Q"), set()
    sections: dict[int, int] = {}
    while at and at not in seen:
        seen.add(at)
        options, at = _section(file, at), 0
        for number, body in _options(options, sized_end=True):
            if number == _DONE:
                at = body.number("Q")
            elif _HEADER_INFO <= number <= _CMDLINES:
                sections.setdefault(number, body.number("Q"))
            else:
                _take_option(file, number, body)
    if _HEADER_INFO in sections:
        _take_page_format(file, take_ring_formats(_section(file, sections[_HEADER_INFO])))
    if _FORMATS in sections:
        file.formats = read_event_formats(_section(file, sections[_FORMATS]))
    if _KALLSYMS in sections:
        file.watchdog = _watchdog(_section(file, sections[_KALLSYMS]).block("I"))
    if _CMDLINES in sections:
        file.threads = _threads(_section(file, sections[_CMDLINES]).block())


def _section(file: TraceDat, at: int) -> SectionReader:
    """Return a reader of the section of version 7 at byte `at`, unpacked."""
    head = SectionReader(file.path, file.data[at : at + 16].tobytes())
    _, flags, _, size = (head.number(kind) for kind in "HHIQ")
    body = SectionReader(file.path, file.data[at + 16 : at + 16 + size].tobytes())
    return SectionReader(file.path, _unpack(file, body)) if flags & _COMPRESSED else body


def _unpack(file: TraceDat, reader: SectionReader) -> bytes:
    """Take packed bytes: their number, that of the unpacked ones, and themselves."""
    packed, size = reader.number("I"), reader.count(_LARGEST_CHUNK)
    data = reader.take(packed)
    try:
        if file.compression == "zstd":
            found = ZstdDecompressor().decompress(data, size)
        elif file.compression == "zlib":
            found = zlib.decompressobj().decompress(data, size)
        else:
            raise TraceError(f"{file.path}: packed by {file.compression!r}; zstd and zlib are read")
    except (ZstdError, zlib.error, EOFError) as error:
        raise TraceError(f"{file.path}: its {file.compression} data is damaged: {error}") from None
    if len(found) != size:
        raise TraceError(f"{file.path}: {len(found)} bytes unpacked of {size}")
    return found


def _options(reader: SectionReader, *, sized_end: bool) -> Iterator[tuple[int, SectionReader]]:
    """Yield options up to DONE, which only version 7 follows by a size."""
    for _ in range(_MOST_OPTIONS):
        number = reader.number("H")
        if number == _DONE and not sized_end:
            return
        yield number, SectionReader(reader.path, reader.block("I"))
        if number == _DONE:
            return


def _take_option(file: TraceDat, number: int, body: SectionReader) -> None:
    """Take what an option says of the recording."""
    if number == _CPU_STAT:
        lost = _LOST.search(bytes(body.data))
        if lost is not None and int(lost[2]):
            file.overwritten[int(lost[1])] = int(lost[2])
    elif number == _CLOCK:
        said = bytes(body.data).decode("utf-8", "replace")
        chosen = re.search(r"\[(\S{1,32})\]", said)
        file.clock = chosen[1] if chosen else ""
    elif number == _UNAME:
        file.uname = bytes(body.data[:512]).split(b"\0")[0].decode("utf-8", "replace").strip()
    elif number == _CPU_COUNT:
        file.cpus = body.number("I")
    elif number == _BUFFER:
        _take_buffer(file, body)


def _take_buffer(file: TraceDat, body: SectionReader) -> None:
    """Take where the pages of an instance are; of several, the main one is read."""
    body.number("Q")
    name = body.text()
    if name or file.version == 6:  # version 6 tells so of other instances only
        file.instances.append(name)
        return
    file.clock = body.text()
    file.page_size = _page_size(file.path, body.number("I"))
    for _ in range(body.count(_MOST_CPUS)):
        file.pages.append(CpuPages(body.number("I"), body.number("Q"), body.number("Q")))


def _take_page_format(file: TraceDat, text: str) -> None:
    """Take the size of the kernel's long, by which page headers differ."""
    file.long_size = 4 if _COMMIT.search(text) else 8


def _page_size(path: Path, size: int) -> int:
    if not _SMALLEST_PAGE <= size <= _LARGEST_PAGE:
        raise TraceError(
            f"{path}: ring buffer pages of {size} bytes;"
            f" {_SMALLEST_PAGE} to {_LARGEST_PAGE} are read"
        )
    return size


def _watchdog(symbols: bytes) -> int | None:
    """Return the address of napi_watchdog() as a record holds it; None where it is not told."""
    found = _WATCHDOG.search(symbols)
    address = int(found[1], 16) if found else 0
    # Without the right to see them, addresses are zero.
    return address - (1 << 64 if address >= 1 << 63 else 0) if address else None


def _threads(lines: bytes) -> dict[int, str]:
    """Return the names of saved_cmdlines: `tid name`."""
    return {int(tid): name.decode("utf-8", "replace") for tid, name in _THREAD.findall(lines)}
