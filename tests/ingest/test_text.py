"""Every text dialect of kernel events: what each line says, and what it leaves open."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import TraceError
from replay.ingest import column_files, text
from replay.ingest.ingested import Ingested
from replay.ingest.reconstruct_points import NO_CPU, NO_DEVICE, NO_TID, NULL, Point, detail
from replay.ingest.recording import Recording
from replay.ingest.recordings import read_kernel_events
from replay.ingest.sniff import sniff, sniff_stream
from replay.ingest.stream import Stream
from replay.ingest.text import read_text
from replay.ingest.text_fields import ANOTHER_FUNCTION, NAPI_WATCHDOG
from replay.trace.schema import EventKind

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
NAPI = 0xFFFF_8881_0000_0000 - (1 << 64)
NONE = object()


def read(*lines: str) -> Recording:
    return read_bytes("\n".join(lines).encode())


def read_bytes(data: bytes) -> Recording:
    with NamedTemporaryFile(prefix="made.txt") as file:
        file.write(data)
        file.flush()
        with Stream(file.name) as stream:
            return read_text(stream)


def bundled(path: Path) -> Ingested:
    with Stream(path) as stream:
        return read_kernel_events(stream, sniff_stream(stream))


def only(line: str) -> dict[str, object]:
    """The one point of a line, without what is not there."""
    found = read(line)
    assert len(found.points.time) == 1
    point = {name: int(column[0]) for name, column in found.points._asdict().items()}
    point["time"] = found.origin
    empty = {"cpu": NO_CPU, "tid": NO_TID, "device": NO_DEVICE, "object": NULL, "other": NULL}
    kept = {name: value for name, value in point.items() if value != empty.get(name, NULL)}
    if "device" in kept:
        kept["device"] = found.devices[0]
    return kept


POLL = {"kind": Point.POLL, "device": "eth0", "object": NAPI, "value": 3, "other": 64}
IRQ = {"kind": Point.IRQ_ENTRY, "value": 126}


@pytest.mark.parametrize(
    ("line", "header"),
    [
        # perf script: default, --ns, pid/tid, without what -F leaves out
        ("     swapper     0 [002]  6205.804133: irq:E", (6205_804_133_000, 2, 0)),
        ("     swapper     0 [002]  6205.804133777: irq:E", (6205_804_133_777, 2, 0)),
        (" Web Content  12/345 [011]     1.5: irq:E", (1_500_000_000, 11, 345)),
        ("a:b: 1 <x> 345 [011]     1.000001: irq:E", (1_000_001_000, 11, 345)),
        ("kworker/0:1-ev 7 [000] 1.000001:   irq:E", (1_000_001_000, 0, 7)),
        ("swapper     0     1.000001:   irq:E", (1_000_001_000, NO_CPU, 0)),
        ("[003]     1.000001:   irq:E", (1_000_001_000, 3, NO_TID)),
        ("1857097.663773:                irq:E", (1857097_663_773_000, NO_CPU, NO_TID)),
        # ftrace: 4 and 5 flags, 8, none; with tgid; cpu removed by who quoted it
        ("  <...>-2110  [001] dNH1   466.634916: E", (466_634_916_000, 1, 2110)),
        (" <idle>-0     [045] ..s1. 466.634916: E", (466_634_916_000, 45, 0)),
        ("  sshd-3984   [000] .N.s...   877.078111: E", (877_078_111_000, 0, 3984)),
        ("  sshd-3984   ( 3980) [000] .N.s.   877.078111: E", (877_078_111_000, 0, 3984)),
        ("  sshd-3984   (-----) [000]   877.078111: E", (877_078_111_000, 0, 3984)),
        ("idle_inject/4-37 [004] 207.087744: E", (207_087_744_000, 4, 37)),
        ("irq/43-e-280 [004] 207.087744: E", (207_087_744_000, 4, 280)),
        ("<idle>-0  6.594695: E", (6_594_695_000, NO_CPU, 0)),
        ("pid-2275  d..1 6.594720: E", (6_594_720_000, NO_CPU, 2275)),
        # trace-cmd report, and with -l: the cpu glued to the flags; -t: nanoseconds
        ("          <idle>-0     [000] 157412.933974: E:   ", (157412_933_974_000, 0, 0)),
        ("irq/43-e-280     0....2    74.017658: E:  ", (74_017_658_000, 0, 280)),
        ("  bash-9     [000] 157412.933974123: E:  ", (157412_933_974_123, 0, 9)),
    ],
)
def test_headers_of_all_dialects(line: str, header: tuple[int, int, int]) -> None:
    line = line.replace("E:", "E").replace("E", "irq_handler_entry:")
    line = line.replace("irq:irq", "irq:irq") + " irq=126 name=eth0-TxRx-0"
    found = read(line)
    point = found.points
    assert (found.origin, point.cpu[0], point.tid[0]) == header
    assert (point.kind[0], point.value[0]) == (Point.IRQ_ENTRY, 126)


@pytest.mark.parametrize(
    ("said", "point"),
    [
        ("irq_handler_entry: irq=126 name=eth0", IRQ),
        ("irq_handler_exit: irq=126 ret=handled", {"kind": Point.IRQ_EXIT, "value": 126}),
        ("softirq_entry: vec=3 [action=NET_RX]", {"kind": Point.SOFTIRQ_ENTRY, "value": 3}),
        ("irq:softirq_exit: vec=3 [action=NET_RX]", {"kind": Point.SOFTIRQ_EXIT, "value": 3}),
        ("softirq_raise:        vec=3 [action=NET_RX]", {"kind": Point.SOFTIRQ_RAISE, "value": 3}),
        (
            "napi:napi_poll: napi poll on napi struct 0xffff888100000000 for device eth0 work 3"
            " budget 64",
            POLL,
        ),
        (
            "napi_poll: napi poll on napi struct ffff888100000000 for device eth0 work 3 budget 64",
            POLL,
        ),
        (
            "napi_poll: napi poll on napi struct 00000000e62d086d for device can1 work 1 budget 6",
            {**POLL, "object": 0xE62D086D, "device": "can1", "value": 1, "other": 6},
        ),
        (
            "napi_poll: napi poll on napi struct ffff888100000000 for device (no_device) work 0"
            " budget 64",
            {"kind": Point.POLL, "object": NAPI, "value": 0, "other": 64},
        ),
        (  # before Linux 4.8
            "napi_poll: napi poll on napi struct ffff888100000000 for device eth0",
            {"kind": Point.POLL, "object": NAPI, "device": "eth0"},
        ),
        (
            "net:napi_gro_receive_entry: dev=eth0 napi_id=0x108 queue_mapping=1 skbaddr=0xff"
            " vlan_tagged=0 vlan_proto=0x0000 vlan_tci=0x0000 protocol=0x0800 ip_summed=1"
            " hash=0x0000002a l4_hash=1 len=61 data_len=0 truesize=768 mac_header_valid=1"
            " mac_header=-14 nr_frags=0 gso_size=0 gso_type=0x0",
            {
                "kind": Point.GRO,
                "device": "eth0",
                "object": 0x108,
                "value": 75,
                "other": detail(42, None, 0x800),
            },
        ),
        (
            "net:net_dev_start_xmit: dev=eth0 queue_mapping=0 skbaddr=0xff vlan_tagged=0"
            " vlan_proto=0x0000 vlan_tci=0x0000 protocol=0x0800 ip_summed=3 len=121 data_len=0"
            " network_offset=14 transport_offset_valid=1 transport_offset=34 tx_flags=0 gso_size=0"
            " gso_segs=0 gso_type=0x0 net_cookie=5",
            {
                "kind": Point.XMIT,
                "device": "eth0",
                "value": 121,
                "other": detail(None, 20, 0x800),
            },
        ),
        (
            "netif_receive_skb: dev=veth2f068b3 skbaddr=0xffff9e25e838e700x len=28",
            {"kind": Point.RECEIVE, "device": "veth2f068b3", "value": 42},
        ),
        (
            "net:net_dev_xmit: dev=a skbaddr=00000000abcdef12 len=42 rc=0",
            {"kind": Point.XMIT_DONE, "device": "a", "value": 42},
        ),
        (
            "net:net_dev_queue: dev=a skbaddr=0x1 len=42   (2)",
            {"kind": Point.XMIT_QUEUED, "device": "a", "value": 42},
        ),
        (
            "sched_switch: prev_comm=Web Content prev_pid=12 prev_prio=120 prev_state=R+ ==>"
            " next_comm=a pid=5 x next_pid=99 next_prio=120",
            {"kind": Point.SWITCH, "value": 99, "other": 12},
        ),
        (
            "sched_switch: swapper/4:0 [120] R ==> idle_inject/4:37 [49]",
            {"kind": Point.SWITCH, "value": 37, "other": 0},
        ),
        (
            "sched_switch: prev_pid=2275 prev_prio=49 prev_state=S ==> next_pid=175 next_prio=120",
            {"kind": Point.SWITCH, "value": 175, "other": 2275},
        ),
        (
            "sched_wakeup: comm=ksoftirqd/4 pid=39 prio=120 success=1 target_cpu=004",
            {"kind": Point.WAKEUP, "value": 39, "other": 4},
        ),
        (
            "sched_waking: ksoftirqd/4:39 [120]<CANT FIND FIELD success> CPU:004",
            {"kind": Point.WAKING, "value": 39, "other": 4},
        ),
        ("sched_wakeup: ksoftirqd/4", {"kind": Point.WAKEUP, "value": NO_TID}),
        (
            "timer:hrtimer_start: hrtimer=0xffff888100000000 function=napi_watchdog"
            " expires=22811864000000 softexpires=22811864000000 mode=0xa was_armed=1",
            {
                "kind": Point.TIMER_START,
                "object": NAPI,
                "value": 22811864000000,
                "other": NAPI_WATCHDOG,
            },
        ),
        (
            "hrtimer_expire_entry: hrtimer=ffff888100000000 function=tick_nohz_handler now=1",
            {"kind": Point.TIMER_FIRE, "object": NAPI, "other": ANOTHER_FUNCTION},
        ),
        (
            "timer:hrtimer_expire_entry: hrtimer=0x10 function=0xffff888100000000 now=1",
            {"kind": Point.TIMER_FIRE, "object": 16, "other": NAPI},
        ),
        (
            "syscalls:sys_enter_epoll_wait: epfd: 0x00000005, events: 0x7ffc, maxevents:"
            " 0x00000040, timeout: 0xffffffffffffffff",
            {"kind": Point.EPOLL_WAIT, "value": -1, "other": 64},
        ),
        (
            "sys_epoll_wait(epfd: 5, events: 7fbd2bfe3300, maxevents: 80, timeout: 0)",
            {"kind": Point.EPOLL_WAIT, "value": 0, "other": 128},
        ),
        (
            "sys_enter_epoll_pwait2:       epfd: 0x5, events: 0x1, maxevents: 0x10, timeout: 0x7ff",
            {"kind": Point.EPOLL_WAIT, "other": 16},
        ),
        ("syscalls:sys_exit_epoll_wait: 0x2", {"kind": Point.EPOLL_RETURN, "value": 2}),
        ("sys_epoll_wait -> 0x1", {"kind": Point.EPOLL_RETURN, "value": 1}),
        (
            "sys_epoll_pwait -> 0xfffffffffffffffc",
            {"kind": Point.EPOLL_RETURN, "value": -4},
        ),
    ],
)
def test_events_as_they_are_printed(said: str, point: dict[str, object]) -> None:
    found = only(f"  worker-7     [001] d.h1.   466.634916: {said}")
    assert found == {"time": 466_634_916_000, "cpu": 1, "tid": 7, **point}


@pytest.mark.parametrize(
    ("line", "point"),
    [
        (
            "[1412670961.249706339] (+0.000005600) lager napi_poll: { cpu_id = 0 },"
            ' { napi = 18446612686364999680, dev_name = "eth0", work = 3, budget = 64 }',
            {**POLL, "time": 1412670961_249_706_339, "cpu": 0},
        ),
        (
            "[1.249706339] (+?.?????????) sched_switch: { cpu_id = 2 }, { vtid = 9, tid = 8 },"
            ' { prev_comm = "swapper/2", prev_tid = 0, prev_prio = 20, prev_state = 0,'
            ' next_comm = "x y", next_tid = 496, next_prio = 20 }',
            {
                "time": 1_249_706_339,
                "cpu": 2,
                "tid": 8,
                "kind": Point.SWITCH,
                "value": 496,
                "other": 0,
            },
        ),
        (
            "[979.417057183] (+0.1) sched:sched_wakeup: { perf_ip = 0x0, perf_tid = 6, perf_pid ="
            ' 5, perf_id = 13, perf_cpu = 1, common_pid = 3, comm = "perf", pid = 1834, prio = 120,'
            " success = 1, target_cpu = 0 }",
            {
                "time": 979_417_057_183,
                "cpu": 1,
                "tid": 6,
                "kind": Point.WAKEUP,
                "value": 1834,
                "other": 0,
            },
        ),
        (
            "[1.000000000] (+0.1) host irq_softirq_entry: { cpu_id = 0 }, { vec = 3 }",
            {"time": 10**9, "cpu": 0, "kind": Point.SOFTIRQ_ENTRY, "value": 3},
        ),
        (
            "[1.000000000] (+0.1) h syscall_entry_epoll_wait: { cpu_id = 0 }, { epfd = 3,"
            " maxevents = 64, timeout = -1 }",
            {"time": 10**9, "cpu": 0, "kind": Point.EPOLL_WAIT, "value": -1, "other": 64},
        ),
    ],
)
def test_babeltrace2_prints_fields_with_their_names(line: str, point: dict[str, object]) -> None:
    assert only(line) == point


def test_threads_are_named_by_the_scheduler_and_else_by_the_header() -> None:
    found = read(
        "   first-7 [000] 1.0: softirq_entry: vec=3",
        "  second-7 [000] 2.0: softirq_entry: vec=3",
        "       x-8 [000] 3.0: sched_switch: x:8 [1] R ==> napi/eth0-264:9 [1]",
        "   <...>-9 [000] 4.0: softirq_entry: vec=3",
        "       x-8 [000] 5.0: sched_switch: prev_comm=x prev_pid=8 ==> next_comm=b c next_pid=7",
    )
    assert found.threads == {7: "b c", 8: "x", 9: "napi/eth0-264"}


def test_what_is_no_event_is_counted_by_what_it_is() -> None:
    found = read(
        "version = 6",
        "CPU 0 is empty",
        "cpus=6",
        "# tracer: nop",
        "",
        "  swapper 0 [008]  3682.509996: irq:softirq_entry: vec=3 [action=NET_RX]",
        "        ffffffff8cfe3aaa __netif_receive_skb_core.constprop.0+0x6ca ([kernel.kallsyms])",
        "        ffffffff8cfe47dd __netif_receive_skb_list_core+0xed ([kernel.kallsyms])",
        "",
        " => do_idle",
        "<idle>-0  3682.6: napi_schedule_prep <-tg3_msi_1shot",
        "<idle>-0  3682.7: play_idle_enter",
        "<idle>-0  3682.7: print: \x1b[31mfoo",
        "and then the packet was lost, see below",
        "<idle>-0  3682.8: net_dev_xmit: dev=eth0 skbaddr=0xff le>",
        "<idle>-0  36820000000000.8: irq_handler_entry: irq=3",
        "\x1b[31m[  12.5] eth0: link up",
    )
    assert len(found.points.time) == 1
    assert found.left_out[:4] == [
        "3 lines not understood: and then the packet was lost, see below"
        " | <idle>-0  36820000000000.8: irq_handler_entry: irq=3 | ?[31m[  12.5] eth0: link up",
        "1 lines lack what their event needs:"
        " <idle>-0  3682.8: net_dev_xmit: dev=eth0 skbaddr=0xff le>",
        "2 lines of other events left out: play_idle_enter, print",
        "1 lines of the function tracer left out",
    ]


def test_losses_are_kept_where_they_were() -> None:
    found = read(
        "# entries-in-buffer/entries-written: 205/305   #P:2",
        "a-1 [002] 1.0: softirq_entry: vec=3",
        "CPU:2 [LOST 123 EVENTS]",
        "a-1 [002] 2.0: softirq_entry: vec=3",
        "CPU:1 [45 EVENTS DROPPED]",
        "a 1 [001] 3.000000: PERF_RECORD_LOST lost 6",
    )
    assert [(it.time, it.cpu, it.records) for it in found.losses] == [
        (0, -1, 100),
        (0, 2, 123),
        (10**9, 1, 45),
        (2 * 10**9, 1, 6),
    ]
    assert found.facts["host"] == {"cpus": 2}


def test_the_header_of_perf_script_names_host_clock_and_wall_time() -> None:
    found = read(
        "# hostname : box",
        "# os release : 6.18.0",
        "# nrcpus online : 4",
        "# cpudesc : Some CPU",
        "# cmdline : /usr/bin/perf record -k CLOCK_MONOTONIC ",
        "# clockid: monotonic (1)",
        "# reference time: 2026-11-22 15:32:51.095634 = 1795361571.095634 (TOD)"
        " = 22504.777476136 (monotonic)",
        "a 1 [002] 22505.000000000: irq:softirq_entry: vec=3",
    )
    assert found.clock == "CLOCK_MONOTONIC"
    assert found.facts == {
        "host": {"hostname": "box", "kernel": "6.18.0", "cpu": "Some CPU", "cpus": 4},
        "recorded_by": "/usr/bin/perf record -k CLOCK_MONOTONIC",
        "resolution_ns": 1,
        "wall_origin_ns": 1795361571_095_634_000 + 222_523_864,
    }


def test_a_text_of_other_events_is_refused_with_their_names() -> None:
    with pytest.raises(
        TraceError, match=r"made.txt\w*: 2 lines, none .*\(its events: a:b, cycles\)"
    ):
        read("x 1 [000] 1.0: a:b: c=1", "x 1 [000] 1.0:   250000 cycles:  ffff foo")
    with pytest.raises(TraceError, match=r"1 lines, none .* \(it begins with hello\)"):
        read("hello")
    with pytest.raises(TraceError, match="0 lines"):
        read()
    with pytest.raises(TraceError, match="are not of one recording"):
        read("a-1 1.0: softirq_entry: vec=3", "a-1 3999999999.0: softirq_entry: vec=3")


HEADERS = (
    "{comm:>16} {tid:>7} [{cpu:03}] {seconds:>5}.{nanoseconds:09}: ",
    "{comm} {pid}/{tid} [{cpu:03}] {seconds}.{nanoseconds:09}: ",
    "{comm:>16}-{tid:<7} [{cpu:03}] {flags} {seconds:>5}.{nanoseconds:09}: ",
    "{comm:>16}-{tid:<5} [{cpu:03}] {seconds:>6}.{nanoseconds:09}: ",
    "{comm:>16}-{tid:<7} ({pid:>7}) [{cpu:03}] {flags} {seconds:>5}.{nanoseconds:09}: ",
)


@given(
    st.sampled_from(HEADERS),
    st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), min_size=1, max_size=15)
    # A name that looks like a time is none that a reader could tell.
    .filter(lambda name: name.strip() and ": " not in name + " " and name[0] not in "#[<"),
    st.integers(0, 1 << 22),
    st.integers(0, 1023),
    st.integers(0, 10**9),
    st.integers(0, 10**9 - 1),
    st.from_regex(r"[.dDb][.Nnp][.hsH][.1-9a-f][.1]?", fullmatch=True),
)
def test_any_header_is_read_as_it_was_written(
    form: str, comm: str, tid: int, cpu: int, seconds: int, nanoseconds: int, flags: str
) -> None:
    said = {"comm": comm, "tid": tid, "pid": 5, "cpu": cpu, "flags": flags}
    found = read(
        form.format(**said, seconds=seconds, nanoseconds=nanoseconds) + "irq_handler_entry: irq=3"
    )
    assert found.origin == seconds * 10**9 + nanoseconds
    assert (found.points.cpu[0], found.points.tid[0]) == (cpu, tid)
    assert found.threads[tid] == comm.strip()


GOOD = (
    "worker-7 [001] {}.000001: napi_poll: napi poll on napi struct 1f for device e{} work 1"
    " budget 2"
)


@given(
    st.lists(st.one_of(st.binary(max_size=200), st.integers(0, 9)), max_size=20),
    st.integers(1, 400),
    st.integers(1, 200),
)
def test_whatever_stands_between_them_all_good_lines_are_read(
    lines: list[bytes | int], chunk: int, longest: int
) -> None:
    chunk, longest = chunk + 200, longest + 100
    made = [GOOD.format(it, it).encode() if isinstance(it, int) else it for it in lines]
    data = b"\n".join([GOOD.format(5, 5).encode(), *made])
    with pytest.MonkeyPatch.context() as patch:
        whole = read_bytes(data)
        patch.setattr(text, "_CHUNK", chunk)
        patch.setattr(text, "_LONGEST_LINE", longest)
        found = read_bytes(data)
    numbers = [5, *(it for it in lines if isinstance(it, int))]
    polls = found.points.part(0, len(found.points.time))
    polls = [
        (int(time) + found.origin, found.devices[device])
        for time, device in zip(polls.time, polls.device, strict=True)
    ]
    expected = [(it * 10**9 + 1000, f"e{it}") for it in numbers]
    assert [it for it in polls if it in expected] == expected
    for one, other in zip(whole.points, found.points, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (whole.devices, whole.threads, whole.left_out) == (
        found.devices,
        found.threads,
        found.left_out,
    )


def test_a_block_that_is_written_is_not_filled_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    write = column_files._write

    def slow(file: IO[bytes], data: memoryview) -> None:
        time.sleep(0.005)
        write(file, data)

    known = [GOOD.format(it, it).encode() for it in range(3)]
    silence = [b"nothing that is known " + bytes(500).replace(b"\0", b"x")]
    data = b"\n".join([*known, *silence, *known, *silence, *known, b""])
    whole = read_bytes(data)
    monkeypatch.setattr(text, "_CHUNK", 250)
    monkeypatch.setattr(text, "_LONGEST_LINE", 250)
    monkeypatch.setattr(column_files, "FEW", 0)
    monkeypatch.setattr(column_files, "_write", slow)
    for one, other in zip(whole.points, read_bytes(data).points, strict=True):
        np.testing.assert_array_equal(one, other)


def test_lines_out_of_order_are_merged() -> None:
    times = [5, 1, 2, 2, 9, 3, 4, 1]
    found = read(*(f"a-1 [000] {t}.0: irq_handler_entry: irq={n}" for n, t in enumerate(times)))
    values = np.concatenate([block.value.copy() for block in found.blocks()])
    assert values.tolist() == sorted(range(8), key=lambda n: times[n])
    assert found.origin == 10**9


def test_what_a_line_does_not_tell_is_null_in_the_bundle(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(
        "1.0: net:netif_receive_skb: dev=eth0 skbaddr=0xff len=28\n"
        "2.0: irq:irq_handler_entry: irq=3 name=x\n"
        "3.0: irq:irq_handler_exit: irq=3 ret=handled\n"
        "4.0: napi:napi_poll: napi poll on napi struct 0xff for device eth0\n"
    )
    assert sniff(path) == "text"
    found = bundled(path)
    events = found.table("events")
    assert events["kind"].to_pylist() == [EventKind.RECEIVE, EventKind.IRQ, EventKind.POLL]
    for name in ("cpu", "tid", "cause", "duration_ns", "budget"):
        assert events[name].null_count == 3, name
    assert events["value"].to_pylist() == [42, 3, None]
    assert "its lines name no CPU: their causes and durations unknown" in found.lost
    assert "its lines name no thread" in found.lost
