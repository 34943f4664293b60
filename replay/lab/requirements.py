"""What a machine must have for the bench, and one clear line where it has not."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
from pathlib import Path

from replay.errors import ReplayError
from replay.lab import machine, system
from replay.lab.services import Service

OLDEST_KERNEL = (6, 13)
DEBIAN_PACKAGES = {
    "perf": "linux-perf",
    "ip": "iproute2",
    "ethtool": "ethtool",
    "unshare": "util-linux",
    "mount": "mount",
}
TRACING = Path("/sys/kernel/tracing")


class UnfitError(ReplayError):
    """This machine cannot run the bench; the message says what it lacks."""


def check(service: Service) -> None:
    """Raise UnfitError for the first thing that is missing to measure `service`."""
    if platform.system() != "Linux":
        raise UnfitError(f"the bench needs Linux, not {platform.system()}")
    if os.geteuid() != 0:
        raise UnfitError("the bench needs root, for network namespaces and tracepoints")
    _check_kernel()
    programs = DEBIAN_PACKAGES | {service.program: service.package}
    for command, package in programs.items():
        if shutil.which(command) is None:
            raise UnfitError(f"{command} is missing: apt-get install {package}")
    if importlib.util.find_spec("pyroute2") is None:
        raise UnfitError("pyroute2 is missing: pip install 'replay[bench]'")
    needed = {machine.CLIENT_CPU, machine.SERVER_CPU}
    if not needed <= os.sched_getaffinity(0):
        raise UnfitError(f"the bench needs CPUs {sorted(needed)}: one to ask, one to answer")
    _mount_tracing()


def _check_kernel() -> None:
    release = platform.release()
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers is None or tuple(map(int, numbers.groups())) < OLDEST_KERNEL:
        wanted = ".".join(map(str, OLDEST_KERNEL))
        raise UnfitError(f"Linux {release} cannot suspend interrupts, {wanted} can")
    if not Path("/proc/sys/net/core/busy_poll").exists():
        raise UnfitError(f"Linux {release} was built without CONFIG_NET_RX_BUSY_POLL")


def _mount_tracing() -> None:
    """Mount tracefs for this process and its children only: it goes when they go."""
    if (TRACING / "events").is_dir():
        return
    system.new_mount_namespace()
    try:
        system.mount("tracefs", str(TRACING))
    except OSError as error:
        raise UnfitError(f"tracefs cannot be mounted on {TRACING}: {error.strerror}") from error
