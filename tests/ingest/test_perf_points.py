"""Samples decoded: every field of every event, wherever the sample type puts it."""

from __future__ import annotations

import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.errors import TraceError
from replay.ingest.perf_files import open_perf
from replay.ingest.perf_points import PerfPoints, read_points
from replay.ingest.perf_samples import sample_layouts
from replay.ingest.points_order import in_order
from replay.ingest.reconstruct_points import NO_DEVICE, NULL, Point, detail
from replay.ingest.tracepoint_decode import (
    BAD_CPU,
    BAD_SAMPLE,
    BAD_TEXT,
    BAD_THREAD,
    BAD_TIME,
    MANY_DEVICES,
    MOST_DEVICES,
)
from replay.ingest.tracepoint_formats import read_formats
from replay.ingest.tracepoints import choose_slots
from tests.ingest import perf_builder as pb
from tests.ingest.perf_builder import SHAPES, PerfBuilder, shaped

PATH = Path("some.data")


def read(data: bytes) -> PerfPoints:
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "some.data"
        path.write_bytes(data)
        files = open_perf(path)
        slots, *_ = choose_slots(read_formats(PATH, bytes(files.header.features[1])))
        return read_points(PATH, files.streams, sample_layouts(PATH, files.header.attrs), slots)
    finally:
        shutil.rmtree(folder)


def rows(found: PerfPoints) -> list[tuple[int, ...]]:
    return [
        tuple(int(column[i]) for column in block)
        for block in in_order(found.points, found.runs)
        for i in range(len(block.time))
    ]


def problems(builder: PerfBuilder) -> dict[int, int]:
    """What is wrong with a recording's samples, once a good one has been added."""
    builder.sample("irq:softirq_entry", 2, 0, 1, vec=3)
    found = read(builder.build())
    assert len(rows(found)) == 1
    counts = found.tally.problems
    return {int(problem): int(counts[problem]) for problem in np.flatnonzero(counts)}


EXAMPLES: list[tuple[str, dict[str, Any], tuple[int, int, int, int, int]]] = [
    # event, fields, (kind, device, object, value, other)
    (
        "irq:irq_handler_entry",
        {"irq": 27, "name": "eth0-rx"},
        (Point.IRQ_ENTRY, -1, NULL, 27, NULL),
    ),
    ("irq:irq_handler_exit", {"irq": 27, "ret": 1}, (Point.IRQ_EXIT, -1, NULL, 27, NULL)),
    ("irq:softirq_entry", {"vec": 3}, (Point.SOFTIRQ_ENTRY, -1, NULL, 3, NULL)),
    ("irq:softirq_exit", {"vec": 1}, (Point.SOFTIRQ_EXIT, -1, NULL, 1, NULL)),
    ("irq:softirq_raise", {"vec": 3}, (Point.SOFTIRQ_RAISE, -1, NULL, 3, NULL)),
    (
        "napi:napi_poll",
        {"napi": pb.NAPI, "dev_name": "eth0", "work": 5, "budget": 64},
        (Point.POLL, 0, pb.NAPI, 5, 64),
    ),
    (
        "napi:napi_poll",
        {"napi": 5, "dev_name": "(no_device)", "work": 1, "budget": 64},
        (Point.POLL, -1, 5, 1, 64),
    ),
    (
        "net:napi_gro_receive_entry",
        {
            "name": "eth0",
            "napi_id": 264,
            "protocol": 0x86DD,
            "hash": 0xFFFFFFFF,
            "l4_hash": 1,
            "len": 61,
            "mac_header_valid": 1,
            "mac_header": -18,
        },
        (Point.GRO, 0, 264, 79, detail(0xFFFFFFFF, None, 0x86DD)),
    ),
    (
        "net:napi_gro_receive_entry",
        {"name": "eth0", "napi_id": 264, "protocol": 0x800, "hash": 7, "l4_hash": 0, "len": 61},
        (Point.GRO, 0, 264, 75, detail(None, None, 0x800)),
    ),
    ("net:netif_receive_skb", {"name": "lo", "len": 40}, (Point.RECEIVE, 0, NULL, 54, NULL)),
    (
        "net:net_dev_start_xmit",
        {
            "name": "eth0",
            "protocol": 0x800,
            "len": 121,
            "network_offset": 14,
            "transport_offset_valid": 1,
            "transport_offset": 34,
        },
        (Point.XMIT, 0, NULL, 121, detail(None, 20, 0x800)),
    ),
    (
        "net:net_dev_start_xmit",
        {"name": "eth0", "protocol": 0x800, "len": 121, "transport_offset": 99},
        (Point.XMIT, 0, NULL, 121, detail(None, None, 0x800)),
    ),
    (
        "net:net_dev_xmit",
        {"name": "a-name-of-15-by", "len": 9},
        (Point.XMIT_DONE, 0, NULL, 9, NULL),
    ),
    ("net:net_dev_queue", {"name": "eth0", "len": 9}, (Point.XMIT_QUEUED, 0, NULL, 9, NULL)),
    (
        "sched:sched_switch",
        {"prev_comm": "a", "prev_pid": 4, "next_comm": "b", "next_pid": 1 << 22},
        (Point.SWITCH, -1, NULL, 1 << 22, 4),
    ),
    (
        "sched:sched_wakeup",
        {"comm": "a", "pid": 4, "target_cpu": 3},
        (Point.WAKEUP, -1, NULL, 4, 3),
    ),
    (
        "sched:sched_waking",
        {"comm": "a", "pid": 4, "target_cpu": 3},
        (Point.WAKING, -1, NULL, 4, 3),
    ),
    (
        "timer:hrtimer_start",
        {"hrtimer": -77, "function": -5, "expires": 1 << 40},
        (Point.TIMER_START, -1, -77, 1 << 40, -5),
    ),
    (
        "timer:hrtimer_expire_entry",
        {"hrtimer": -77, "function": -5, "now": 3},
        (Point.TIMER_FIRE, -1, -77, NULL, -5),
    ),
    (
        "syscalls:sys_enter_epoll_wait",
        {"epfd": 3, "maxevents": 64, "timeout": 0xFFFFFFFF},
        (Point.EPOLL_WAIT, -1, NULL, -1, 64),
    ),
    ("syscalls:sys_exit_epoll_wait", {"ret": -4}, (Point.EPOLL_RETURN, -1, NULL, -4, NULL)),
]


@pytest.mark.parametrize(("event", "fields", "expected"), EXAMPLES)
def test_each_tracepoint_says_what_it_holds(
    event: str, fields: dict[str, Any], expected: tuple[int, int, int, int, int]
) -> None:
    builder = PerfBuilder()
    builder.sample(event, 10**9, 3, 17, **fields)
    found = read(builder.build())
    kind, device, address, value, other = expected
    device = NO_DEVICE if device < 0 else device
    assert rows(found) == [(0, 3, kind, device, 17, address, value, other)]
    assert found.origin == 10**9
    assert found.tally.slots.sum() == 1
    assert found.devices == ([fields.get("name", fields.get("dev_name"))] if device == 0 else [])


LAYOUTS = [
    (pb.USUAL, 0, 0),
    (pb.TIME | pb.CPU | pb.RAW, 0, 0),
    (pb.USUAL | pb.CALLCHAIN, 0, 7),
    (pb.USUAL | pb.ADDR | pb.ID | pb.STREAM_ID, 0, 0),
    (pb.USUAL | pb.READ, 1 | 2 | 4 | 16, 0),
    (pb.USUAL | pb.READ | pb.CALLCHAIN, 8 | 1 | 4, 2),
]


@pytest.mark.parametrize(("sample_type", "read_format", "calls"), LAYOUTS)
def test_the_sample_type_says_where_parts_lie(
    sample_type: int, read_format: int, calls: int
) -> None:
    builder = PerfBuilder(sample_type=sample_type, read_format=read_format)
    for time in (5, 9):
        builder.sample("irq:softirq_entry", time, 2, 8, vec=3, calls=calls)
    assert [row[:5] for row in rows(read(builder.build()))] == [
        (0, 2, Point.SOFTIRQ_ENTRY, NO_DEVICE, 8),
        (4, 2, Point.SOFTIRQ_ENTRY, NO_DEVICE, 8),
    ]


class TwoKinds(PerfBuilder):
    """Another event's samples carry no raw data, or raw data of another meaning."""

    other: tuple[int, int] = (1, pb.USUAL & ~pb.RAW)

    def attrs(self) -> list[tuple[int, int, int, list[int]]]:
        return [*super().attrs(), (self.other[0], 9, self.other[1], [5, (1 << 64) - 2])]


@pytest.mark.parametrize("other", [(1, pb.USUAL & ~pb.RAW), (8, pb.USUAL)])
@pytest.mark.parametrize("identifier", [5, (1 << 64) - 2])
def test_samples_of_other_events_are_told_apart_by_their_id(
    other: tuple[int, int], identifier: int
) -> None:
    builder = TwoKinds()
    builder.other = other
    builder.sample("irq:softirq_entry", 5, 2, 8, vec=3)
    tracepoint = pb.record("irq:softirq_entry", builder.number("irq:softirq_entry"), 8, vec=3)
    builder.raw_sample(6, 2, 8, identifier, tracepoint)
    builder.sample("irq:softirq_entry", 7, 2, 8, vec=3)
    found = read(builder.build())
    assert [row[0] for row in rows(found)] == [0, 2]
    assert found.samples == 3


def test_sample_types_that_cannot_be_told_apart_are_refused() -> None:
    builder = TwoKinds(sample_type=pb.USUAL & ~pb.IDENTIFIER)
    builder.sample("irq:softirq_entry", 5, 2, 8, vec=3)
    with pytest.raises(TraceError, match="carry no id"):
        read(builder.build())


def test_sample_types_without_ids_are_refused() -> None:
    class Nameless(TwoKinds):
        def attrs(self) -> list[tuple[int, int, int, list[int]]]:
            return [(*attr[:3], []) for attr in super().attrs()]

    builder = Nameless()
    builder.sample("irq:softirq_entry", 5, 2, 8, vec=3)
    with pytest.raises(TraceError, match="have no ids"):
        read(builder.build())


@pytest.mark.parametrize("missing", [pb.TIME, pb.CPU])
def test_samples_without_time_or_cpu_are_refused(missing: int) -> None:
    builder = PerfBuilder(sample_type=pb.USUAL & ~missing)
    builder.sample("irq:softirq_entry", 5, 2, 8, vec=3)
    with pytest.raises(TraceError, match="without time or CPU"):
        read(builder.build())


def test_points_come_in_order_of_time_and_equal_times_in_order_of_the_file() -> None:
    builder = PerfBuilder()
    for time, tid in ((30, 1), (10, 2), (30, 3), (20, 4), (10, 5)):
        builder.sample("irq:softirq_entry", time, 0, tid, vec=3)
    found = read(builder.build())
    assert [(row[0], row[4]) for row in rows(found)] == [(0, 2), (0, 5), (10, 4), (20, 1), (20, 3)]


def test_threads_are_named_by_their_records_and_by_the_scheduler() -> None:
    builder = PerfBuilder()
    builder.comm(4, "napi/eth0-264")
    builder.comm(5, "old")
    builder.sample("sched:sched_wakeup", 1, 0, 9, comm="new-name-of-sixt", pid=5, target_cpu=0)
    builder.sample("sched:sched_switch", 2, 0, 9, next_comm="srv", next_pid=6, prev_pid=9)
    builder.sample("sched:sched_switch", 3, 0, 9, next_comm="later", next_pid=6, prev_pid=9)
    assert read(builder.build()).threads == {4: "napi/eth0-264", 5: "new-name-of-sixt", 6: "srv"}


def test_losses_are_noted_with_time_cpu_and_number() -> None:
    builder = PerfBuilder()
    builder.sample("irq:softirq_entry", 100, 0, 1, vec=3)
    builder.lost(150, 1, 12)
    builder.add(13, struct.pack("<Q", 5) + builder.tail(170, 0))
    builder.add(13, struct.pack("<Q", 7))  # without a tail
    builder.add(13, b"")  # without a number
    found = read(builder.build())
    noted = [(loss.time, loss.cpu, loss.records) for loss in found.losses]
    assert noted == [(50, 1, 12), (70, 0, 5), (0, -1, 7)]


def test_losses_without_a_time_have_none() -> None:
    builder = PerfBuilder(sample_id_all=False)
    builder.sample("irq:softirq_entry", 100, 0, 1, vec=3)
    builder.lost(150, 1, 12)
    assert [(loss.time, loss.cpu) for loss in read(builder.build()).losses] == [(0, -1)]


def test_unknown_tracepoints_are_counted_not_decoded() -> None:
    builder = PerfBuilder()
    builder.sample("kmem:kmalloc", 1, 0, 1, bytes_req=9)
    builder.sample("irq:softirq_entry", 2, 0, 1, vec=3)
    found = read(builder.build())
    assert found.unknown == {builder.number("kmem:kmalloc"): 1}
    assert len(rows(found)) == 1


@pytest.mark.parametrize(
    ("event", "fields", "says"),
    [
        ("sched:sched_switch", {"next_pid": -5, "prev_pid": 1}, BAD_THREAD),
        (
            "sched:sched_switch",
            {"next_pid": 1, "prev_pid": (1 << 22) + 1},
            BAD_THREAD,
        ),
        ("sched:sched_wakeup", {"pid": -1}, BAD_THREAD),
        ("irq:softirq_entry", {"common_pid": -1}, BAD_THREAD),
        ("napi:napi_poll", {"dev_name": (1 << 16) * 60 + 4096}, BAD_TEXT),
    ],
)
def test_damaged_samples_are_left_out(event: str, fields: dict[str, Any], says: int) -> None:
    builder = PerfBuilder()
    builder.sample(event, 1, 0, 1, **fields)
    assert problems(builder) == {says: 1}


@pytest.mark.parametrize(
    ("time", "cpu", "says"),
    [(1, 1 << 16, BAD_CPU), (1 << 63, 0, BAD_TIME)],
)
def test_a_cpu_or_time_that_cannot_be_is_left_out(time: int, cpu: int, says: int) -> None:
    builder = PerfBuilder()
    builder.sample("irq:softirq_entry", time, cpu, 1, vec=3)
    assert problems(builder) == {says: 1}


def test_too_many_devices_are_left_out() -> None:
    builder = PerfBuilder()
    for number in range(MOST_DEVICES + 3):
        builder.sample("net:netif_receive_skb", 1, 0, 1, name=f"dev{number}", len=1)
    found = read(builder.build())
    assert len(found.devices) == len(found.points.time) == MOST_DEVICES
    assert found.tally.problems[MANY_DEVICES] == 3


def test_a_sample_shorter_than_its_fields_is_left_out() -> None:
    builder = PerfBuilder()
    builder.raw_sample(1, 0, 1, 0, struct.pack("<H", builder.number("napi:napi_poll")) + bytes(10))
    assert problems(builder) == {BAD_SAMPLE: 1}


@pytest.mark.parametrize(
    ("sample_type", "form", "value"),
    [
        (pb.USUAL, "<I", 4),
        (pb.USUAL, "<I", 1 << 30),
        (pb.USUAL | pb.CALLCHAIN, "<Q", 1 << 40),
        (pb.USUAL | pb.CALLCHAIN, "<Q", 1 << 63),
        (pb.USUAL | pb.CALLCHAIN, "<Q", 5),
        (pb.USUAL | pb.READ, "<Q", 1 << 63),
        (pb.USUAL | pb.READ | pb.CALLCHAIN, "<Q", 7),
        (pb.USUAL | pb.READ, "<Q", 6),
    ],
)
def test_lengths_within_a_sample_are_bounded(sample_type: int, form: str, value: int) -> None:
    builder = PerfBuilder(sample_type=sample_type, read_format=8)
    builder.sample("irq:softirq_entry", 1, 0, 1, vec=3)
    record = bytearray(builder.records[0])
    struct.pack_into(form, record, 56, value)  # after header, id, ip, tid, time, cpu and period
    builder.records[0] = bytes(record)
    assert problems(builder) == {BAD_SAMPLE: 1}


@pytest.mark.parametrize("more", [0, pb.READ, pb.CALLCHAIN])
def test_a_sample_that_ends_before_its_lengths_is_left_out(more: int) -> None:
    builder = PerfBuilder(sample_type=pb.USUAL | more, read_format=8)
    builder.add(9, bytes(48))
    assert problems(builder) == {BAD_SAMPLE: 1}


def test_times_that_cannot_be_are_refused() -> None:
    builder = PerfBuilder()
    builder.sample("irq:softirq_entry", 1, 0, 1, vec=3)
    builder.sample("irq:softirq_entry", 1 << 61, 0, 1, vec=3)
    with pytest.raises(TraceError, match="damaged"):
        read(builder.build())


@pytest.mark.parametrize(
    ("before", "after"),
    [("int work", "int werk"), ("size:4;\tsigned:1", "size:3;\tsigned:1"), ("__data_loc ", "")],
)
def test_a_tracepoint_that_lacks_a_field_is_not_taken(before: str, after: str) -> None:
    builder = PerfBuilder(edit_format=lambda _, text: text.replace(before, after))
    *_, lacking = choose_slots(read_formats(PATH, builder.tracing_data()))
    assert "napi:napi_poll" in lacking


def test_names_of_devices_are_found_by_either_kind_of_place() -> None:
    def edit(event: str, text: str) -> str:
        if event == "net:netif_receive_skb":
            return text.replace("__data_loc", "__rel_data_loc")
        return text

    builder = PerfBuilder(edit_format=edit)
    builder.sample("net:netif_receive_skb", 1, 0, 1, name="eth0", len=1)
    record = bytearray(builder.records[0])
    # The place counts from the end of the field itself, which lies at bytes 12 to 16.
    raw = record.index(struct.pack("<H", builder.number("net:netif_receive_skb")), 60)
    place, length = struct.unpack_from("<HH", record, raw + 12)
    struct.pack_into("<HH", record, raw + 12, place - 16, length)
    builder.records[0] = bytes(record)
    assert read(builder.build()).devices == ["eth0"]


def test_fields_that_older_kernels_lack_are_done_without() -> None:
    def edit(event: str, text: str) -> str:
        for name in ("protocol", "mac_header", "mac_header_valid", "l4_hash", "transport_offset"):
            text = text.replace(f" {name};", f" an_old_{name};")
        return text

    builder = PerfBuilder(edit_format=edit)
    gro = {"name": "eth0", "napi_id": 264, "hash": 7, "l4_hash": 1, "len": 61, "protocol": 0x800}
    builder.sample("net:napi_gro_receive_entry", 1, 0, 1, **gro)
    xmit = {"name": "eth0", "len": 75, "protocol": 0x800, "transport_offset_valid": 1}
    builder.sample("net:net_dev_start_xmit", 2, 0, 1, **xmit)
    assert [row[6:] for row in rows(read(builder.build()))] == [(75, 0), (75, 0)]


def test_a_devices_name_may_lie_in_the_record_itself() -> None:
    def edit(event: str, text: str) -> str:
        return text.replace("__data_loc char[] name", "char name[4]")

    builder = PerfBuilder(edit_format=edit)
    name = int.from_bytes(b"eth9", "little")
    builder.sample("net:netif_receive_skb", 1, 0, 1, name=name, len=1)
    assert read(builder.build()).devices == ["eth9"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(EXAMPLES), st.integers(0, 1 << 49), st.integers(0, 9))))
def test_any_mixture_of_events_comes_out_whole(
    mixture: list[tuple[tuple[str, dict[str, Any], tuple[int, ...]], int, int]],
) -> None:
    builder = PerfBuilder()
    for (event, fields, _), time, cpu in mixture:
        builder.sample(event, time, cpu, 17, **fields)
    builder.add(68, b"")
    found = read(builder.build())
    expected = sorted(
        (time, order, cpu, *what[:1], *what[2:])
        for order, ((_, _, what), time, cpu) in enumerate(mixture)
    )
    origin = expected[0][0] if expected else 0
    got = [(row[0] + origin, row[1], row[2], *row[5:]) for row in rows(found)]
    assert got == [(time, *rest) for time, _, *rest in expected]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("sample_type", "read_format", "calls"), LAYOUTS)
def test_every_shape_of_a_recording_says_the_same(
    tmp_path: Path, shape: str, order: str, sample_type: int, read_format: int, calls: int
) -> None:
    def recording(order: str) -> PerfBuilder:
        builder = PerfBuilder(sample_type=sample_type, read_format=read_format, order=order)
        for number, (event, fields, _) in enumerate(EXAMPLES * 3):
            time = 10**9 + 1_000 * number - 2_500 * (number % 4)
            builder.sample(event, time, number % 3, 17, calls=calls, **fields)
        builder.comm(50, "napi/eth0-264")
        if sample_type == pb.USUAL:
            builder.lost(10**9 + 7, 2, 12)
        return builder

    expected = read(recording("<").build())
    files = open_perf(shaped(tmp_path, recording(order), shape))
    slots, *_ = choose_slots(read_formats(PATH, bytes(files.header.features[1])))
    found = read_points(PATH, files.streams, sample_layouts(PATH, files.header.attrs), slots)
    assert files.cut is None
    assert found.samples == len(EXAMPLES) * 3
    assert not found.tally.problems.any()
    by_name = [
        [(*row[:3], found.devices[row[3]] if row[3] != NO_DEVICE else None, *row[4:]) for row in it]
        for it, found in ((rows(found), found), (rows(expected), expected))
    ]
    assert by_name[0] == by_name[1]
    assert found.threads == expected.threads
    assert found.losses == expected.losses
