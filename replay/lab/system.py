"""The system calls that the bench needs and Python 3.11 does not offer."""

from __future__ import annotations

import ctypes
import os
import platform
import signal

CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x00020000
MS_REC_AND_PRIVATE = 0x4000 | 0x40000
PR_SET_PDEATHSIG = 1
SYS_PIDFD_GETFD = 438  # calls of 2019 and later have one number everywhere
SYS_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}.get(platform.machine())
PERF_FLAG_FD_CLOEXEC = 8

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def new_network_namespace() -> None:
    """Move this thread into a fresh, empty network namespace."""
    _checked(_libc.unshare(CLONE_NEWNET))


def enter_network_namespace(namespace: int) -> None:
    """Move this thread into the network namespace that the descriptor refers to."""
    _checked(_libc.setns(namespace, CLONE_NEWNET))


def new_mount_namespace() -> None:
    """From here on, what this process mounts is seen by it and its children only."""
    _checked(_libc.unshare(CLONE_NEWNS))
    _checked(_libc.mount(b"none", b"/", None, MS_REC_AND_PRIVATE, None))


def mount(kind: str, folder: str) -> None:
    """Mount a file system that has no device."""
    _checked(_libc.mount(b"none", folder.encode(), kind.encode(), 0, None))


def borrow_descriptor(pid: int, number: int) -> int:
    """Duplicate a descriptor of another process into this one."""
    process = os.pidfd_open(pid)
    try:
        return _checked(_libc.syscall(SYS_PIDFD_GETFD, process, number, 0))
    finally:
        os.close(process)


def die_with_parent() -> None:
    """In a child, before exec: be killed when the process that started it is gone."""
    _checked(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def open_perf_event(attributes: bytes, cpu: int) -> int:
    """A descriptor that counts an event on one CPU, whatever runs there."""
    if SYS_PERF_EVENT_OPEN is None:
        raise OSError(f"the number of perf_event_open is not known on {platform.machine()}")
    # pid -1: every task; group -1: counted by itself.
    return _checked(
        _libc.syscall(SYS_PERF_EVENT_OPEN, attributes, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC)
    )
