"""What packets are to the server: requests, parts, acknowledgements, answers, think times."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.ingest.ingested import Ingested
from replay.ingest.pcap import read_capture
from replay.trace.schema import PacketKind
from tests.ingest.captures import (
    ACK,
    CLIENT,
    FIN,
    PORT,
    PSH,
    RST,
    SERVER,
    SYN,
    Conversation,
    Packet,
    ethernet,
    ip,
    pcap,
    udp,
)

REQUEST, ACKS, CONTROL, TX, DATA = PacketKind
START = 1_700_000_000 * 10**9
END = ACK | PSH


def _read(folder: Path, frames: list[bytes], **options: str) -> Ingested:
    """Read frames 100 ns apart."""
    path = folder / "talk.pcap"
    path.write_bytes(pcap([Packet(START + 100 * i, frame) for i, frame in enumerate(frames)]))
    return read_capture(path, **options)


def _columns(read: Ingested, *names: str) -> list[list[int | None]]:
    return [read.tables["packets"][name].to_pylist() for name in names]


def test_a_whole_connection(tmp_path: Path) -> None:
    talk = Conversation()
    frames = [
        talk.segment(True, flags=SYN),
        talk.segment(False, flags=SYN | ACK),
        talk.segment(True),
        talk.segment(True, 30, END),  # 3: request
        talk.segment(False),
        talk.segment(False, 60, END),  # 5: its answer
        talk.segment(True),
        talk.segment(True, 30, END),  # 7: request
        talk.segment(False, 1400),  # 8, 9: its answer
        talk.segment(False, 200, END),
        talk.segment(True),
        talk.segment(True, flags=FIN | ACK),
        talk.segment(False, flags=FIN | ACK),
        talk.segment(True, flags=RST),
    ]
    read = _read(tmp_path, frames)
    kinds, replies, thinks = _columns(read, "kind", "reply_to", "think_ns")
    assert kinds == [
        CONTROL, TX, ACKS, REQUEST, TX, TX, ACKS, REQUEST, TX, TX, ACKS, CONTROL, TX, CONTROL
    ]  # fmt: skip
    assert replies == [None] * 5 + [3, 3, None, 7, 7, 7, None, None, None]
    assert thinks == [200 if i == 7 else None for i in range(len(frames))]
    assert read.manifest["loop"] == "closed"
    assert read.manifest["duration_ns"] == 1301
    assert read.tables["packets"]["service_ns"].null_count == len(frames)
    assert "2 requests, 3 packets of answers" in read.found


def test_parts_end_at_push_at_fin_or_at_the_answer(tmp_path: Path) -> None:
    talk = Conversation()
    frames = [
        talk.segment(True, 1400),  # 0: part
        talk.segment(True, 1400, END),  # 1: end by PSH
        talk.segment(False, 10, END),
        talk.segment(True, 1400),  # 3: part
        talk.segment(True, 700),  # 4: end by the answer
        talk.segment(False, 10, END),
        talk.segment(True, 5, FIN | ACK),  # 6: end by FIN
        talk.segment(False, 10, END),
        talk.segment(True, 5),  # 8: nobody knows
    ]
    read = _read(tmp_path, frames)
    kinds, replies, thinks = _columns(read, "kind", "reply_to", "think_ns")
    assert kinds == [DATA, REQUEST, TX, DATA, REQUEST, TX, REQUEST, TX, DATA]
    assert replies == [None, None, 1, None, None, 4, None, 6, None]
    assert thinks == [None, None, None, None, 200, None, 100, None, None]


def test_answers_of_overlapping_requests_come_in_their_order(tmp_path: Path) -> None:
    talk = Conversation()
    frames = [
        talk.segment(True, 10, END),
        talk.segment(True, 10, END),
        talk.segment(False, 1400),  # 2, 3: to the first
        talk.segment(False, 10, END),
        talk.segment(True, 10, END),
        talk.segment(True),
        talk.segment(False, 10, END),  # 6: to the second
        talk.segment(False, 10, END),  # 7: to the third
        talk.segment(False, 10, END),  # 8: more of it
        talk.segment(True),
    ]
    read = _read(tmp_path, frames)
    assert _columns(read, "reply_to") == [[None, None, 0, 0, None, 0, 1, 4, 4, 4]]
    assert read.manifest["loop"] == "open"
    assert "arrivals: open: 0 of 2 requests follow the answer before them" in read.inferred


def test_repeated_segments_wake_nobody(tmp_path: Path) -> None:
    talk = Conversation()
    frames = [
        talk.segment(True, 10, END),
        talk.segment(True, 10, END, repeat=10),
        talk.segment(False, 10, END),
        talk.segment(False, 10, END, repeat=10),
        talk.segment(True, 10, END),
        talk.segment(False, 10, END),
    ]
    read = _read(tmp_path, frames)
    kinds, replies = _columns(read, "kind", "reply_to")
    assert kinds == [REQUEST, ACKS, TX, TX, REQUEST, TX]
    assert replies == [None, None, 0, 0, None, 4]
    assert any(line.startswith("2 repeated TCP segments") for line in read.inferred)


def test_sequence_numbers_wrap(tmp_path: Path) -> None:
    talk = Conversation()
    frames = []
    for sequence in ((1 << 32) - 5, 5, (1 << 32) - 5):
        talk.sequence[0] = sequence
        frames.append(talk.segment(True, 10, END))
    assert _columns(_read(tmp_path, frames), "kind") == [[REQUEST, REQUEST, ACKS]]


def test_datagrams_are_messages(tmp_path: Path) -> None:
    there = ethernet(ip(CLIENT, SERVER, 17, udp(40_000, 53, b"question")))
    back = ethernet(ip(SERVER, CLIENT, 17, udp(53, 40_000, b"answer")))
    read = _read(tmp_path, [there, back, there, back])
    kinds, replies, thinks = _columns(read, "kind", "reply_to", "think_ns")
    assert kinds == [REQUEST, TX, REQUEST, TX]
    assert replies == [None, 0, None, 2]
    assert thinks == [None, None, 100, None]
    assert read.manifest["loop"] == "closed"


def test_the_last_fragment_is_the_request(tmp_path: Path) -> None:
    datagram = udp(40_000, 53, bytes(2000))
    frames = [
        ethernet(ip(CLIENT, SERVER, 17, datagram[:1480], more=True)),
        ethernet(ip(CLIENT, SERVER, 17, datagram[1480:], fragment=185)),
    ]
    assert _columns(_read(tmp_path, frames, server=SERVER), "kind") == [[DATA, REQUEST]]


def test_what_is_not_the_servers_is_control(tmp_path: Path) -> None:
    arp = ethernet(bytes(28), 0x0806)
    ping = ethernet(ip(CLIENT, SERVER, 1, bytes(64)))
    other = ethernet(ip("10.9.9.9", "10.9.9.8", 17, udp(1, 2, b"x")))
    frames = [arp, ping, other, Conversation().segment(True, 5, END)]
    read = _read(tmp_path, frames, server=f"{SERVER}:{PORT}")
    assert _columns(read, "kind") == [[CONTROL, CONTROL, CONTROL, REQUEST]]


@pytest.mark.parametrize("keep", [(True,), (False,)])
def test_one_direction_says_nothing_about_the_loop(tmp_path: Path, keep: tuple[bool]) -> None:
    talk = Conversation()
    both = [(side, talk.segment(side, 10, END)) for side in (True, False) * 5]
    read = _read(tmp_path, [f for side, f in both if side in keep], server=str(PORT))
    assert read.manifest["loop"] == "unknown"
    assert set(_columns(read, "kind")[0]) == {REQUEST if keep[0] else TX}


def test_outgoing_packets_without_a_flow_are_sent(tmp_path: Path) -> None:
    arp = bytes([0, 4]) + bytes(12) + b"\x08\x06" + bytes(28)
    path = tmp_path / "cooked.pcap"
    path.write_bytes(pcap([Packet(START, arp), Packet(START, b"\0\0" + arp[2:])], link=113))
    assert _columns(read_capture(path), "kind") == [[TX, CONTROL]]
