"""Busy polling of a running server's epoll instances, set from outside the server."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from replay.lab import system
from replay.policy import Policy

EPIOCSPARAMS, EPIOCGPARAMS = 0x40088A01, 0x80088A02
_PARAMETERS = struct.Struct("=IHBx")  # busy_poll_usecs, busy_poll_budget, prefer_busy_poll


@dataclass(frozen=True)
class EpollParameters:
    """What the kernel holds for one epoll instance of the server."""

    descriptor: int
    busy_poll_usecs: int
    busy_poll_budget: int
    prefer_busy_poll: int


def instances(pid: int) -> list[int]:
    """The server's descriptors that are epoll instances."""
    found = []
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        # A connection may be closed between the list and the look.
        with suppress(FileNotFoundError):
            if os.readlink(f"{folder}/{name}") == "anon_inode:[eventpoll]":
                found.append(int(name))
    return sorted(found)


def apply(pid: int, policy: Policy) -> None:
    """Give every epoll instance of the server the policy's busy polling."""
    wanted = _PARAMETERS.pack(
        policy.busy_poll_usecs, policy.busy_poll_budget, policy.prefer_busy_poll
    )
    for number in instances(pid):
        with _borrowed(pid, number) as descriptor:
            fcntl.ioctl(descriptor, EPIOCSPARAMS, wanted)


def read(pid: int) -> list[EpollParameters]:
    """The busy polling of every epoll instance of the server."""
    found = []
    for number in instances(pid):
        with _borrowed(pid, number) as descriptor:
            answer = fcntl.ioctl(descriptor, EPIOCGPARAMS, bytes(_PARAMETERS.size))
        found.append(EpollParameters(number, *_PARAMETERS.unpack(answer)))
    return found


@contextmanager
def _borrowed(pid: int, number: int) -> Iterator[int]:
    descriptor = system.borrow_descriptor(pid, number)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
