"""The only place that compiles: `jit` is numba's njit with this package's cache.

numba serves stale machine code when a function that a cached one calls changes in another file, so
the cache folder's name holds a hash of every source that may be compiled. Where no folder can be
written, functions are compiled in each process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import njit, types
from numba.core import config

settings: Any = config
Function = TypeVar("Function", bound=Callable[..., Any])

#: A contiguous int64 array that a kernel only reads: Arrow's buffers are read-only.
INPUT = types.Array(types.int64, 1, "C", readonly=True)
#: Bytes that a kernel only reads: a memory-mapped file.
BYTES = types.Array(types.uint8, 1, "C", readonly=True)


def jit(function: Function) -> Function:
    """Compile `function` without Python objects and without the GIL, cached for this user."""
    return _compile(function)


def jit_in_place(function: Function) -> Function:
    """Compile like `jit` a function that allocates nothing: its arguments are not counted.

    Counting references to every array at every call costs more than the calls of the engine do.
    """
    return _compile(function, _nrt=False)


def _compile(function: Function, **options: Any) -> Function:
    """Hand `function` to numba with this package's cache folder, where there is one."""
    folder = _cache_folder()
    before = settings.CACHE_DIR
    settings.CACHE_DIR = folder or before
    try:
        compiled: Any = njit(nogil=True, cache=folder is not None, **options)(function)
    finally:
        settings.CACHE_DIR = before
    return cast(Function, compiled)


@cache
def _cache_folder() -> str | None:
    """Return this user's folder for these sources, made where it is missing; None without one."""
    home = os.environ.get("REPLAY_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(home).expanduser() / "replay" / _sources_hash()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder) if os.access(folder, os.W_OK) else None


def _sources_hash() -> str:
    """Return a hash of all that decides the machine code: sources, numba, bounds checks."""
    package = Path(__file__).parent.parent
    state = blake2b(digest_size=10)
    state.update(f"{numba.__version__} {settings.BOUNDSCHECK}".encode())
    for room in ("engine", "ingest", "layout"):
        for source in sorted((package / room).glob("**/*.py")):
            state.update(source.read_bytes())
    return state.hexdigest()


@jit_in_place
def bit_length(value: int) -> int:
    """Return the number of bits of `value`, 0 to 2^53: the exponent of its exact float."""
    return int((np.float64(value).view(np.int64) >> 52) - 1022) if value > 0 else 0
