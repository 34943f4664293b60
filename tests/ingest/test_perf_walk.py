"""The walk over records: every one counted, none beyond the end, none of size zero followed."""

from __future__ import annotations

import csv
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.errors import TraceError
from replay.ingest.perf_header import read_header
from replay.ingest.perf_walk import AUXTRACE, SAMPLE, TYPES, walk

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"


def records(*parts: tuple[int, int]) -> np.ndarray:
    """Records of (type, size)."""
    data = b"".join(struct.pack("<IHH", kind, 0, size).ljust(size, b"\0") for kind, size in parts)
    return np.frombuffer(data, np.uint8)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 20).map(lambda n: 8 * n))))
def test_every_record_is_counted_by_its_type(parts: list[tuple[int, int]]) -> None:
    parts = [(kind + (kind == AUXTRACE), size) for kind, size in parts]
    data = records(*parts)
    walked = walk(data, 0, len(data))
    expected = np.bincount([min(kind, TYPES - 1) for kind, _ in parts], minlength=TYPES)
    assert walked.counts.tolist() == expected.tolist()
    assert walked.whole


@pytest.mark.parametrize("size", [0, 7])
def test_a_record_shorter_than_its_header_ends_the_walk(size: int) -> None:
    data = np.concatenate([records((9, 16), (9, 24)), records((9, 8))])
    data = data.copy()
    data[16 + 6 : 16 + 8] = size, 0
    walked = walk(data, 0, len(data))
    assert (walked.counts[SAMPLE], walked.end, walked.whole) == (1, 16, False)


@pytest.mark.parametrize("missing", [1, 9, 20])
def test_a_cut_record_is_not_counted(missing: int) -> None:
    data = records((9, 16), (9, 24))[:-missing]
    walked = walk(data, 0, len(data))
    assert (walked.counts[SAMPLE], walked.end, walked.whole) == (1, 16, False)


@pytest.mark.parametrize(("more", "whole"), [(32, True), (33, False), (-1, False)])
def test_the_trace_behind_an_auxtrace_record_is_stepped_over(more: int, whole: bool) -> None:
    data = np.concatenate([records((AUXTRACE, 16)), np.full(32, 9, np.uint8)])
    data[8:16] = np.frombuffer(struct.pack("<q", more), np.uint8)
    walked = walk(data, 0, len(data))
    assert (walked.whole, walked.counts[AUXTRACE]) == (whole, int(whole))


def catalogue() -> list[dict[str, str]]:
    table = SAMPLES / "CATALOG_PERF.tsv"
    if not table.exists():
        return []
    with table.open() as file:
        return [row for row in csv.DictReader(file, delimiter="\t") if row["mode"] == "file"]


def test_public_recordings_hold_the_samples_that_perf_counts() -> None:
    rows = catalogue()
    if not rows:
        pytest.skip("the public recordings are not beside this repository")
    checked = 0
    for row in rows:
        path = SAMPLES / row["file"]
        if not path.exists():
            continue
        histogram = dict(part.split("=") for part in row["record_histogram"].split())
        data = path.read_bytes()
        try:
            header = read_header(path, data)
        except TraceError:
            assert row["file"].endswith("v1"), path
            continue
        walked = walk(np.frombuffer(data, np.uint8), header.data_start, header.data_end)
        assert walked.counts[SAMPLE] == int(histogram.get("SAMPLE", 0)), path
        assert walked.whole, path
        checked += 1
    assert checked > 15
