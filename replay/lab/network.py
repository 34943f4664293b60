"""Two nameless network namespaces joined by one pair of virtual Ethernet devices.

The namespaces live only as descriptors of this process: whatever ends it, even SIGKILL, the
kernel takes them and the devices away. No device ever appears in the machine's own namespace.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replay.lab import machine, system

SERVER_DEVICE, CLIENT_DEVICE = "srv", "cli"
SERVER_ADDRESS, CLIENT_ADDRESS = "198.18.0.1", "198.18.0.2"
SERVER_MAC, CLIENT_MAC = "02:00:c6:12:00:01", "02:00:c6:12:00:02"


class Network:
    """The server's and the client's namespace; close() lets the kernel delete both."""

    def __init__(self) -> None:
        self.server = self.client = -1
        try:
            self.server, self.client = _new_namespace(), _new_namespace()
            self._connect()
            self._make_the_server_end_poll()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of both namespaces; with the last thing in them they are gone."""
        for namespace in (self.server, self.client):
            if namespace >= 0:
                os.close(namespace)
        self.server = self.client = -1

    def _connect(self) -> None:
        with inside(self.server):
            _run(
                f"ip link add {SERVER_DEVICE} address {SERVER_MAC} numrxqueues 1 numtxqueues 1"
                f" type veth peer name {CLIENT_DEVICE} address {CLIENT_MAC}"
                f" numrxqueues 1 numtxqueues 1 netns /proc/{os.getpid()}/fd/{self.client}"
            )
        self._bring_up(self.server, SERVER_DEVICE, SERVER_ADDRESS, CLIENT_ADDRESS, CLIENT_MAC)
        self._bring_up(self.client, CLIENT_DEVICE, CLIENT_ADDRESS, SERVER_ADDRESS, SERVER_MAC)

    def _bring_up(self, namespace: int, device: str, address: str, peer: str, mac: str) -> None:
        with inside(namespace):
            # A congestion control that paces would add timers of its own to every answer.
            Path("/proc/sys/net/ipv4/tcp_congestion_control").write_text("reno")
            # No IPv6 chatter and no ARP: nothing but the load travels on this wire.
            _run(f"ip link set {device} addrgenmode none")
            _run(f"ip address add {address}/24 dev {device}")
            _run(f"ip link set {device} up")
            _run(f"ip neighbour replace {peer} lladdr {mac} dev {device} nud permanent")

    def _make_the_server_end_poll(self) -> None:
        with inside(self.client):
            # A veth hands its peer's packets to NAPI only if the sender cannot segment.
            _run(f"ethtool -K {CLIENT_DEVICE} tso off gso off")
            # Otherwise the client's receive path would run on the server's CPU.
            mask = f"{1 << machine.CLIENT_CPU:x}"
            _write_sysfs(f"class/net/{CLIENT_DEVICE}/queues/rx-0/rps_cpus", mask)
        with inside(self.server):
            _run(f"ethtool -K {SERVER_DEVICE} gro on")
            # Without a thread of its own the NAPI would poll on the sender's CPU.
            _write_sysfs(f"class/net/{SERVER_DEVICE}/threaded", "1")


@contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Sockets made and commands started within belong to that network namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        system.enter_network_namespace(namespace)
        try:
            yield
        finally:
            system.enter_network_namespace(home)
    finally:
        os.close(home)


def _new_namespace() -> int:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        system.new_network_namespace()
        try:
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        finally:
            system.enter_network_namespace(home)
    finally:
        os.close(home)


def statistics(namespace: int, device: str) -> dict[str, int]:
    """The device's own counters of packets, bytes, errors and drops."""
    wanted = f"/net/dev of {device}"
    with inside(namespace):
        text = Path("/proc/thread-self/net/dev").read_text()
    for line in text.splitlines():
        name, separator, numbers = line.partition(":")
        if separator and name.strip() == device:
            counts = [int(number) for number in numbers.split()]
            return {
                "rx_bytes": counts[0],
                "rx_packets": counts[1],
                "rx_dropped": counts[3],
                "tx_bytes": counts[8],
                "tx_packets": counts[9],
                "tx_dropped": counts[11],
            }
    raise OSError(f"{wanted} is missing")


def _run(command: str) -> None:
    done = subprocess.run(command.split(), capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"`{command}` failed: {done.stderr.strip()}")


def _write_sysfs(path: str, value: str) -> None:
    # sysfs shows the devices of the namespace it was mounted in: mount one for this write only.
    script = f"mount -t sysfs sysfs /sys && echo {value} > /sys/{path}"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True)
    if done.returncode:
        raise OSError(f"cannot write {value} to {path}: {done.stderr.decode().strip()}")
