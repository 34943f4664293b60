"""Columns that are larger than memory should be: arrays in files, taken out of memory as they grow.

A large array is a temporary file without a name, mapped. While any is about, a thread looks at this
process's resident file pages, and where there are many unmaps them: they stay in the kernel's page
cache or on disk, and come back where they are touched again.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from replay.errors import TraceError

#: Bytes from which on an array is in a file.
LARGE = 64 << 20

#: Items that are derived or looked at together.
CHUNK = 1 << 20

#: Rows of a step: after each, what the one before touched may leave memory.
STEP = 1 << 16

#: Bytes of a column that stays in memory; some dozens of them are in use at once.
SMALL_COLUMN = 1 << 20

#: The shared library that compiles, and loads what was compiled.
COMPILER = "libllvmlite"

#: Bytes of file pages that may stay resident: programs and libraries take 100 MiB of them.
RESIDENT = 384 << 20

#: Bytes of file pages that work in steps may add to those before.
SLACK = 8 << 20

#: How often resident pages are counted. A replay reads 2 GB in a second at most.
LOOK_S = 0.02

_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_lock = threading.Lock()
_floor = 0  # bytes of file pages that stayed when room was made; 0: it never was
_keeper: threading.Thread | None = None


def zeros(
    count: int, dtype: npt.DTypeLike = np.int64, large: int | None = None
) -> npt.NDArray[Any]:
    """Return `count` zeros, writable; in a file where they take `large` (LARGE) bytes.

    The file is in the folder that TMPDIR names, else in /var/tmp, which is on disk. Raises
    TraceError where there is no room.
    """
    size = count * np.dtype(dtype).itemsize
    if size < max(1, LARGE if large is None else large):
        return np.zeros(count, dtype)
    place = folder()
    try:
        with tempfile.TemporaryFile(prefix="replay-", dir=place) as file:
            free = os.statvfs(place)
            room = free.f_bavail * free.f_frsize
            if room < size:
                raise OSError(errno.ENOSPC, "")
            # Reserved now: a full disk would kill the process at the first touch of a page.
            os.posix_fallocate(file.fileno(), 0, size)
            mapped = mmap.mmap(file.fileno(), size)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise TraceError(
                f"{place}: needs room for {gigabytes(size)} of temporary columns and has"
                f" {gigabytes(room)}: set TMPDIR to a folder with more"
            ) from None
        raise TraceError(f"{place}: cannot be written: {error.strerror}; set TMPDIR") from None
    keep_small(mapped)
    return np.frombuffer(mapped, dtype)


def column(count: int, dtype: npt.DTypeLike = np.int64) -> npt.NDArray[Any]:
    """Return `count` zeros as `zeros` does: one of some dozens of columns of rows."""
    return zeros(count, dtype, SMALL_COLUMN)


def file_array(file: IO[bytes], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the content of an open file as an array, mapped and writable. Raises OSError."""
    if not os.fstat(file.fileno()).st_size:
        return np.zeros(0, dtype)
    mapped = mmap.mmap(file.fileno(), 0)
    keep_small(mapped)
    return np.frombuffer(mapped, dtype)


def read_only(path: Path) -> mmap.mmap:
    """Map the file at `path`; it may be truncated by nobody while it is mapped. Raises OSError."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise OSError(errno.EINVAL, "the file is empty")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if len(mapped) >= LARGE:
        keep_small(mapped)
    return mapped


def chunks(count: int) -> Iterator[slice]:
    """Yield slices that cover `count` items, each of at most CHUNK."""
    for start in range(0, count, CHUNK):
        yield slice(start, min(start + CHUNK, count))


def steps(count: int) -> Iterator[slice]:
    """Yield slices that cover `count` items, each of at most STEP, and make room between them."""
    for start in range(0, count, STEP):
        yield slice(start, min(start + STEP, count))
        if count > STEP:
            make_room()


def changed(column: npt.NDArray[np.int64], change: Callable[[Any], Any]) -> npt.NDArray[np.int64]:
    """Return `change` of a column, chunk by chunk."""
    found = zeros(len(column))
    for part in chunks(len(column)):
        found[part] = change(column[part])
    return found


def require_memory(packets: int, each: int, what: str, instead: str) -> None:
    """Raise TraceError where `packets`, `each` so many bytes, do not fit into memory."""
    free = available()
    if packets * each > free:
        raise TraceError(
            f"{what} of {packets:,} packets need {gigabytes(packets * each)} of memory, and"
            f" {gigabytes(free)} are available: {free // each:,} packets fit; {instead}"
        )


def available() -> int:
    """Return the bytes that can be allocated without swapping (MemAvailable)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(it.split()[1]) << 10 for it in lines if it.startswith("MemAvailable"))
    except (OSError, StopIteration):  # no Linux
        return os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE


def gigabytes(size: int) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e9:.3g} GB"


def keep_small(mapped: mmap.mmap) -> None:
    """Take `mapped` out of memory from time to time, for as long as it lives."""
    global _keeper
    with _lock:
        _maps.add(mapped)
        if _keeper is None or not _keeper.is_alive():
            _keeper = threading.Thread(target=_keep, name="replay-mapped", daemon=True)
            _keeper.start()


def forget() -> None:
    """Unmap the pages of all maps; what was written is in their files."""
    with _lock:
        for it in list(_maps):
            it.madvise(mmap.MADV_DONTNEED)


def make_room() -> None:
    """Unmap the pages of all maps, and the compiler, where they have grown by SLACK since then."""
    global _floor
    if _resident() > _floor + SLACK:
        forget()
        if _resident() > _floor + SLACK // 2:
            forget_code(COMPILER)
            _floor = _resident()


def forget_code(library: str) -> None:
    """Unmap the code of a shared library that has done its work; called again, it comes back.

    The compiler's is 50 MB once the first cached function is loaded. Nothing is written to code
    pages, so nothing is lost.
    """
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:  # no Linux
        return
    madvise = ctypes.CDLL(None).madvise
    for line in lines:
        if library in line and " r-xp " in line:
            start, end = (int(it, 16) for it in line.split()[0].split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def _keep() -> None:
    """Look at resident file pages until there is no map any more."""
    wait = threading.Event()
    while not wait.wait(LOOK_S):
        with _lock:
            if not _maps:
                global _keeper
                _keeper = None
                return
        if _resident() > RESIDENT:
            forget()


def _resident() -> int:
    """Return the bytes of file pages in this process (Linux; elsewhere 0)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[2]) * mmap.PAGESIZE
    except OSError:
        return 0


def not_written(error: OSError) -> TraceError:
    """Return what to raise where a temporary file cannot be written."""
    return TraceError(
        f"{folder()}: cannot be written: {error.strerror or error}; set TMPDIR to a folder with"
        " more room"
    )


def folder() -> str:
    """Return where temporary files go; /tmp is often in memory."""
    given = os.environ.get("TMPDIR")
    if given:
        return given
    return "/var/tmp" if os.access("/var/tmp", os.W_OK) else tempfile.gettempdir()
