"""What must hold of a packed source with any content."""

from __future__ import annotations

import atexit
import bz2
import gzip
import lzma
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from replay.errors import TraceError
from replay.ingest.stream import Stream

_MOST = 1 << 24  # bytes that are unpacked of one input
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
}
_ZSTD = bytes.fromhex("28b52ffd2003190000616263")  # "abc", one raw block
_SKIPPED = bytes.fromhex("502a4d180400000001020304")


def streams() -> list[bytes]:
    """Each compression, several members, padding, and nothing packed."""
    text = b"".join(b"line %d\n" % number for number in range(200))
    packed = [pack(text) for pack in (gzip.compress, bz2.compress, lzma.compress)]
    several = [pack(text) + pack(b"") + pack(b"end") for pack in (gzip.compress, bz2.compress)]
    return [*packed, *several, packed[0] + bytes(9), _ZSTD, _SKIPPED + _ZSTD + _ZSTD, text]


def stream_of(data: bytes) -> list[bytes]:
    """Return `data` where it is packed."""
    return [data] if data.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", _ZSTD[:4])) else []


def run(data: bytes) -> str:
    """Read a source: what is whole is what the standard library unpacks, and begins as told."""
    path = _folder() / "made"
    path.write_bytes(data)
    room, found = memoryview(bytearray(1 << 16)), bytearray()
    try:
        with Stream(path) as stream:
            head = stream.peek()
            while len(found) <= _MOST and (count := stream.readinto(room)):
                found += room[:count]
    except TraceError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return "refused"
    assert found.startswith(head)
    if len(found) > _MOST:
        return "long"
    if stream.note:
        return "read in part"
    if stream.compression is None:
        assert found == data
        return "plain"
    unpack = _UNPACK.get(stream.compression)
    assert unpack is None or found == unpack(data)
    return f"whole {stream.compression}"


@cache
def _folder() -> Path:
    """Return a folder that lasts as long as the process's temporary files do."""
    folder = Path(mkdtemp(prefix="replay-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
