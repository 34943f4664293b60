"""The walk over records: every one counted, none beyond the end, none of size zero followed."""

from __future__ import annotations

import csv
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest.perf_files import open_perf
from replay.ingest.perf_header import TRACING_DATA
from replay.ingest.perf_points import read_points
from replay.ingest.perf_samples import COLUMNS, Layouts, sample_layouts
from replay.ingest.perf_stream import Stream
from replay.ingest.perf_walk import AUXTRACE, PACKED, SAMPLE, TYPES
from replay.ingest.perf_walk import TRACING_DATA as TRACING_FOLLOWS
from replay.ingest.tracepoint_formats import read_formats
from replay.ingest.tracepoints import choose_slots
from replay.ingest.zstd import ZstdDecompressor

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"


def records(*parts: tuple[int, int]) -> np.ndarray:
    """Records of (type, size)."""
    data = b"".join(struct.pack("<IHH", kind, 0, size).ljust(size, b"\0") for kind, size in parts)
    return np.frombuffer(data, np.uint8)


class Walked(NamedTuple):
    counts: np.ndarray
    end: int
    whole: bool


def walk(data: np.ndarray) -> Walked:
    """Count records by type, with a reader that knows no tracepoint."""
    stream = Stream(data, 0, len(data))
    slots, *_ = choose_slots({})
    layouts = Layouts(*np.zeros((2, 0), np.int64), np.zeros((1, COLUMNS), np.int64))
    found = read_points(Path("some.data"), [stream], layouts, slots)
    end = len(data) if stream.cut is None else int(stream.cut.split()[1])
    return Walked(found.tally.records, end, stream.cut is None)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 20).map(lambda n: 8 * n))))
def test_every_record_is_counted_by_its_type(parts: list[tuple[int, int]]) -> None:
    special = {AUXTRACE, TRACING_FOLLOWS, *PACKED}  # with more than their header
    parts = [(kind + 7 * (kind in special), size) for kind, size in parts]
    data = records(*parts)
    walked = walk(data)
    expected = np.bincount([min(kind, TYPES - 1) for kind, _ in parts], minlength=TYPES)
    assert walked.counts.tolist() == expected.tolist()
    assert walked.whole


@pytest.mark.parametrize("size", [0, 7])
def test_a_record_shorter_than_its_header_ends_the_walk(size: int) -> None:
    data = np.concatenate([records((9, 16), (9, 24)), records((9, 8))])
    data = data.copy()
    data[16 + 6 : 16 + 8] = size, 0
    walked = walk(data)
    assert (walked.counts[SAMPLE], walked.end, walked.whole) == (1, 16, False)


@pytest.mark.parametrize("missing", [1, 9, 20])
def test_a_cut_record_is_not_counted(missing: int) -> None:
    data = records((9, 16), (9, 24))[:-missing]
    walked = walk(data)
    assert (walked.counts[SAMPLE], walked.end, walked.whole) == (1, 16, False)


@pytest.mark.parametrize(("more", "whole"), [(32, True), (33, False), (-1, False)])
def test_the_trace_behind_an_auxtrace_record_is_stepped_over(more: int, whole: bool) -> None:
    data = np.concatenate([records((AUXTRACE, 16)), np.full(32, 9, np.uint8)])
    data[8:16] = np.frombuffer(struct.pack("<q", more), np.uint8)
    walked = walk(data)
    assert (walked.whole, walked.counts[AUXTRACE]) == (whole, int(whole))


def catalogue() -> list[dict[str, str]]:
    table = SAMPLES / "CATALOG_PERF.tsv"
    if not table.exists():
        return []
    with table.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_public_recordings_hold_the_samples_that_perf_counts() -> None:
    rows = catalogue()
    if not rows:
        pytest.skip("the public recordings are not beside this repository")
    checked = 0
    for row in rows:
        path = SAMPLES / row["file"]
        if not path.exists() or path.name.endswith("true.v1"):
            continue
        files = open_perf(path)
        formats = files.header.features.get(TRACING_DATA)
        slots, *_ = choose_slots({} if formats is None else read_formats(path, bytes(formats)))
        layouts = sample_layouts(path, files.header.attrs)
        found = read_points(path, files.streams, layouts, slots)
        assert found.samples == naive_samples(path.read_bytes()), path
        if row["perf61_samples"]:
            assert found.samples == int(row["perf61_samples"]), path
        # perf's farewell stands at the end of one, a record of no size in the midst of another.
        broken = {"sleep.compressed2.pipe.data", "perf.data.piped.corrupted.zero_size_sample-3.2"}
        assert (files.cut is not None) == (path.name in broken), path
        checked += 1
    assert checked > 15


def naive_samples(data: bytes) -> int:
    """Count the samples of a little-endian file, record by record."""
    if struct.unpack_from("<Q", data, 8)[0] == 16:
        at, end = 16, len(data)
    else:
        at, size = struct.unpack_from("<QQ", data, 40)
        end = at + size
    unpacked, zstd, samples = b"", ZstdDecompressor(), 0
    while at + 8 <= end:
        kind, size = struct.unpack_from("<I2xH", data, at)
        if size < 8 or at + size > end:
            break
        body = data[at + 8 : at + size]
        if kind == 81:
            unpacked += zstd.decompress(body)
        elif kind == 83:
            unpacked += zstd.decompress(body[8 : 8 + struct.unpack_from("<Q", body)[0]])
        elif kind == 66:
            size += -(-struct.unpack("<I", body[:4])[0] // 8) * 8
        elif kind == 71:
            size += struct.unpack_from("<Q", body)[0]
        samples += kind == SAMPLE
        at += size
    at = 0
    while at + 8 <= len(unpacked):
        kind, size = struct.unpack_from("<I2xH", unpacked, at)
        samples += kind == SAMPLE
        at += size
    return samples


def test_our_own_recording_holds_what_perf_counted() -> None:
    folder = SAMPLES / "own-recorded"
    if not folder.exists():
        pytest.skip("the public recordings are not beside this repository")
    path = folder / "veth_tcp_zstd.perf.data"
    said = (folder / "EXPECTED_COUNTS.txt").read_text().split("demo")[0].splitlines()[1:]
    expected = {name: int(count) for name, count in (line.split(": ") for line in said)}
    files = open_perf(path)
    slots, names, _ = choose_slots(read_formats(path, bytes(files.header.features[TRACING_DATA])))
    found = read_points(path, files.streams, sample_layouts(path, files.header.attrs), slots)
    counts = zip(names, found.tally.slots, strict=False)
    assert {name: int(count) for name, count in counts if count} == expected
    assert len(found.points.time) == found.samples == sum(expected.values()) == 43_759
    assert found.cpus == {0, 1}
