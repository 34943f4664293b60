"""The frame of a perf.data file: its header, its events' attributes and its feature sections.

Layout: tools/perf/Documentation/perf.data-file-format.txt of the kernel.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

from replay.errors import TraceError

MAGIC = b"PERFILE2"
_SWAPPED = MAGIC[::-1]
_VERSION_1 = b"PERFFILE"
FILE_HEADER = 104
PIPE_HEADER = 16
ATTR_SIZE = 64  # of a perf_event_attr, at least
_MOST_ATTRS = 4096
_MOST_IDS = 1 << 20
_LONGEST_TEXT = 1 << 16
_NOTHING = memoryview(b"")

TRACEPOINT = 2  # perf_event_attr.type: PERF_TYPE_TRACEPOINT
_SAMPLE_ID_ALL = 1 << 18
_USE_CLOCKID = 1 << 25

#: Feature bits.
TRACING_DATA, HOSTNAME, OSRELEASE, VERSION, ARCH, NRCPUS, CPUDESC = 1, 3, 4, 5, 6, 7, 8
CMDLINE, EVENT_DESC, CLOCK_DATA = 11, 12, 29

CLOCKS = {0: "CLOCK_REALTIME", 1: "CLOCK_MONOTONIC", 4: "CLOCK_MONOTONIC_RAW", 7: "CLOCK_BOOTTIME"}
CLOCKS[11] = "CLOCK_TAI"


@dataclass(frozen=True)
class Attr:
    """What was asked of the kernel for one event."""

    type: int
    config: int  # of a tracepoint: its number, the same as in its samples' first two bytes
    sample_type: int
    read_format: int
    sample_id_all: bool
    clockid: int | None
    ids: tuple[int, ...]


@dataclass(frozen=True)
class PerfHeader:
    """The frame of one file. Offsets are in bytes from the file's start."""

    attrs: list[Attr]
    data_start: int
    data_end: int  # never beyond the file
    cut: bool = False  # the recording was killed, or the file's tail is missing
    features: dict[int, memoryview] = field(default_factory=dict)  # contents
    missing: int = 0  # features that lie beyond the end of the file
    order: str = "<"  # of the machine's bytes, as struct writes it


def byte_order(path: Path, data: memoryview) -> str:
    """Return the byte order of a perf.data file, `<` or `>`.

    Raises TraceError where it is none, or of version 1.
    """
    magic = bytes(data[:8])
    if magic == _VERSION_1:
        raise TraceError(f"{path}: perf.data version 1 (before Linux 2.6.35) is not read")
    if magic not in (MAGIC, _SWAPPED):
        raise TraceError(f"{path}: not a perf.data file: it begins with {magic!r}")
    return "<" if magic == MAGIC else ">"


def is_pipe(path: Path, data: memoryview, order: str) -> bool:
    """Whether perf wrote to a pipe, by its header's size. Raises TraceError for other sizes."""
    size = _unpack(path, data, order + "Q", 8)[0]
    if size not in (FILE_HEADER, PIPE_HEADER):
        raise TraceError(f"{path}: perf.data header of {size} bytes, {FILE_HEADER} expected")
    return bool(size == PIPE_HEADER)


def read_header(path: Path, data: memoryview, order: str = "<") -> PerfHeader:
    """Read the frame of a perf.data file that is no pipe's. Raises TraceError: damaged."""
    entry, attrs_at, attrs_size, start, length = _unpack(path, data, order + "5Q", 16)
    bits = _unpack(path, data, order + "4Q", 72)
    if start > len(data):
        raise TraceError(f"{path}: data section at byte {start} of a file of {len(data)} bytes")
    attrs = _read_attrs(path, data, order, entry, attrs_at, attrs_size)
    cut = length == 0 or start + length > len(data)
    end = len(data) if cut else start + length
    features = {} if cut else _read_features(data, order, end, bits)
    missing = sum(word.bit_count() for word in bits) - len(features)
    return PerfHeader(attrs, start, end, cut, features, missing, order)


def _read_attrs(
    path: Path, data: memoryview, order: str, entry: int, start: int, size: int
) -> list[Attr]:
    if not ATTR_SIZE + 16 <= entry <= 4096 or not entry <= size <= entry * _MOST_ATTRS:
        raise TraceError(f"{path}: attributes of {size} bytes in entries of {entry} are not valid")
    attrs = []
    for at in range(start, start + size - entry + 1, entry):
        ids_at, ids_size = _unpack(path, data, order + "2Q", at + entry - 16)
        if ids_size // 8 > _MOST_IDS:
            raise TraceError(
                f"{path}: an event of {ids_size // 8} ids, at most {_MOST_IDS} are read"
            )
        _unpack(path, data, "B", at + entry - 17)
        if ids_at + ids_size > len(data):
            _unpack(path, data, "B", ids_at + ids_size - 1)
        ids = data[ids_at : ids_at + ids_size]
        attrs.append(read_attr(data[at : at + entry - 16], ids, order))
    return attrs


def read_attr(attr: memoryview, ids: memoryview, order: str) -> Attr:
    """Read a perf_event_attr of at least ATTR_SIZE bytes, and its ids.

    A newer perf writes a longer one; what is known lies in its first bytes.
    """
    kind, _, config = struct.unpack_from(order + "IIQ", attr, 0)
    sample_type, read_format = struct.unpack_from(order + "2Q", attr, 24)
    flags = int.from_bytes(attr[40:48], "little")
    if order == ">":
        # A compiler for such a machine fills the bits of each byte from the other end.
        flags = int.from_bytes((int(f"{it:08b}"[::-1], 2) for it in attr[40:48]), "little")
    clockid = None
    if flags & _USE_CLOCKID and len(attr) >= 96:
        clockid = struct.unpack_from(order + "i", attr, 92)[0]
    count = len(ids) // 8
    all_ids = bool(flags & _SAMPLE_ID_ALL)
    own = struct.unpack_from(f"{order}{count}Q", ids)
    return Attr(kind, config, sample_type, read_format, all_ids, clockid, own)


def _read_features(
    data: memoryview, order: str, table: int, bits: tuple[int, ...]
) -> dict[int, memoryview]:
    """Return the contents of the features that lie within the file."""
    features = {}
    place = table
    for bit in range(256):
        if not bits[bit // 64] >> (bit % 64) & 1:
            continue
        if place + 16 > len(data):
            break
        start, size = struct.unpack_from(order + "2Q", data, place)
        place += 16
        if start + size <= len(data):
            features[bit] = data[start : start + size]
    return features


def feature_text(header: PerfHeader, bit: int) -> str | None:
    """Return the text of a feature that is one string, or None where it is absent or damaged."""
    texts = _texts(header, header.features.get(bit, _NOTHING), 1)
    return texts[0] if texts else None


def command_line(header: PerfHeader) -> str | None:
    """Return the command that recorded the file, its words joined by blanks."""
    section = header.features.get(CMDLINE, _NOTHING)
    if len(section) < 4:
        return None
    (count,) = struct.unpack_from(header.order + "I", section)
    return " ".join(_texts(header, section[4:], min(count, 4096))) or None


def online_cpus(header: PerfHeader) -> int | None:
    """Return the number of CPUs that were online."""
    section = header.features.get(NRCPUS, _NOTHING)
    return struct.unpack_from(header.order + "2I", section)[0] if len(section) >= 8 else None


def clock_reference(header: PerfHeader) -> tuple[int, int, int] | None:
    """Return (clockid, wall ns, clock ns) of one instant on both clocks (CLOCK_DATA)."""
    section = header.features.get(CLOCK_DATA, _NOTHING)
    if len(section) < 24:
        return None
    _, clockid, wall, clock = struct.unpack_from(header.order + "IIQQ", section)
    return clockid, wall, clock


def event_names(header: PerfHeader) -> list[str]:
    """Return the names of the recorded events (EVENT_DESC), in the order of the attributes."""
    section, order = header.features.get(EVENT_DESC, _NOTHING), header.order
    if len(section) < 8:
        return []
    count, size = struct.unpack_from(order + "2I", section)
    at, names = 8, []
    for _ in range(min(count, _MOST_ATTRS)):
        at += size
        if at + 8 > len(section):
            break
        ids, length = struct.unpack_from(order + "2I", section, at)
        if at + 8 + length + 8 * ids > len(section):
            break
        names.append(_text(section[at + 8 : at + 8 + length]))
        at += 8 + length + 8 * ids
    return names


def _texts(header: PerfHeader, section: memoryview, count: int) -> list[str]:
    """Read strings that each follow their padded length."""
    texts = []
    start = 0
    for _ in range(count):
        if start + 4 > len(section):
            break
        (length,) = struct.unpack_from(header.order + "I", section, start)
        if length > min(_LONGEST_TEXT, len(section) - start - 4):
            break
        texts.append(_text(section[start + 4 : start + 4 + length]))
        start += 4 + length
    return texts


def _text(raw: memoryview) -> str:
    return bytes(raw).split(b"\0")[0].decode("utf-8", "replace")


def _unpack(path: Path, data: memoryview, form: str, at: int) -> tuple[int, ...]:
    if at + struct.calcsize(form) > len(data):
        raise TraceError(
            f"{path}: cut at byte {len(data)}: its header points to byte {at}; record it again"
        )
    return struct.unpack_from(form, data, at)
