"""The tracepoints' own descriptions in a perf.data file: names, numbers, and where fields lie."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from replay.errors import TraceError

_MAGIC = b"\x17\x08\x44tracing"
_MOST_SYSTEMS = 4096
_MOST_EVENTS = 1 << 16
_LONGEST_RECORD = 1 << 16
_LONGEST_TEXT = 1 << 20

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
    return Format(f"{system}:{name[1]}", int(number[1]), fields)


def read_formats(path: Path, section: bytes) -> dict[int, Format]:
    """Read the tracing-data section of a perf.data file: tracepoints by their number.

    Raises TraceError where the section is cut or damaged.
    """
    reader = _Reader(path, section)
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise TraceError(f"{path}: its tracing data does not begin as such")
    reader.text()  # version
    reader.order = "<" if reader.take(1) == b"\0" else ">"
    reader.take(1 + 4)  # sizeof(long), page size
    for expected in ("header_page", "header_event"):
        if reader.text() != expected:
            raise TraceError(f"{path}: its tracing data lacks {expected}")
        reader.block()
    for _ in range(reader.count(_MOST_EVENTS)):
        reader.block()  # ftrace's own events, which perf does not record
    formats = {}
    for _ in range(reader.count(_MOST_SYSTEMS)):
        system = reader.text()
        for _ in range(reader.count(_MOST_EVENTS)):
            text = reader.block()[:_LONGEST_TEXT].decode("utf-8", "replace")
            found = parse_format(system, text)
            if found is not None:
                formats[found.number] = found
    return formats


class _Reader:
    """Takes bytes from the front of a section, never beyond its end."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data, self.place = path, data, 0
        self.order = "<"

    def take(self, size: int) -> bytes:
        taken = self.data[self.place : self.place + size]
        if len(taken) < size:
            raise TraceError(f"{self.path}: its tracing data is cut after {len(self.data)} bytes")
        self.place += size
        return taken

    def text(self) -> str:
        end = self.data.find(b"\0", self.place)
        if end < 0:
            end = len(self.data)  # one byte too far: cut
        return self.take(end + 1 - self.place)[:-1].decode("utf-8", "replace")

    def count(self, most: int) -> int:
        number: int = struct.unpack(self.order + "I", self.take(4))[0]
        if number > most:
            raise TraceError(f"{self.path}: its tracing data counts {number} of at most {most}")
        return number

    def block(self) -> bytes:
        size: int = struct.unpack(self.order + "Q", self.take(8))[0]
        return self.take(size)
