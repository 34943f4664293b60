"""The system calls that the bench needs and Python 3.11 does not offer."""

from __future__ import annotations

import ctypes
import os
import signal

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
# These numbers are the same on every architecture that got them after 2019.
SYS_PIDFD_GETFD = 438

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
