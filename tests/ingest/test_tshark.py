"""Times, lengths and 5-tuples, also of inner flows, are those that tshark reads."""

from __future__ import annotations

import csv
import shutil
import struct
from pathlib import Path

import pytest

from replay.trace.schema import PacketStatus
from tests.ingest.captures import CLIENT, SERVER, Conversation, Pcapng, ethernet, ip, tcp, udp
from tests.ingest.decoded_rows import Decoded, decoded_rows
from tests.ingest.test_samples import SAMPLES
from tests.ingest.tshark_rows import Seen, tshark_rows
from tests.ingest.tunnel_frames import geneve, gre, over, over_udp, vxlan

pytestmark = pytest.mark.skipif(
    not (shutil.which("tshark") and shutil.which("mergecap")), reason="tshark is not installed"
)

#: What is not the same in the samples: start of the file's name, what differs, and why.
_KNOWN = (
    ("tcpdump/bigtcp-", "flow", "an IP length of 0 is not the rest of the frame to it"),
    ("tcpdump/vxlan_port_8472", "flow", "it takes Linux' old VXLAN port for OTV"),
    ("tcpdump/LINKTYPE_IPV4_invalid", "flow", "the link type decides there, the version here"),
    ("tcpdump/LINKTYPE_IPV6_invalid", "flow", "the link type decides there, the version here"),
    ("tcpdump/wccp_redirect_gre", "flow", "WCCP's header in GRE is not read here"),
    ("arkime/arkime_synthetic", "flow", "it takes answers from a tunnel's port for tunnels, too"),
    ("tcpdump/timestamp_invalid_", "time", "a fraction of a second or more is added here"),
    ("tcpdump/rx_serviceid_oobr", "time", "a fraction of a second or more is added here"),
    ("tcpdump/atm-oam-loopback", "time", "a fraction of a second or more wraps in it"),
    ("tcpdump/slip-", "length", "it leaves the link's framing out"),
    ("libpcap/filter/slip-", "length", "it leaves the link's framing out"),
    ("tcpdump/atm-", "length", "it leaves the link's framing out"),
)

_SEGMENT = tcp(40_000, 8080, b"hello", flags=24)
_FOUR, _SIX = ip(CLIENT, SERVER, 6, _SEGMENT), ip("2001:db8::2", "2001:db8::1", 17, udp(7, 9, b"a"))
_LABELS = struct.pack(">II", 77 << 12 | 64, 78 << 12 | 1 << 8 | 64)
_FRAME = ethernet(_FOUR)

#: (link type, frame)
MADE = [
    (1, _FRAME),
    (1, ethernet(_SIX, 0x86DD)),
    (1, ethernet(_FOUR, 0x0800, 5)),
    (1, ethernet(_SIX, 0x86DD, 7, 5)),
    (1, ethernet(_LABELS + _FOUR, 0x8847)),
    (1, ethernet(b"\x11\0\0\1\0\x2f\0\x21" + _FOUR, 0x8864)),
    (1, ethernet(b"\xaa\xaa\x03\0\0\0\x08\0" + _FOUR, 8 + len(_FOUR))),
    (1, ethernet(bytes(28), 0x0806)),
    (1, ethernet(ip(CLIENT, SERVER, 17, udp(5, 6, bytes(64)), more=True))),
    (1, ethernet(ip(CLIENT, SERVER, 17, bytes(64), fragment=9))),
    (1, ethernet(ip("::1", "::2", 60, bytes([17, 0]) + bytes(6) + udp(5, 6)), 0x86DD)),
    (1, ethernet(ip(CLIENT, SERVER, 1, b"\x03\3" + bytes(6) + _FOUR))),  # quotes another packet
    (1, ethernet(ip(CLIENT, SERVER, 132, struct.pack(">HHII", 5, 6, 0, 0)))),
    (1, over_udp(4789, vxlan(_FRAME, 5))),
    (1, over_udp(4789, vxlan(ethernet(bytes(28), 0x0806), 5))),
    (1, over_udp(6081, geneve(_FRAME, 9, options=0))),
    (1, over(47, gre(_FOUR, 0x0800, 7))),
    (1, over(47, gre(ethernet(_SIX, 0x86DD), 0x6558))),
    (1, over(47, gre(struct.pack(">HHI", 0x1005, 42, 0) + _FRAME, 0x88BE, number=1))),
    (1, over(4, _FOUR)),
    (1, over(41, _SIX)),
    (1, over(41, _SIX, "2001:db8::a", "2001:db8::b")),
    (1, over_udp(4789, vxlan(over(47, gre(_FOUR, 0x800, 3)), 5))),
    (101, _FOUR),
    (101, _SIX),
    (113, struct.pack(">HHH8sH", 4, 1, 6, bytes(8), 0x86DD) + _SIX),
    (276, struct.pack(">HHIHBB8s", 0x800, 0, 1, 1, 0, 6, bytes(8)) + _FOUR),
    (0, struct.pack("<I", 2) + _FOUR),
    (9, b"\xff\x03\0\x21" + _FOUR),
    (104, b"\x0f\0\x86\xdd" + _SIX),
]


def _differences(ours: Decoded, theirs: Seen) -> str | None:
    """Return what is not the same."""
    if ours.time != theirs.time and not (ours.time == -1 and theirs.time == 0):
        return f"time: {ours.time} is {theirs.time}"
    if ours.length != theirs.length:
        return f"length: {ours.length} is {theirs.length}"
    if ours.flow is None and ours.status in (PacketStatus.CUT, PacketStatus.MALFORMED):
        return None  # without ports there is no flow here
    expected = theirs.flow
    if expected is not None and theirs.fragment and ours.flow is not None:
        expected = expected._replace(source_port=0, destination_port=0)
        if not ours.flow.source_port and not ours.flow.destination_port:
            return None if ours.flow == expected else f"flow: {ours.flow} is {theirs}"
        expected = theirs.flow  # one that is a fragment of itself alone
    return None if ours.flow == expected else f"flow: {ours.flow} is {theirs}"


@pytest.mark.parametrize("order", "<>")
def test_made_packets(tmp_path: Path, order: str) -> None:
    file = Pcapng(order)
    for i, (link, frame) in enumerate(MADE):
        file.interface(link, options={9: bytes([9])})
        file.packet(10**18 + i, frame, interface=i)
    path = tmp_path / "made.pcapng"
    path.write_bytes(file.data)
    ours, theirs = decoded_rows(path), tshark_rows([path], tmp_path)
    assert len(ours) == len(theirs) == len(MADE)
    found = [_differences(*pair) for pair in zip(ours, theirs, strict=True)]
    assert [(i, it) for i, it in enumerate(found) if it] == []
    assert sum(it.flow is not None for it in ours) == len(MADE) - 1


@pytest.mark.parametrize("order", "<>")
def test_times_of_every_clock(tmp_path: Path, order: str) -> None:
    file, frame = Pcapng(order), Conversation().segment(True, 5)
    units = [0, 3, 6, 7, 9, 0x80, 0x8A, 0x94, 0x9E]
    for i, unit in enumerate(units):
        whole = 2 ** (unit & 127) if unit & 128 else 10**unit
        offset = {14: struct.pack(order + "q", 3_600)} if i % 2 else {}
        file.interface(1, options={9: bytes([unit]), **offset})
        for tick in (1, whole // 3, 7 * whole + whole // 7):
            file.packet(1_700_000_000 * whole + tick, frame, interface=i)
    path = tmp_path / "clocks.pcapng"
    path.write_bytes(file.data)
    ours, theirs = decoded_rows(path), tshark_rows([path], tmp_path)
    assert len(theirs) == 3 * len(units)
    assert [it.time for it in ours] == [it.time for it in theirs]


def test_public_samples(tmp_path: Path) -> None:
    catalogue = SAMPLES / "CATALOG.tsv"
    if not catalogue.exists():
        pytest.skip(f"no public samples at {SAMPLES}")
    with catalogue.open(newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    names = [it["file"] for it in lines if it["capinfos_packets"] and not it["capinfos_error"]]
    theirs = tshark_rows([SAMPLES / name for name in names], tmp_path)
    ours = [(name, row) for name in names for row in decoded_rows(SAMPLES / name)]
    assert len(ours) == len(theirs) > 25_000
    found = [
        (name, difference)
        for (name, row), seen in zip(ours, theirs, strict=True)
        if (difference := _differences(row, seen))
        and not any(name.startswith(it) and difference.startswith(what) for it, what, _ in _KNOWN)
    ]
    assert found == []
