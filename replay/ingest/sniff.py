"""Which format a source has: by its first bytes, never by its name."""

from __future__ import annotations

import os
import re
from pathlib import Path

from replay.errors import TraceError
from replay.ingest.stream import Stream

#: Classic pcap, as the bytes stand in the file: microseconds, nanoseconds, and Kuznetzov's longer
#: record headers, in both byte orders.
PCAP_MAGICS = frozenset(
    magic.to_bytes(4, order)
    for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)
    for order in ("big", "little")
)
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
PERF_MAGICS = (b"PERFILE2", b"2ELIFREP")
TRACE_DAT_MAGIC = b"\x17\x08\x44tracing"

#: What else a source may be; TEXT is that of perf script, ftrace or trace-cmd report.
CAPTURES = ("pcap", "pcapng")
PERF = "perf"
BUNDLE, ATTACHMENT, TEXT, TRACE_DAT = "bundle", "attachment", "text", "trace.dat"
RETIS, CTF = "retis", "ctf"

_READ = "pcap, pcapng, perf.data, trace.dat or text of kernel events"
_RETIS = (b'{"common":', b'[{"common":')  # its events' only mandatory section
_DEPTH = ("metadata", "*/metadata", "*/*/metadata", "*/*/*/metadata")  # of LTTng: kernel, ust/uid
_MAGIC = 24  # bytes by which other formats are told
_HEAD = 1 << 18  # bytes in which a text's first event must stand
#: A line of an event: its time, which ends in a colon, and its name, which does or takes arguments;
#: babeltrace2's stands behind the time and what has passed since the line before.
_EVENT = re.compile(
    rb"^(?:[^\n]{0,80}[ \t\]])?\d{1,10}\.\d{1,9}: +(?:\d+ +)?[\w:./-]{1,64}(?::(?:\s|$)|\()"
    rb"|^\[\d{1,10}\.\d{9}\] \(\+[^)\n]{1,30}\) [^\n]{1,100}: \{",
    re.MULTILINE,
)
_FOREIGN = {
    b"\x04\x22\x4d\x18": "lz4, which is not read; decompress it first (unlz4)",
    b"ARROW1": "an Arrow file; a bundle is the folder around it",
}


def sniff(path: str | os.PathLike[str]) -> str:
    """Return what the file at `path` is: `pcap`, `pcapng`, `perf`, or one of those above.

    An attachment may stand beside a recording; see replay.ingest.attachments. Files may be
    compressed.

    Raises TraceError, in one line, for what is missing, empty, foreign or unsupported.
    """
    place = Path(path)
    if is_folder(place):
        return sniff_folder(place)
    with Stream(path) as stream:
        return sniff_stream(stream)


def is_folder(place: Path) -> bool:
    """Whether a source is a folder; one that is missing is not."""
    try:
        return place.is_dir()
    except ValueError:  # a name with a zero byte
        return False


def sniff_folder(place: Path) -> str:
    """Return what a folder holds: a bundle, perf.data of `perf record --threads`, or CTF."""
    if (place / "manifest.json").is_file():
        return BUNDLE
    if (place / "data").is_file() and sniff(place / "data") == PERF:
        return PERF
    if any(path.is_file() for depth in _DEPTH for path in place.glob(depth)):
        return CTF
    raise TraceError(f"{place}: is a folder; {_READ} is expected")


def sniff_stream(stream: Stream) -> str:
    """Return what `sniff` does for a stream at its start, which stays there."""
    head = stream.peek()[:_MAGIC]
    if not head:
        raise TraceError(f"{stream.name}: is empty; {_READ} is expected")
    if head[:4] in PCAP_MAGICS:
        return "pcap"
    if head[:4] == PCAPNG_MAGIC:
        return "pcapng"
    if head[:8] in PERF_MAGICS:
        return PERF
    if head.startswith(TRACE_DAT_MAGIC):
        return TRACE_DAT
    if head.startswith(_RETIS):
        return RETIS
    if _is_text(head) and _EVENT.search(stream.peek(_HEAD)):
        return TEXT
    if _is_text(head) and stream.is_file:
        from replay.ingest.attachments import is_attachment  # here: recordings do not pay for it

        if is_attachment(stream.path):
            return ATTACHMENT
    raise TraceError(f"{stream.name}: {_refusal(head)}")


def _is_text(head: bytes) -> bool:
    """Whether a file may be a text, by its first bytes."""
    return not any(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in head)


def _refusal(head: bytes) -> str:
    """Say why a file that starts with `head` is not read."""
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            return f"is {what}"
    if head.startswith(b"PERFFILE"):
        return (
            "perf.data of version 1 (before Linux 3.3) is not read; record again with a newer perf"
        )
    if any(magic.startswith(head) for magic in (*PCAP_MAGICS, PCAPNG_MAGIC, *PERF_MAGICS)):
        return f"is cut after {len(head)} bytes; {_READ} is expected"
    return f"is no {_READ} (it starts with {head[:8].hex(' ')})"
