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
import re
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

#: Bytes of columns that may be in memory at once; those that come when it is full are in files.
COLUMNS = 44 << 20

#: Bytes of a column that is too small to be counted among those.
SMALL_COLUMN = 1 << 16

#: Bytes of file pages that may stay resident: programs and libraries take 100 MiB of them.
RESIDENT = 384 << 20

#: Bytes of file pages, and of these of programs and libraries, that stay while work is in steps.
SLACK, CODE = 40 << 20, 28 << 20

#: How often resident pages are counted. A replay reads 2 GB in a second at most.
LOOK_S = 0.02

_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_lock = threading.Lock()
_columns_lock = threading.RLock()  # a column may be given back where another is made
_columns = 0  # bytes of columns in memory
_statm: tuple[int, int] | None = None  # a process, and its open file of how much memory it has
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
    """Return `count` zeros, writable: in memory while there is room among COLUMNS, else in a file.

    Raises TraceError as `zeros` does.
    """
    global _columns
    size = count * np.dtype(dtype).itemsize
    if size < SMALL_COLUMN:
        return np.zeros(count, dtype)
    with _columns_lock:
        if _columns + size > COLUMNS:
            return zeros(count, dtype, 0)
        _columns += size
    # Not by malloc, which may keep what is given back.
    mapped = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        mapped.madvise(mmap.MADV_HUGEPAGE)
    weakref.finalize(mapped, _give_back, size)
    return np.frombuffer(mapped, dtype)


def _give_back(size: int) -> None:
    """Count a column in memory no more."""
    global _columns
    with _columns_lock:
        _columns -= size


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
    if len(mapped) >= SMALL_COLUMN:
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
    """Unmap the pages of all maps where there are more than SLACK, and code that is not in use."""
    if _resident() > SLACK:
        forget()
        if _resident() > CODE:
            forget_code(constants=True)


def forget_code(*, constants: bool = False) -> None:
    """Unmap the code of libraries; what is in use of it comes back, and that is a small part.

    The compiler's alone is 50 MB once the first cached function is loaded. constants: what else is
    only read of them, which takes ten times as long: of these pages some may be this process's own.
    """
    try:
        text = Path("/proc/self/smaps" if constants else "/proc/self/maps").read_bytes()
    except OSError:  # no Linux
        return
    madvise = ctypes.CDLL(None).madvise
    for mapping in (_READ if constants else _CODE).finditer(text):
        start, end = (int(it, 16) for it in mapping.group(1, 2))
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


#: A library's mapping of code, and one to which nobody can write and this process never did. Bytes:
#: names of files that are mapped may be no text.
_CODE = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) r-xp .*\.so[.0-9]*$", re.MULTILINE)
_READ = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) r-[-x]p .*\.so[.0-9]*\n(?:[A-Z].*\n)*?Anonymous: +0 kB$",
    re.MULTILINE,
)


def trim() -> None:
    """Give memory that was freed back to the kernel: large pieces of work are behind."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:  # another C library than glibc
        return


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
    global _statm
    try:
        if _statm is None or _statm[0] != os.getpid():  # opening it takes longer than reading
            _statm = os.getpid(), os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        return int(os.pread(_statm[1], 128, 0).split()[2]) * mmap.PAGESIZE
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
