"""The tracepoints' own descriptions in a perf.data file: names, numbers, and where fields lie."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from replay.errors import TraceError

MAGIC = b"\x17\x08\x44tracing"
_MOST_SYSTEMS = 4096
_MOST_EVENTS = 1 << 16
_LONGEST_RECORD = 1 << 16
_LONGEST_TEXT = 1 << 20
_LONGEST_NAME = 1 << 12
_LONGEST_EVENT = 128

_NAME = re.compile(r"^name:[ \t]*(\S+)", re.MULTILINE)
_ID = re.compile(r"^ID:[ \t]*(\d{1,5})[ \t]*$", re.MULTILINE)
_FIELD = re.compile(
    r"field:([^;\n]{0,200}?)(\w{1,64})(\[\w{0,32}\])?;"
    r"[ \t]*offset:(\d{1,6});[ \t]*size:(\d{1,6});(?:[ \t]*signed:(\d))?"
)


@dataclass(frozen=True)
class Field:
    """Where one field lies in a tracepoint's record, bytes from the record's start."""

    offset: int
    size: int
    signed: bool
    text: int = 0  # 1: a string of that size; 2: __data_loc; 3: __rel_data_loc


@dataclass(frozen=True)
class Format:
    """One tracepoint."""

    name: str  # system:event
    number: int
    fields: dict[str, Field]


def parse_format(system: str, text: str) -> Format | None:
    """Read the text of events/SYSTEM/EVENT/format; None where it is no such text."""
    name, number = _NAME.search(text), _ID.search(text)
    if name is None or number is None or int(number[1]) > 0xFFFF:
        return None
    fields = {}
    for declared, field, brackets, offset, size, signed in _FIELD.findall(text):
        if int(offset) + int(size) > _LONGEST_RECORD:
            return None
        kind = 0
        if "__rel_data_loc" in declared:
            kind = 3
        elif "__data_loc" in declared:
            kind = 2
        elif brackets and "char" in declared:
            kind = 1
        fields[field] = Field(int(offset), int(size), signed == "1", kind)
    # A damaged file's names are shown to people, too.
    called = "".join(it for it in f"{system}:{name[1]}"[:_LONGEST_EVENT] if it.isprintable())
    return Format(called, int(number[1]), fields)


def read_formats(path: Path, section: bytes) -> dict[int, Format]:
    """Read the tracing-data section of a perf.data file: tracepoints by their number.

    Raises TraceError where the section is cut or damaged.
    """
    reader = SectionReader(path, section)
    begin_tracing_data(reader)
    take_ring_formats(reader)
    skip_ftrace_formats(reader)
    return read_event_formats(reader)


def begin_tracing_data(reader: SectionReader) -> str:
    """Take the head that perf's tracing data and trace-cmd's files share; return its version."""
    if reader.take(len(MAGIC)) != MAGIC:
        raise TraceError(f"{reader.path}: its tracing data does not begin as such")
    version = reader.text()
    reader.order = "<" if reader.take(1) == b"\0" else ">"
    reader.take(1)  # sizeof(long)
    reader.page_size = reader.number("I")
    return version


def take_ring_formats(reader: SectionReader) -> str:
    """Take how the ring buffer's pages and records look; return the text of the former."""
    page = ""
    for expected in ("header_page", "header_event"):
        if reader.text() != expected:
            raise TraceError(f"{reader.path}: its tracing data lacks {expected}")
        text = reader.block()
        page = page or text[:_LONGEST_TEXT].decode("utf-8", "replace")
    return page


def skip_ftrace_formats(reader: SectionReader) -> None:
    """Take ftrace's own events, which are no tracepoints."""
    for _ in range(reader.count(_MOST_EVENTS)):
        reader.block()


def read_event_formats(reader: SectionReader) -> dict[int, Format]:
    """Read the format texts of all systems: tracepoints by their number."""
    formats = {}
    for _ in range(reader.count(_MOST_SYSTEMS)):
        system = reader.text()
        for _ in range(reader.count(_MOST_EVENTS)):
            text = reader.block()[:_LONGEST_TEXT].decode("utf-8", "replace")
            found = parse_format(system, text)
            if found is not None:
                formats[found.number] = found
    return formats


class SectionReader:
    """Takes bytes from the front of a section, never beyond its end."""

    def __init__(self, path: Path, data: bytes | memoryview) -> None:
        self.path, self.data, self.place = path, data, 0
        self.order = "<"
        self.page_size = 4096

    def take(self, size: int) -> bytes:
        """Take so many bytes."""
        taken = bytes(self.data[self.place : self.place + size])
        if len(taken) < size:
            raise TraceError(f"{self.path}: its tracing data is cut after {len(self.data)} bytes")
        self.place += size
        return taken

    def text(self) -> str:
        """Take a text and the zero byte that ends it."""
        end = bytes(self.data[self.place : self.place + _LONGEST_NAME]).find(b"\0") + self.place
        if end < self.place:
            end = len(self.data)  # one byte too far: cut
        return self.take(end + 1 - self.place)[:-1].decode("utf-8", "replace")

    def number(self, kind: str) -> int:
        """Take an unsigned number, by struct's letter."""
        number: int = struct.unpack(self.order + kind, self.take(struct.calcsize("<" + kind)))[0]
        return number

    def count(self, most: int) -> int:
        """Take a count of at most `most`."""
        number = self.number("I")
        if number > most:
            raise TraceError(f"{self.path}: its tracing data counts {number} of at most {most}")
        return number

    def block(self, kind: str = "Q") -> bytes:
        """Take bytes that their number precedes."""
        return self.take(self.number(kind))
