"""The frame of perf.data: what is read of it, and what is refused in one line."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from replay.errors import TraceError
from replay.ingest import perf_header
from tests.ingest.perf_builder import PerfBuilder, text_feature

PATH = Path("some.data")


def read_header(path: Path, data: bytes) -> perf_header.PerfHeader:
    view = memoryview(data)
    order = perf_header.byte_order(path, view)
    assert not perf_header.is_pipe(path, view, order)
    return perf_header.read_header(path, view, order)


def whole() -> bytes:
    builder = PerfBuilder(
        events=("napi:napi_poll", "kmem:kmalloc"),
        features={
            3: text_feature("box"),
            4: text_feature("6.18.0"),
            7: struct.pack("<II", 4, 8),
            11: struct.pack("<I", 2) + text_feature("perf") + text_feature("record"),
            12: event_descriptions("napi:napi_poll", "kmem:kmalloc"),
            29: struct.pack("<IIQQ", 1, 1, 5_000, 700),
        },
    )
    builder.sample("napi:napi_poll", 10, 0, 1, dev_name="eth0", work=1, budget=64)
    return builder.build()


def event_descriptions(*names: str) -> bytes:
    section = struct.pack("<II", len(names), 64)
    for name in names:
        section += bytes(64) + struct.pack("<II", 1, 64) + name.encode().ljust(64, b"\0")
        section += struct.pack("<Q", 9)
    return section


def test_the_frame_says_what_was_recorded() -> None:
    data = whole()
    header = read_header(PATH, data)
    assert [attr.config for attr in header.attrs] == [305, 318]
    assert [attr.ids for attr in header.attrs] == [(1005,), (1018,)]
    assert header.attrs[0].clockid == 1
    assert not header.cut
    assert perf_header.feature_text(header, perf_header.HOSTNAME) == "box"
    assert perf_header.feature_text(header, perf_header.OSRELEASE) == "6.18.0"
    assert perf_header.feature_text(header, perf_header.CPUDESC) is None
    assert perf_header.online_cpus(header) == 4
    assert perf_header.command_line(header) == "perf record"
    assert perf_header.clock_reference(header) == (1, 5_000, 700)
    assert perf_header.event_names(header) == ["napi:napi_poll", "kmem:kmalloc"]


def test_a_frame_without_features_has_nothing_to_say() -> None:
    builder = PerfBuilder(tracing=False, clockid=None)
    builder.add(68, b"")
    data = builder.build()
    header = read_header(PATH, data)
    assert header.features == {}
    assert header.attrs[0].clockid is None
    assert perf_header.online_cpus(header) is None
    assert perf_header.command_line(header) is None
    assert perf_header.clock_reference(header) is None
    assert perf_header.event_names(header) == []


def test_texts_that_reach_beyond_their_section_are_left_out() -> None:
    features = {
        3: struct.pack("<I", 1 << 20),
        11: struct.pack("<I", 9) + text_feature("perf") + b"\1",
        12: event_descriptions("a:b", "c:d")[:-20],
        4: b"",
    }
    builder = PerfBuilder(features=features)
    builder.add(68, b"")
    data = builder.build()
    header = read_header(PATH, data)
    assert perf_header.feature_text(header, perf_header.HOSTNAME) is None
    assert perf_header.feature_text(header, perf_header.OSRELEASE) is None
    assert perf_header.command_line(header) == "perf"
    assert perf_header.event_names(header) == ["a:b"]
    builder.features = {11: b"\1", 12: struct.pack("<II", 3, 1 << 30)}
    data = builder.build()
    header = read_header(PATH, data)
    assert perf_header.command_line(header) is None
    assert perf_header.event_names(header) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PERFFILE" + bytes(96), "version 1"),
        (b"PERFILE2" + struct.pack("<Q", 17), "header of 17 bytes"),
        (b"PERFILE2", "cut at byte 8"),
        (b"\xd4\xc3\xb2\xa1" + bytes(99), "not a perf.data file"),
        (b"", "not a perf.data file"),
    ],
)
def test_what_is_not_read_is_refused_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(TraceError, match=says) as caught:
        read_header(PATH, data)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("some.data: ")


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [
        (16, 8, "attributes of"),
        (16, 1 << 40, "attributes of"),
        (32, 1 << 50, "attributes of"),
        (24, 1 << 60, "points to byte"),
        (40, 1 << 60, "data section at byte"),
    ],
)
def test_offsets_and_sizes_are_bounded(at: int, value: int, says: str) -> None:
    data = bytearray(whole())
    struct.pack_into("<Q", data, at, value)
    with pytest.raises(TraceError, match=says):
        read_header(PATH, bytes(data))


def test_an_event_of_too_many_ids_is_refused() -> None:
    data = bytearray(whole())
    attrs_at = struct.unpack_from("<Q", data, 24)[0]
    struct.pack_into("<Q", data, attrs_at + 128 + 8, 1 << 40)
    with pytest.raises(TraceError, match="ids, at most"):
        read_header(PATH, bytes(data))


def test_a_killed_or_cut_recording_reaches_to_the_end_of_the_file() -> None:
    data = bytearray(whole())
    start = struct.unpack_from("<Q", data, 40)[0]
    cut = read_header(PATH, bytes(data[: start + 16]))
    assert (cut.cut, cut.data_start, cut.data_end, cut.features) == (True, start, start + 16, {})
    struct.pack_into("<Q", data, 48, 0)
    killed = read_header(PATH, bytes(data))
    assert (killed.cut, killed.data_end, killed.features) == (True, len(data), {})


def test_a_feature_table_that_is_cut_yields_what_is_there() -> None:
    data = whole()
    header = read_header(PATH, data)
    table = header.data_end
    assert set(read_header(PATH, data[: table + 16 * 2]).features) == set()
    # The tracing data comes first in the table and in the file.
    assert set(
        read_header(
            PATH, data[: data.index(bytes(header.features[1])) + len(header.features[1])]
        ).features
    ) == {1}
