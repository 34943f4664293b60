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
_FILE_HEADER = 104
_PIPE_HEADER = 16
_MOST_ATTRS = 4096
_MOST_IDS = 1 << 20
_LONGEST_TEXT = 1 << 16

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
    cut: bool  # the recording was killed, or the file's tail is missing
    features: dict[int, tuple[int, int]] = field(default_factory=dict)  # bit: (start, end)
    missing: int = 0  # features that lie beyond the end of the file


def read_header(path: Path, data: bytes | memoryview) -> PerfHeader:
    """Read the frame of the perf.data file whose bytes are `data`.

    Raises TraceError where it is none, or of a kind that is not read: a pipe's output, version 1,
    written on a machine of the other byte order.
    """
    magic = bytes(data[:8])
    if magic == _SWAPPED:
        raise TraceError(f"{path}: perf.data of the other byte order is not read; use perf script")
    if magic == _VERSION_1:
        raise TraceError(f"{path}: perf.data version 1 (before Linux 2.6.35) is not read")
    if magic != MAGIC:
        raise TraceError(f"{path}: not a perf.data file: it begins with {magic!r}")
    size = _unpack(path, data, "<Q", 8)[0]
    if size == _PIPE_HEADER:
        raise TraceError(f"{path}: perf.data written to a pipe is not read; record with -o FILE")
    if size != _FILE_HEADER:
        raise TraceError(f"{path}: perf.data header of {size} bytes, {_FILE_HEADER} expected")
    entry, attrs_at, attrs_size, start, length = _unpack(path, data, "<5Q", 16)
    bits = _unpack(path, data, "<4Q", 72)
    if start > len(data):
        raise TraceError(f"{path}: data section at byte {start} of a file of {len(data)} bytes")
    attrs = _read_attrs(path, data, entry, attrs_at, attrs_size)
    cut = length == 0 or start + length > len(data)
    end = len(data) if cut else start + length
    features = {} if cut else _read_features(data, end, bits)
    missing = sum(word.bit_count() for word in bits) - len(features)
    return PerfHeader(attrs, start, end, cut, features, missing)


def _read_attrs(
    path: Path, data: bytes | memoryview, entry: int, start: int, size: int
) -> list[Attr]:
    # A newer perf writes a longer perf_event_attr; what is known lies in its first 64 bytes.
    if not 64 + 16 <= entry <= 4096 or not entry <= size <= entry * _MOST_ATTRS:
        raise TraceError(f"{path}: attributes of {size} bytes in entries of {entry} are not valid")
    attrs = []
    for at in range(start, start + size - entry + 1, entry):
        kind, _, config = _unpack(path, data, "<IIQ", at)
        sample_type, read_format, flags = _unpack(path, data, "<3Q", at + 24)
        ids_at, ids_size = _unpack(path, data, "<2Q", at + entry - 16)
        count = ids_size // 8
        if count > _MOST_IDS:
            raise TraceError(f"{path}: an event of {count} ids, at most {_MOST_IDS} are read")
        ids = _unpack(path, data, f"<{count}Q", ids_at)
        clockid = None
        if flags & _USE_CLOCKID and entry >= 96 + 16:
            clockid = _unpack(path, data, "<i", at + 92)[0]
        all_ids = bool(flags & _SAMPLE_ID_ALL)
        attrs.append(Attr(kind, config, sample_type, read_format, all_ids, clockid, ids))
    return attrs


def _read_features(
    data: bytes | memoryview, table: int, bits: tuple[int, ...]
) -> dict[int, tuple[int, int]]:
    """Return (start, end) of the features that lie within the file."""
    features = {}
    place = table
    for bit in range(256):
        if not bits[bit // 64] >> (bit % 64) & 1:
            continue
        if place + 16 > len(data):
            break
        start, size = struct.unpack_from("<2Q", data, place)
        place += 16
        if start + size <= len(data):
            features[bit] = (start, start + size)
    return features


def feature_text(data: bytes | memoryview, header: PerfHeader, bit: int) -> str | None:
    """Return the text of a feature that is one string, or None where it is absent or damaged."""
    texts = _texts(data, *header.features[bit], 1) if bit in header.features else []
    return texts[0] if texts else None


def command_line(data: bytes | memoryview, header: PerfHeader) -> str | None:
    """Return the command that recorded the file, its words joined by blanks."""
    if CMDLINE not in header.features:
        return None
    start, end = header.features[CMDLINE]
    if end - start < 4:
        return None
    (count,) = struct.unpack_from("<I", data, start)
    return " ".join(_texts(data, start + 4, end, min(count, 4096))) or None


def online_cpus(data: bytes | memoryview, header: PerfHeader) -> int | None:
    """Return the number of CPUs that were online."""
    start, end = header.features.get(NRCPUS, (0, 0))
    return struct.unpack_from("<2I", data, start)[0] if end - start >= 8 else None


def clock_reference(data: bytes | memoryview, header: PerfHeader) -> tuple[int, int, int] | None:
    """Return (clockid, wall ns, clock ns) of one instant on both clocks (CLOCK_DATA)."""
    start, end = header.features.get(CLOCK_DATA, (0, 0))
    if end - start < 24:
        return None
    _, clockid, wall, clock = struct.unpack_from("<IIQQ", data, start)
    return clockid, wall, clock


def event_names(data: bytes | memoryview, header: PerfHeader) -> list[str]:
    """Return the names of the recorded events (EVENT_DESC), in the order of the attributes."""
    start, end = header.features.get(EVENT_DESC, (0, 0))
    if end - start < 8:
        return []
    count, size = struct.unpack_from("<2I", data, start)
    at, names = start + 8, []
    for _ in range(min(count, _MOST_ATTRS)):
        at += size
        if at + 8 > end:
            break
        ids, length = struct.unpack_from("<2I", data, at)
        if at + 8 + length + 8 * ids > end:
            break
        names.append(_text(data[at + 8 : at + 8 + length]))
        at += 8 + length + 8 * ids
    return names


def _texts(data: bytes | memoryview, start: int, end: int, count: int) -> list[str]:
    """Read strings that each follow their padded length."""
    texts = []
    for _ in range(count):
        if start + 4 > end:
            break
        (length,) = struct.unpack_from("<I", data, start)
        if length > min(_LONGEST_TEXT, end - start - 4):
            break
        texts.append(_text(data[start + 4 : start + 4 + length]))
        start += 4 + length
    return texts


def _text(raw: bytes | memoryview) -> str:
    return bytes(raw).split(b"\0")[0].decode("utf-8", "replace")


def _unpack(path: Path, data: bytes | memoryview, form: str, at: int) -> tuple[int, ...]:
    if at + struct.calcsize(form) > len(data):
        raise TraceError(
            f"{path}: cut at byte {len(data)}: its header points to byte {at}; record it again"
        )
    return struct.unpack_from(form, data, at)
