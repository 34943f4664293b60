"""A capture written in one pass is what two passes write; where it cannot be, two passes do."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.errors import TraceError
from replay.ingest import decode, one_pass, pcap
from replay.ingest.ingested import Ingested
from replay.ingest.window import Window
from replay.trace.schema import PacketKind
from tests.ingest.captures import ACK, PSH, SYN, Conversation, Packet, ethernet, ip, tcp, udp
from tests.ingest.captures import pcap as pcap_file

START = 1_700_000_000 * 10**9
END = ACK | PSH

#: Packets of a window, and of a batch behind the first.
WINDOW_BYTES, BATCH = 512, 8


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make batches small; the list gets the passes that were made for each file."""
    return small_batches(monkeypatch)


def small_batches(patch: pytest.MonkeyPatch) -> list[int]:
    made: list[int] = []

    def counted(passes: int, write: Callable[..., Any], *given: Any) -> Any:
        found = write(*given)
        made.append(passes)
        return found

    patch.setattr(decode, "ROWS", BATCH)
    patch.setattr(decode, "_FEW", 0)  # windows hold no more packets than batches
    patch.setattr(pcap, "Window", partial(Window, size=WINDOW_BYTES))
    patch.setattr(pcap, "write_at_once", partial(counted, 1, pcap.write_at_once))
    two = pcap._write_in_two_passes
    patch.setattr(pcap, "_write_in_two_passes", partial(counted, 2, two))
    return made


def same_either_way(
    folder: Path,
    frames: list[bytes],
    times: list[int] | None = None,
    server: str | None = None,
) -> Ingested:
    """Read frames as a file, and as a stream that cannot be rewound; return what both say."""
    times = list(range(len(frames))) if times is None else times
    packets = [Packet(START + time, frame) for time, frame in zip(times, frames, strict=True)]
    plain, packed = folder / "talk.pcap", folder / "talk.pcap.gz"
    plain.write_bytes(pcap_file(packets))
    packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
    one, two = (pcap.read_capture(it, server=server) for it in (plain, packed))
    assert one.tables == two.tables
    assert (one.found, one.inferred, one.lost) == (two.found, two.inferred, two.lost)
    different = {"sources"}
    assert {k: v for k, v in one.manifest.items() if k not in different} == {
        k: v for k, v in two.manifest.items() if k not in different
    }
    return one


def exchanges(count: int, clients: int = 5, end: int = END) -> list[bytes]:
    """Requests, answers and acknowledgements of clients in turn."""
    talks = [Conversation(40_000 + client) for client in range(clients)]
    found = []
    for i in range(count):
        talk = talks[i % clients]
        found += [talk.segment(True, 30, end), talk.segment(False, 60, end), talk.segment(True)]
    return found


def test_one_pass_is_enough_where_requests_come_first(tmp_path: Path, passes: list[int]) -> None:
    read = same_either_way(tmp_path, exchanges(40))
    assert passes == [1, 2]
    assert read.tables["packets"].num_rows == 120


def test_flows_are_numbered_anew_where_an_answer_comes_first(
    tmp_path: Path, passes: list[int]
) -> None:
    read = same_either_way(tmp_path, exchanges(40)[1:])
    assert passes == [1, 2]
    assert read.tables["packets"]["flow"].to_pylist()[:3] == [1, 0, 2]
    assert read.tables["flows"]["destination_port"].to_pylist()[:2] == [8080, 40_000]


def test_flows_that_come_later_may_be_of_the_servers_other_ports(
    tmp_path: Path, passes: list[int]
) -> None:
    other = Conversation(50_000)
    frames = exchanges(20)
    swapped = ethernet(ip("10.0.0.1", "10.0.0.77", 6, tcp(50_001, 5432, b"x", flags=END)))
    frames += [swapped, other.segment(True, 5, END), swapped]
    same_either_way(tmp_path, frames)
    assert passes == [1, 2]


def test_two_passes_where_times_go_back(tmp_path: Path, passes: list[int]) -> None:
    times = list(range(120))
    times[100] = 5
    same_either_way(tmp_path, exchanges(40), times)
    assert passes == [2, 2]


def test_two_passes_where_a_request_ends_in_a_later_batch(
    tmp_path: Path, passes: list[int]
) -> None:
    slow = Conversation(60_000)
    frames = [slow.segment(True, 100), *exchanges(20), slow.segment(False, 10, END)]
    read = same_either_way(tmp_path, frames)
    assert passes == [2, 2]
    assert read.tables["packets"]["reply_to"].to_pylist()[-1] == 0


def test_one_pass_where_only_an_answer_does(tmp_path: Path, passes: list[int]) -> None:
    slow = Conversation(60_000)
    frames = [slow.segment(True, 9, END), slow.segment(False, 100), *exchanges(20)]
    same_either_way(tmp_path, [*frames, slow.segment(True, 10, END)])
    assert passes == [1, 2]


@pytest.mark.parametrize("later", [4, 60])
def test_two_passes_where_another_port_turns_out_to_be_the_servers(
    tmp_path: Path, passes: list[int], later: int
) -> None:
    def segment(client: int, there: bool) -> bytes:
        ports = (40_000 + client, 9090) if there else (9090, 40_000 + client)
        ends = ("10.0.1.2", "10.0.1.1") if there else ("10.0.1.1", "10.0.1.2")
        return ethernet(ip(*ends, 6, tcp(*ports, b"x", flags=END)))

    frames = exchanges(3, clients=3)
    frames += [segment(client, there) for client in range(later) for there in (True, False)]
    same_either_way(tmp_path, frames)
    assert passes == [2, 2]


def test_two_passes_where_the_first_answer_comes_late(tmp_path: Path, passes: list[int]) -> None:
    talk = Conversation()
    frames = [talk.segment(True, 20, END) for _ in range(30)]
    same_either_way(tmp_path, [*frames, talk.segment(False, 20, END)])
    assert passes == [2, 2]


def test_a_server_that_is_named_may_come_later(tmp_path: Path, passes: list[int]) -> None:
    late = [
        ethernet(ip("10.0.1.2", "10.0.1.1", 6, tcp(40_000 + i, 9090, b"x", flags=END)))
        for i in range(3)
    ]
    for server in ("10.0.1.1", "9090", "10.0.1.1:9090"):
        read = same_either_way(tmp_path, exchanges(20) + late, server=server)
        assert read.manifest["server"]["addresses"] == ["10.0.1.1"]
        assert read.tables["packets"]["kind"].to_pylist()[-3:] == [PacketKind.REQUEST] * 3
    assert passes == [2, 2] * 3
    with pytest.raises(TraceError, match=r"server 10\.0\.9\.9: no packet goes to it"):
        same_either_way(tmp_path, exchanges(20), server="10.0.9.9")


def test_a_server_that_is_named_is_known_at_once(tmp_path: Path, passes: list[int]) -> None:
    same_either_way(tmp_path, exchanges(20), server="10.0.0.1")
    assert passes == [1, 2]


def test_servers_of_one_port_may_have_many_addresses(tmp_path: Path, passes: list[int]) -> None:
    frames = []
    for i in range(60):  # each asks, or answers, twice; addresses come in no order
        ends = "10.0.0.2", f"10.0.{i * 7 % 60}.1"
        ask = ethernet(ip(*ends, 17, udp(50_000 + i, 53, b"x")))
        answer = ethernet(ip(*reversed(ends), 17, udp(53, 50_000 + i, b"y")))
        frames += [ask, answer, ask]
    read = same_either_way(tmp_path, frames)
    assert passes == [1, 2]
    assert len(read.tables["packets"]) == 180
    assert any("60" in line or "57 more" in line for line in read.inferred)


def test_the_table_is_closed_when_all_batches_are_written(
    tmp_path: Path, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, late = [], []
    write, leave = one_pass._Table.write, one_pass._Table.__exit__

    def slow(table: Any, batch: Any) -> None:
        time.sleep(0.01)
        late.extend(closed)
        write(table, batch)

    def close(table: Any, *problem: Any) -> None:
        closed.append("closed")
        leave(table, *problem)

    monkeypatch.setattr(one_pass._Table, "write", slow)
    monkeypatch.setattr(one_pass._Table, "__exit__", close)
    talk = Conversation(60_000)
    frames = [talk.segment(True, 100), *exchanges(8), talk.segment(False, 10, END), *exchanges(20)]
    path = tmp_path / "talk.pcap"
    path.write_bytes(pcap_file([Packet(START + i, frame) for i, frame in enumerate(frames)]))
    pcap.read_capture(path)
    assert passes == [2]
    assert (closed, late) == (["closed"], [])


def test_a_disk_may_take_new_numbers_in_parts(
    tmp_path: Path, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def part(file: int, pieces: Any) -> int:
        return os.write(file, b"".join(pieces)[:5])

    def part_at(file: int, data: Any, place: int) -> int:
        os.lseek(file, place, os.SEEK_SET)
        return part(file, [data])

    monkeypatch.setattr(os, "writev", part)
    monkeypatch.setattr(os, "pwrite", part_at)
    read = same_either_way(tmp_path, exchanges(40)[1:])
    assert passes == [1, 2]
    assert read.tables["packets"]["flow"].to_pylist()[:3] == [1, 0, 2]


def test_temporary_files_without_room_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "talk.pcap"
    path.write_bytes(pcap_file([Packet(START, frame) for frame in exchanges(1)]))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    with pytest.raises(TraceError, match=r"missing: cannot be written: No such .*; set TMPDIR"):
        pcap.read_capture(path)


def test_a_file_that_is_cut_is_told_of_once(tmp_path: Path, passes: list[int]) -> None:
    frames = exchanges(20)
    file = tmp_path / "cut.pcap"
    whole = pcap_file([Packet(START - i, frame) for i, frame in enumerate(frames)])
    file.write_bytes(whole[:-5])
    read = pcap.read_capture(file)
    assert passes == [2]
    assert read.tables["packets"].num_rows == len(frames) - 1
    assert read.manifest["sources"][0]["size"] == len(whole) - 5
    assert [gap["cause"] for gap in read.tables["gaps"].to_pylist()] == ["cut"]


_step = st.tuples(
    st.integers(0, 3),  # client
    st.booleans(),  # to the server
    st.sampled_from([0, 0, 12, 40]),  # bytes
    st.sampled_from([ACK, END, END, SYN, SYN | ACK]),
    st.sampled_from([1, 1, 1, 1, 0, -3]),  # ns
)


@given(st.lists(_step, max_size=70))
@settings(deadline=None, max_examples=60)  # the first example compiles
def test_any_conversations_are_the_same_either_way(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, int, int, int]]
) -> None:
    talks = [Conversation(40_000 + i) for i in range(3)] + [Conversation(8080, "10.0.0.9")]
    frames, times, now = [], [], 100
    for client, there, size, flags, passed in steps:
        frames.append(talks[client].segment(there, size, flags))
        now += passed
        times.append(now)
    with pytest.MonkeyPatch.context() as patch:
        small_batches(patch)
        same_either_way(tmp_path_factory.getbasetemp(), frames, times)
