"""The C library's calls in the form that compiled loops can use: no Python in between."""

from __future__ import annotations

import ctypes
import platform
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_here

_library = ctypes.CDLL(None)


def _function(name: str, result: type | None, *arguments: type) -> Any:
    function = getattr(_library, name)
    function.restype, function.argtypes = result, arguments
    return function


# Pointers travel as integers (array.ctypes.data), which both numba and ctypes understand.
_address = ctypes.c_void_p
send = _function("send", ctypes.c_ssize_t, ctypes.c_int, _address, ctypes.c_size_t, ctypes.c_int)
receive = _function("recv", ctypes.c_ssize_t, ctypes.c_int, _address, ctypes.c_size_t, ctypes.c_int)
epoll_wait = _function(
    "epoll_wait", ctypes.c_int, ctypes.c_int, _address, ctypes.c_int, ctypes.c_int
)
timerfd_create = _function("timerfd_create", ctypes.c_int, ctypes.c_int, ctypes.c_int)
timerfd_settime = _function(
    "timerfd_settime", ctypes.c_int, ctypes.c_int, ctypes.c_int, _address, _address
)
timerfd_gettime = _function("timerfd_gettime", ctypes.c_int, ctypes.c_int, _address)
_clock_gettime = _function("clock_gettime", ctypes.c_int, ctypes.c_int, _address)

CLOCK_MONOTONIC = 1
MSG_NOSIGNAL = 0x4000
EPOLL_BROKEN = 0x8 | 0x10  # EPOLLERR, EPOLLHUP

# struct epoll_event is packed on x86-64 and aligned everywhere else; in 32-bit words:
EVENT_WORDS = 3 if platform.machine() == "x86_64" else 4
EVENT_DATA = 1 if platform.machine() == "x86_64" else 2


@jit_here
def now(timespec: npt.NDArray[np.int64]) -> int:
    """CLOCK_MONOTONIC in nanoseconds, through a scratch array of two int64."""
    _clock_gettime(CLOCK_MONOTONIC, timespec.ctypes.data)
    nanoseconds: int = timespec[0] * 1_000_000_000 + timespec[1]
    return nanoseconds
