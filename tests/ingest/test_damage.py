"""Whatever bytes a capture has: a bundle's tables or one line, never anything else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from replay.errors import TraceError
from replay.ingest.pcap import read_capture
from tests.ingest.captures import Conversation, Packet, Pcapng, ethernet, ip, pcap, tcp, udp

_TALK = Conversation()
_SIX = ip("2001:db8::1", "2001:db8::2", 60, bytes([6, 0]) + bytes(6) + tcp(1, 2, b"x"))
_FRAMES = [
    _TALK.segment(True, 20, 24),
    _TALK.segment(False, 20, 24),
    ethernet(_SIX, 0x86DD, 7),
    ethernet(ip("10.0.0.1", "10.0.0.2", 17, udp(5, 6, b"abc"), more=True)),
]


def _section(order: str) -> bytes:
    file = Pcapng(order).interface(1, 96, {2: b"eth0", 9: b"\x89", 14: bytes(8)}).interface(101)
    for i, frame in enumerate(_FRAMES):
        file.packet(1000 + i, frame, options={4: bytes(8)}).simple(frame)
    file.packet(7, _SIX, interface=1).obsolete(9, _FRAMES[0]).block(0xBAD, b"abc")
    return file.block(5, bytes(12) + file.options({5: bytes(8)})).data


_SEEDS = [
    pcap([Packet(10**18 + i, f) for i, f in enumerate(_FRAMES)]),
    pcap([Packet(10**18 + i, f) for i, f in enumerate(_FRAMES)], order=">", kuznetzov=True),
    _section("<"),
    _section(">") + _section("<"),
]

#: Values that lengths, counts and types go wrong with.
_nasty = st.sampled_from([b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\x00\x00\x00\x80"])
_edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4) | _nasty),
    max_size=6,
)


@given(st.sampled_from(_SEEDS), _edits, st.floats(0, 1), st.booleans())
@settings(max_examples=250, deadline=None)
def test_damaged_captures_are_read_or_refused(
    tmp_path_factory, seed: bytes, edits: list[tuple[float, bytes]], keep: float, cut: bool
) -> None:
    data = bytearray(seed)
    for where, what in edits:
        at = int(where * len(data))
        data[at : at + len(what)] = what
    if cut:
        del data[int(keep * len(data)) :]
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data)
    try:
        read = read_capture(path)
    except TraceError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    packets, flows = read.tables["packets"], read.tables["flows"]
    packets.validate(full=True)
    times = packets["arrival_ns"].to_pylist()
    assert times == sorted(times)
    assert not times or (times[0] == 0 and read.manifest["duration_ns"] == times[-1] + 1)
    assert all(flow is None or flow < len(flows) for flow in packets["flow"].to_pylist())
    assert all(
        reply is None or reply < row for row, reply in enumerate(packets["reply_to"].to_pylist())
    )
    assert sum(flows["packets"].to_pylist()) == len(packets) - packets["flow"].null_count
    assert len(packets) <= len(data) // 12
