"""The bytes of a source, once from start to end: a file, a pipe or standard input, unpacked.

What is compressed is told by its first bytes. A stream that is cut or damaged yields what stands
before, and then says so in `note`.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from replay.errors import TraceError

#: How much of a source its digest covers: from the start. Hashing all takes longer than reading.
DIGEST_BYTES = 1 << 20

_PIECE = 1 << 20  # compressed bytes read at once
_HEAD = 64  # bytes that any format is told by


class _Decoder(Protocol):
    """What the standard library's decompressors have in common: one member of a stream."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Stream:
    """A source that is read once; `-` is standard input.

    Raises TraceError, in one line, where it cannot be opened or read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.name = "standard input" if str(path) == "-" else str(path)
        self.note: str | None = None  # why it ended before its end
        self.read_bytes = 0  # of the source itself, as it is stored
        self._digest = hashlib.sha256()
        self._digested = 0
        try:
            if str(path) == "-":
                self._file = io.FileIO(sys.stdin.fileno(), closefd=False)
            else:
                self._file = io.FileIO(self.path)
            status = os.fstat(self._file.fileno())
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from None
        #: Bytes of the source as it is stored; None where only its end will tell.
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
        self._ahead = b""  # read, and not yet given away
        self._ahead = self._read_ahead(_HEAD)
        self.compression = next(
            (name for name, (magics, _) in _FORMATS.items() if self._ahead.startswith(magics)), None
        )
        self._decoder: _Decoder | None = None
        self._plain = b""  # unpacked, and not yet given away
        if self.compression:
            self._decoder = self._new_decoder()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        self._file.close()

    @property
    def is_file(self) -> bool:
        """Whether the source is a file that holds what is in the stream."""
        return self.size is not None and self.compression is None and self.path.is_file()

    def peek(self, least: int = _HEAD) -> bytes:
        """Return the first unpacked bytes, so many at least where there are as many."""
        if self._decoder is None:
            self._ahead = self._read_ahead(least)
            return self._ahead
        while len(self._plain) < least:
            more = self._unpack(_PIECE)
            if not more:
                break
            self._plain += more
        return self._plain

    def rewind(self) -> None:
        """Begin again with a stream that is a file. Raises TraceError where that cannot be."""
        try:
            self._file.seek(0)
        except OSError as error:
            raise self._unreadable(error) from None
        self._ahead, self.read_bytes = b"", 0
        self._digest, self._digested = hashlib.sha256(), 0

    def readinto(self, room: memoryview) -> int:
        """Fill `room` from its start as far as one read does; return the bytes, 0 at the end."""
        if self._decoder is None:
            if not self._ahead:
                return self._read_file(room)
            found = self._ahead
            self._ahead = found[len(room) :]
        else:
            found = self._plain or self._unpack(len(room))
            self._plain = found[len(room) :]
        count = min(len(found), len(room))
        room[:count] = found[:count]
        return count

    @contextmanager
    def as_file(self) -> Iterator[Path]:
        """Yield a file with what is in the stream: its own where that is plain, else a temporary.

        For readers that need all of a source at once. Raises TraceError where there is no room.
        What is raised meanwhile names the source, not the temporary file.
        """
        if self.is_file:
            yield self.path
            return
        from replay.mapped import folder, not_written  # here: it needs NumPy

        with ExitStack() as opened:
            try:
                file = opened.enter_context(
                    tempfile.NamedTemporaryFile(prefix="replay-", dir=folder(), buffering=0)
                )
                room = memoryview(bytearray(_PIECE))
                while count := self.readinto(room):
                    rest = room[:count]
                    while rest:  # a full disk takes a part, and refuses the rest
                        rest = rest[file.write(rest) :]
            except OSError as error:
                raise not_written(error) from None
            try:
                yield Path(file.name)
            except TraceError as error:
                raise TraceError(str(error).replace(file.name, self.name)) from None

    def entry(self) -> dict[str, Any]:
        """Return the manifest's entry: name, size, and the SHA-256 of so many of its first bytes.

        Bytes are those stored: compressed, where they are.
        """
        size = max(self.read_bytes, self.size or 0)
        entry = {"name": self.path.name, "size": size, "sha256": self._digest.hexdigest()}
        entry["hashed"] = self._digested
        if self.compression:
            entry["compression"] = self.compression
        return entry

    def _read_file(self, room: memoryview) -> int:
        """Read into `room` what the file has next."""
        try:
            count = self._file.readinto(room) or 0
        except OSError as error:
            raise self._unreadable(error) from None
        if self._digested < DIGEST_BYTES and count:
            piece = room[: min(count, DIGEST_BYTES - self._digested)]
            self._digest.update(piece)
            self._digested += len(piece)
        self.read_bytes += count
        return count

    def _read_ahead(self, least: int) -> bytes:
        """Return the bytes ahead and as many behind them as make `least`, or all there are."""
        room = bytearray(_PIECE)
        found = self._ahead
        while len(found) < least:
            count = self._read_file(memoryview(room))
            if not count:
                break
            found += room[:count]
        return found

    def _unreadable(self, error: Exception) -> TraceError:
        reason = getattr(error, "strerror", None) or error
        if getattr(error, "errno", None) == errno.EISDIR:
            reason = "is a folder"
        return TraceError(f"{self.name}: cannot be read: {reason}")

    def _new_decoder(self) -> _Decoder:
        decoder: _Decoder = _FORMATS[str(self.compression)][1]()
        return decoder

    def _unpack(self, most: int) -> bytes:
        """Return the next unpacked bytes, at most so many; none at the end.

        One member of the compressed stream may follow another.
        """
        while self._decoder is not None and self.note is None:
            decoder = self._decoder
            if decoder.eof:
                self._ahead = decoder.unused_data or self._ahead
                self._ahead = self._read_ahead(_HEAD)
                if not self._ahead:
                    break
                if not self._ahead.startswith(_FORMATS[str(self.compression)][0]):
                    if self._ahead.strip(b"\0"):  # zeros are padding
                        self.note = f"what follows the {self.compression} stream is not read"
                    break
                self._decoder = decoder = self._new_decoder()
            data = b""
            if decoder.needs_input:
                data, self._ahead = self._ahead or self._read_ahead(1), b""
            try:
                found = decoder.decompress(data, most)
            except _errors() as error:
                self.note = f"the {self.compression} stream is damaged ({error})"
                break
            if found:
                return found
            if not data and decoder.needs_input and not decoder.eof:
                self.note = f"the {self.compression} stream is cut"
        return b""


class _Gzip:
    """zlib's decompressor in the form of the others."""

    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _zstd() -> Any:
    from replay.ingest.zstd import ZstdDecompressor

    return ZstdDecompressor()


def _bzip2() -> Any:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Any:
    import lzma

    return lzma.LZMADecompressor(memlimit=128 << 20)


#: Each compression's first bytes (zstd's skippable frames may stand first), and its decompressor.
_FORMATS: dict[str, tuple[tuple[bytes, ...], Callable[[], Any]]] = {
    "gzip": ((b"\x1f\x8b",), _Gzip),
    "zstd": (
        (b"\x28\xb5\x2f\xfd", *(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))),
        _zstd,
    ),
    "xz": ((b"\xfd7zXZ\x00",), _xz),
    "bzip2": ((b"BZh",), _bzip2),
}


def _errors() -> tuple[type[Exception], ...]:
    """What the decompressors in use raise for damaged data."""
    import zlib

    found: list[type[Exception]] = [zlib.error, EOFError, OSError, ValueError]
    if "lzma" in sys.modules:
        found.append(sys.modules["lzma"].LZMAError)
    if "replay.ingest.zstd" in sys.modules:
        found.append(sys.modules["replay.ingest.zstd"].ZstdError)
    return tuple(found)
