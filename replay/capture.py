"""Recording a host: perf with the right events and clock, settings and counters around it.

The verb behind `replay capture`: what is recorded while a command runs becomes one bundle.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from replay.errors import TraceError
from replay.ingest.ingest import Summary, ingest
from replay.progress import step

#: What a replay is made from; see /sys/kernel/tracing/events.
EVENTS = (
    "napi:napi_poll",
    "net:netif_receive_skb",
    "net:napi_gro_receive_entry",
    "net:net_dev_start_xmit",
    "sched:sched_switch",
    "sched:sched_wakeup",
    "timer:hrtimer_expire_entry",
    "timer:hrtimer_start",
    "irq:softirq_entry",
    "irq:softirq_exit",
    "irq:irq_handler_entry",
    "irq:irq_handler_exit",
)
EPOLL_EVENTS = ("syscalls:sys_enter_epoll_wait", "syscalls:sys_exit_epoll_wait")

#: perf's ring on each CPU, MB: it sleeps, and disturbs nothing, until it is full. In all so much:
RING_MB, ALL_RINGS_MB = 128, 4096
#: Of each packet so much is kept of a capture beside the recording: headers, no payload.
SNAPLEN = 96

_QUESTIONS = {
    "coalescing": ("ethtool", "-c"),
    "ring": ("ethtool", "-g"),
    "channels": ("ethtool", "-l"),
    "indirection": ("ethtool", "-x"),
    "driver": ("ethtool", "-i"),
}
_STARTS_S = 10.0


@dataclass
class _Taken:
    """Files that a recording consists of, and what could not be asked."""

    folder: Path
    files: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def keep(self, name: str, text: str) -> None:
        """Write one more file."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        self.files.append(path)


def capture(
    interface: str,
    command: Sequence[str],
    output: str | os.PathLike[str],
    *,
    packets: bool = False,
    policy: str | None = None,
    keep: str | os.PathLike[str] | None = None,
) -> Summary:
    """Record while `command` runs what `interface` receives, and write the bundle `output`.

    With `packets` tcpdump captures headers too, which join the recording on one clock. `policy`
    names what the host runs under; without it the settings read tell. `keep` is a folder for the
    raw files. Raises TraceError in one line for what is missing on this host.
    """
    _check(interface, command, Path(output), packets)
    with tempfile.TemporaryDirectory(prefix="replay-capture-") as scratch:
        taken = _Taken(Path(scratch))
        _ask_settings(taken, interface)
        _count(taken, interface, "before")
        status = _record(taken, interface, command, packets)
        _count(taken, interface, "after")
        if keep is not None:
            shutil.copytree(scratch, keep, dirs_exist_ok=True)
        step("reading", 0, 1)
        summary = ingest(taken.files, output, device=interface, policy=policy)
    if status:
        summary.inferred.append(f"the command ended with status {status}")
    summary.lost.extend(taken.missing)
    return summary


def perf_command(path: Path, cpus: int) -> list[str]:
    """Return the perf record that a replay needs, but for what it runs."""
    each = max(1, ALL_RINGS_MB // cpus)
    ring = min(RING_MB, 1 << each.bit_length() - 1)  # a power of two, as perf wants it
    words = ["perf", "record", "-a", "-m", f"{ring}M", "-k", "CLOCK_MONOTONIC", "-o", str(path)]
    for event in (*EVENTS, *EPOLL_EVENTS):
        words += ["-e", event]
    return words


def _check(interface: str, command: Sequence[str], output: Path, packets: bool) -> None:
    """Raise TraceError for the first thing that is missing."""
    if not command:
        raise TraceError("no command: replay capture INTERFACE -o NAME.trace -- sleep 5")
    if output.exists():
        raise TraceError(f"{output}: already exists; name another bundle or remove it")
    devices = Path("/sys/class/net")
    if not devices.is_dir():
        raise TraceError("recording needs Linux: /sys/class/net is not there")
    named = sorted(it.name for it in devices.iterdir())
    if interface not in named:
        raise TraceError(f"interface {interface!r} is none of {', '.join(named)}")
    for tool in ("perf", "tcpdump") if packets else ("perf",):
        if shutil.which(tool) is None:
            package = "linux-perf (Debian) or linux-tools (Ubuntu)" if tool == "perf" else tool
            raise TraceError(f"{tool} is missing: install {package}")
    if os.geteuid() != 0:
        raise TraceError("recording the whole machine needs root: sudo replay capture ...")


def _ask_settings(taken: _Taken, interface: str) -> None:
    """Keep what ethtool, sysfs and netlink say of the device; what is not told is noted."""
    if shutil.which("ethtool") is None:
        taken.missing.append("coalescing, ring and channels: ethtool is not installed")
    else:
        for name, question in _QUESTIONS.items():
            said = subprocess.run([*question, interface], capture_output=True, text=True)
            if said.returncode == 0 and said.stdout.strip():
                taken.keep(f"{name}.txt", said.stdout)
            elif name != "indirection":  # few devices have a table
                taken.missing.append(f"{name}: {' '.join(question)} {interface} does not say")
    lines = []
    for name in ("napi_defer_hard_irqs", "gro_flush_timeout", "threaded"):
        path = Path("/sys/class/net") / interface / name
        if path.exists():
            lines.append(f"{path}:{path.read_text().strip()}")
    if lines:
        taken.keep("sysfs.txt", "\n".join(lines) + "\n")
    _ask_napi(taken, interface)


def _ask_napi(taken: _Taken, interface: str) -> None:
    """Keep each NAPI's own settings: only netlink tells them, by the kernel's ynl tool."""
    if shutil.which("ynl") is None:
        taken.missing.append("settings of each NAPI (irq-suspend-timeout): ynl is not installed")
        return
    index = (Path("/sys/class/net") / interface / "ifindex").read_text().strip()
    question = ["ynl", "--family", "netdev", "--output-json", "--dump", "napi-get"]
    said = subprocess.run(
        [*question, "--json", f'{{"ifindex": {index}}}'], capture_output=True, text=True
    )
    if said.returncode == 0 and said.stdout.strip() not in ("", "[]"):
        taken.keep("napi.json", said.stdout)
    else:
        taken.missing.append("settings of each NAPI: this kernel's netlink does not say")


def _count(taken: _Taken, interface: str, when: str) -> None:
    """Keep the counters of interrupts and of the device, each with the time."""
    now = f"{time.time():.9f}\n"
    interrupts = Path("/proc/interrupts").read_text()
    if interface in interrupts or any(it.name == "napi.json" for it in taken.files):
        taken.keep(f"interrupts.{when}", now + interrupts)
    elif when == "before":
        taken.missing.append(f"counts of interrupts: /proc/interrupts names none after {interface}")
    if shutil.which("ethtool") is None:
        return
    said = subprocess.run(["ethtool", "-S", interface], capture_output=True, text=True)
    if said.returncode == 0 and said.stdout.strip():
        taken.keep(f"statistics.{when}", now + said.stdout)


def _record(taken: _Taken, interface: str, command: Sequence[str], packets: bool) -> int:
    """Record while the command runs, and return its exit status."""
    recording = taken.folder / "perf.data"
    words = perf_command(recording, os.cpu_count() or 1)
    with ExitStack() as running:
        if packets:
            running.enter_context(_tcpdump(taken, interface))
        step("recording", 0, 1)
        said = subprocess.run([*words, "--", *command], stderr=subprocess.PIPE, text=True)
    if not recording.exists() or not recording.stat().st_size:
        lines = [line for line in said.stderr.splitlines() if line.strip()]
        raise TraceError(f"perf record failed: {lines[-1].strip() if lines else 'no reason given'}")
    taken.files.insert(0, recording)
    return said.returncode


def _tcpdump(taken: _Taken, interface: str) -> ExitStack:
    """Start tcpdump, and return what ends it; it has begun when its file is there."""
    path = taken.folder / "packets.pcap"
    words = ["tcpdump", "-i", interface, "-s", str(SNAPLEN), "-n", "-w", str(path)]
    words += ["--time-stamp-precision=nano", "-Z", "root", "-B", "65536"]
    running = ExitStack()
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    running.callback(taken.files.append, path)
    running.callback(process.communicate)
    running.callback(process.terminate)
    give_up = time.monotonic() + _STARTS_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            process.terminate()
            said = process.communicate()[1].strip().splitlines()
            raise TraceError(f"tcpdump failed: {said[-1] if said else 'no reason given'}")
        time.sleep(0.01)
    return running
