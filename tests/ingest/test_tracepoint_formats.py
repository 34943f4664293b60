"""Tracepoint formats: where each field lies, whatever the file's text says."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.errors import TraceError
from replay.ingest.tracepoint_formats import Field, parse_format, read_formats
from tests.ingest.perf_builder import EVENTS, PerfBuilder, format_text

PATH = Path("some.data")


def test_fields_are_found_with_size_sign_and_kind_of_text() -> None:
    found = parse_format("napi", format_text("napi:napi_poll", 2291))
    assert found is not None
    assert (found.name, found.number) == ("napi:napi_poll", 2291)
    assert found.fields["common_pid"] == Field(4, 4, True)
    assert found.fields["napi"] == Field(8, 8, False)
    assert found.fields["dev_name"] == Field(16, 4, False, 2)
    assert found.fields["budget"] == Field(24, 4, True)
    switch = parse_format("sched", format_text("sched:sched_switch", 1))
    assert switch is not None
    assert switch.fields["prev_comm"] == Field(8, 16, True, 1)


def test_relative_places_and_missing_signs_are_understood() -> None:
    text = "name: x\nID: 7\nformat:\n\tfield:__rel_data_loc char[] s; offset:8; size:4;\n"
    found = parse_format("a", text)
    assert found is not None
    assert found.fields == {"s": Field(8, 4, False, 3)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name: x\n",
        "ID: 3\n",
        "name: x\nID: 70000\n",
        "name: x\nID: 1\n\tfield:int a; offset:65530; size:8; signed:1;\n",
    ],
)
def test_what_is_no_format_is_none(text: str) -> None:
    assert parse_format("a", text) is None


def test_all_formats_of_a_section_are_read() -> None:
    formats = read_formats(PATH, PerfBuilder().tracing_data())
    assert {found.name for found in formats.values()} == set(EVENTS)
    assert all(found.number == number for number, found in formats.items())


def test_blocks_that_are_no_formats_are_stepped_over() -> None:
    builder = PerfBuilder(events=("napi:napi_poll", "net:net_dev_xmit"))
    builder.edit_format = lambda event, text: "?" if event == "napi:napi_poll" else text
    section = builder.tracing_data()
    place = section.index(b"header_event\0") + 13 + 8
    of_ftrace = struct.pack("<IQ", 1, 5) + b"hello"
    section = section[:place] + of_ftrace + section[place + 4 :]
    assert [found.name for found in read_formats(PATH, section).values()] == ["net:net_dev_xmit"]


@pytest.mark.parametrize(
    ("begin", "says"),
    [
        (b"\x17\x08\x44tracinX", "does not begin"),
        (b"\x17\x08\x44tracing0.6\0\0\x08\0\0\0\0header_cake\0", "lacks header_page"),
        (b"\x17\x08\x44tracing0.6", "cut"),
    ],
)
def test_a_foreign_section_is_refused(begin: bytes, says: str) -> None:
    with pytest.raises(TraceError, match=says):
        read_formats(PATH, begin)


def test_counts_are_bounded() -> None:
    section = PerfBuilder().tracing_data()
    place = section.index(b"header_event\0") + 13 + 8  # the count of ftrace formats
    damaged = section[:place] + b"\xff\xff\xff\x7f" + section[place + 4 :]
    with pytest.raises(TraceError, match="counts 2147483647"):
        read_formats(PATH, damaged)


@settings(deadline=None)
@given(st.data())
def test_a_cut_or_changed_section_is_read_or_refused(data: st.DataObject) -> None:
    section = bytearray(PerfBuilder(events=("napi:napi_poll",)).tracing_data())
    for _ in range(data.draw(st.integers(0, 3))):
        section[data.draw(st.integers(0, len(section) - 1))] = data.draw(st.integers(0, 255))
    section = section[: data.draw(st.integers(0, len(section)))]
    said = "read"
    try:
        assert len(read_formats(PATH, bytes(section))) <= 1
    except TraceError as error:
        said = str(error)
    assert "\n" not in said


def test_a_damaged_name_can_be_shown_on_one_line() -> None:
    found = parse_format("ir\nq\x1b[31m", "name: softirq_entry\nID: 7\n")
    assert found is not None
    assert found.name == "irq[31m:softirq_entry"
