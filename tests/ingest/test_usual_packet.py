"""Packets read with few loads have the rows that reading header by header gives them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ingest.flows import new_keys
from replay.ingest.packet import read_headers
from replay.ingest.records import Columns
from tests.ingest.captures import CLIENT, SERVER, ethernet, ip, tcp, udp

ETHERNET, SLL2 = 1, 276
LONGER = 6  # SLL2's header than Ethernet's

_byte = st.integers(0, 255)
_port = st.sampled_from([1, 80, 4789, 8472, 3544, 6635, 40_000, 65_535])
_payload = st.binary(max_size=9)


@st.composite
def _frames(draw: st.DrawFn) -> tuple[bytes, int]:
    """Draw the captured bytes of a frame, and how long it was; most are usual."""
    segment = st.builds(
        tcp, _port, _port, _payload, flags=_byte, sequence=st.integers(0, 2**32 - 1)
    )
    content = draw(segment | st.builds(udp, _port, _port, _payload))
    frame = bytearray(ethernet(ip(CLIENT, SERVER, draw(st.sampled_from([6, 17])), content)))
    places = st.tuples(st.integers(12, len(frame) - 1), _byte)
    for place, byte in draw(st.lists(places, max_size=2)):
        frame[place] = byte
    kept = draw(st.just(len(frame)) | st.integers(0, len(frame)))
    return bytes(frame[:kept]), max(kept, len(frame) + draw(st.integers(-2, 3)))


@given(_frames())
@settings(deadline=None, max_examples=500)  # the first example compiles
def test_behind_another_link_header_the_same_packet_has_the_same_row(
    drawn: tuple[bytes, int],
) -> None:
    frame, length = drawn
    other = (frame[12:14] + bytes(18) + frame[14:])[: len(frame) + LONGER]
    assert _row(frame, length, ETHERNET) == _row(other, length + LONGER, SLL2)


def _row(packet: bytes, length: int, link: int) -> list[int]:
    """Return payload, marks, status, sequence and key of a packet, seen amid other bytes."""
    columns, keys, sequence = Columns.empty(1), new_keys(1), np.empty(1, dtype=np.int64)
    keys.tunnels[:] = 0
    data = np.frombuffer(b"\x45" * 3 + packet + b"\x08\0\x45" * 9, np.uint8)
    block = np.array([[7, 3, len(packet), length, 0]])
    read_headers(data, block, 1, np.array([link]), columns, keys, sequence, 0)
    key = keys.ends[0].tolist() + keys.tunnels[0].tolist() if keys.ends[0, 4] >= 0 else []
    found = (columns.payload[0], columns.marks[0], columns.status[0], sequence[0])
    return [int(it) for it in found] + key
