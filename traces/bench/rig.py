"""The whole rig: network, server, spinner and NAPI thread, each on its CPU."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack
from dataclasses import asdict

from bench import epoll, machine, napi
from bench.network import CLIENT_DEVICE, SERVER_ADDRESS, SERVER_DEVICE, Network, inside
from bench.policies import Policy
from bench.requirements import UnfitError
from bench.server import PORT, Server
from bench.spinner import Spinner

# A softirq would preempt the server; so must the thread that stands for it.
NAPI_PRIORITY = 50


class Rig(ExitStack):
    """Built when made, taken apart when closed, whatever happens in between."""

    def __init__(self) -> None:
        super().__init__()
        with ExitStack() as unfinished:
            self.network = Network()
            unfinished.callback(self.network.close)
            self._pin_the_napi_thread()
            self.server = Server(self.network)
            unfinished.callback(self.server.close)
            self.spinner = Spinner(machine.SERVER_CPU)
            unfinished.callback(self.spinner.close)
            self.push(unfinished.pop_all())

    @property
    def threads(self) -> dict[str, int]:
        """The threads whose CPU time matters, by what they are."""
        return {
            "napi": self.napi_thread,
            "worker": self.server.worker,
            "spinner": self.spinner.pid,
            "client": threading.get_native_id(),
        }

    def apply(self, policy: Policy) -> None:
        """Put the running server under a policy."""
        napi.apply(self.network.server, self.napi, policy)
        epoll.apply(self.server.pid, policy)

    def settings(self) -> dict[str, object]:
        """What the kernel says is in force, not what was asked for."""
        (state,) = napi.read(self.network.server, self._interface)
        return {
            "napi": asdict(state),
            "epoll": [asdict(parameters) for parameters in epoll.read(self.server.pid)],
        }

    def describe(self) -> dict[str, object]:
        """What stays the same through all runs on this rig."""
        return {
            "server": self.server.version(),
            "server_pid": self.server.pid,
            "server_address": SERVER_ADDRESS,
            "server_port": PORT,
            "server_device": SERVER_DEVICE,
            "client_device": CLIENT_DEVICE,
            "napi": self.napi,
            "napi_scheduling": f"thread, SCHED_FIFO {NAPI_PRIORITY}",
            "threads": self.threads,
        }

    def _pin_the_napi_thread(self) -> None:
        with inside(self.network.server):
            self._interface = socket.if_nametoindex(SERVER_DEVICE)
        (state,) = napi.read(self.network.server, self._interface)
        if state.irq_suspend_timeout_ns is None:
            raise UnfitError("this kernel's NAPI has no irq-suspend-timeout (Linux 6.13 has)")
        if state.thread is None:
            raise UnfitError(f"the NAPI of {SERVER_DEVICE} has no thread of its own")
        self.napi, self.napi_thread = state.identity, state.thread
        os.sched_setaffinity(self.napi_thread, {machine.SERVER_CPU})
        priority = os.sched_param(NAPI_PRIORITY)
        os.sched_setscheduler(self.napi_thread, os.SCHED_FIFO, priority)
