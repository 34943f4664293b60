"""Which format a source has: by its first bytes, never by its name."""

from __future__ import annotations

import os
from pathlib import Path

from replay.errors import TraceError

#: Classic pcap, as the bytes stand in the file: microseconds, nanoseconds, and Kuznetzov's longer
#: record headers, in both byte orders.
PCAP_MAGICS = frozenset(
    magic.to_bytes(4, order)
    for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)
    for order in ("big", "little")
)
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
PERF_MAGICS = (b"PERFILE2", b"2ELIFREP")

#: What else a source may be.
CAPTURES = ("pcap", "pcapng")
BUNDLE, ATTACHMENT = "bundle", "attachment"

_READ = "pcap, pcapng or perf.data"
_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"\x04\x22\x4d\x18": ("lz4", "unlz4"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
    b"BZh": ("bzip2", "bunzip2"),
}
_FOREIGN = {
    b"\x17\x08\x44tracing": "a trace-cmd trace.dat, which is not read yet",
    b"ARROW1": "an Arrow file; a bundle is the folder around it",
}


def sniff(path: str | os.PathLike[str]) -> str:
    """Return `pcap`, `pcapng` or `perf` for the file at `path`, or `bundle` or `attachment`.

    An attachment may stand beside a recording; see replay.ingest.attachments.

    Raises TraceError, in one line, for what is missing, empty, compressed, foreign or unsupported.
    """
    place = Path(path)
    try:
        if place.is_dir():
            return BUNDLE if (place / "manifest.json").is_file() else _folder(place)
        if place.exists() and not place.is_file():
            raise TraceError(f"{place}: streams are not read yet; write it to a file first")
        with place.open("rb") as file:
            head = file.read(24)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TraceError(f"{place}: cannot be read: {reason}") from None
    if not head:
        raise TraceError(f"{place}: is empty; {_READ} is expected")
    if head[:4] in PCAP_MAGICS:
        return "pcap"
    if head[:4] == PCAPNG_MAGIC:
        return "pcapng"
    if head[:8] in PERF_MAGICS:
        return "perf"
    if _is_text(head):
        from replay.ingest.attachments import is_attachment  # here: recordings do not pay for it

        if is_attachment(place):
            return ATTACHMENT
    raise TraceError(f"{place}: {_refusal(head)}")


def _is_text(head: bytes) -> bool:
    """Whether a file may be a text, by its first bytes."""
    return not any(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in head)


def _folder(place: Path) -> str:
    """Return what a folder holds: perf.data of `perf record --threads`, or refuse it."""
    if (place / "data").is_file() and sniff(place / "data") == "perf":
        return "perf"
    raise TraceError(f"{place}: is a folder; {_READ} is expected")


def _refusal(head: bytes) -> str:
    """Say why a file that starts with `head` is not read."""
    for magic, (name, tool) in _COMPRESSED.items():
        if head.startswith(magic):
            return f"{name} is not read yet; decompress it first ({tool})"
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
