"""The whole rig: network, server, spinner and NAPI thread, each on its CPU."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack
from dataclasses import asdict

from replay.lab import epoll, machine, napi
from replay.lab.client import Client
from replay.lab.network import CLIENT_DEVICE, SERVER_ADDRESS, SERVER_DEVICE, Network, inside
from replay.lab.requirements import UnfitError
from replay.lab.server import Server
from replay.lab.services import Service
from replay.lab.spinner import Spinner
from replay.policy import Policy

# A softirq would preempt the server; so must the thread that stands for it.
NAPI_PRIORITY = 50


class Rig(ExitStack):
    """Built when made, taken apart when closed, whatever happens in between."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        with ExitStack() as unfinished:
            self.network = Network()
            unfinished.callback(self.network.close)
            self._pin_the_napi_thread()
            self.server = unfinished.enter_context(Server(self.network, service))
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

    def client(self) -> Client:
        """Return a client of the server, connected."""
        return Client(self.network.client, self.server.service, self.server.answer_length)

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
            "name": self.server.service.name,
            "server": self.server.service.describe(),
            "server_pid": self.server.pid,
            "server_address": SERVER_ADDRESS,
            "server_port": self.server.service.port,
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
