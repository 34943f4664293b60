"""How far a long run is: one line on standard error, where somebody is looking."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: What ends sooner says nothing.
QUIET_S = 1.0

#: Seconds between two lines: on a terminal, where one overwrites the other, and elsewhere.
TERMINAL_S, ELSEWHERE_S = 0.2, 10.0


class Job:
    """A replay that runs: its name, its packets, and how far it is."""

    def __init__(self, name: str, packets: int) -> None:
        self.name, self.packets = name, packets
        self.share: Callable[[], float] = lambda: 0.0


class _Line:
    """What is shown of all that runs."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.phase = ("", 0, 0)  # what is done before the replays: name, done, of (0: unknown)
        self.unit = "packets"
        self.phase_began = self.began
        self.jobs: list[Job] = []
        self.done = self.total = 0  # packets

    def text(self, now: float) -> str:
        """Return what is to be said; nothing at first, and where nothing is counted."""
        took = now - self.began
        if took < QUIET_S:
            return ""
        what, done, total = self.phase
        unit, since = self.unit, self.phase_began
        if self.total:
            jobs = list(self.jobs)
            what = f"replaying {', '.join(dict.fromkeys(it.name for it in jobs))}"
            done = self.done + int(sum(it.packets * it.share() for it in jobs))
            total, unit, since = self.total, "packets", self.began
        if not what:
            return ""
        rate = done / max(now - since, 1e-9)
        speed = f"{rate / 1e6:.1f} M {unit}/s"
        if not total:
            return f"{what}: {done / 1e6:,.0f} M {unit}, {speed}"
        left = f"{(total - done) / rate:,.0f} s left" if done else ""
        return f"{what}: {100 * done / total:.0f} %, {speed}, {left}"


_line: _Line | None = None
_thread = threading.local()
_lock = threading.Lock()


@contextmanager
def shown(wanted: bool | None = None) -> Iterator[None]:
    """Show how far the run is, while the context lasts; None: where stderr is a terminal."""
    global _line
    terminal = sys.stderr.isatty()
    if not (terminal if wanted is None else wanted):
        yield
        return
    _line = line = _Line()
    over = threading.Event()

    def show() -> None:
        said = False
        while not over.wait(TERMINAL_S if terminal else ELSEWHERE_S):
            text = line.text(time.monotonic())
            if text or said:
                print(
                    f"\r\x1b[K{text}" if terminal else text,
                    end="" if terminal else "\n",
                    file=sys.stderr,
                    flush=True,
                )
            said = bool(text)
        if said and terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=show, name="replay-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        _line = None
        over.set()
        thread.join()


def step(name: str, done: int, total: int, unit: str = "packets") -> None:
    """Say how far one phase of a run is, its share of the time so far; a total of 0 is unknown."""
    line = _line
    if line is None:
        return
    if name != line.phase[0]:
        line.phase_began = time.monotonic()
    line.unit = unit
    line.phase = (name, done, total)


def expect(packets: int) -> None:
    """Say how many packets all replays have together: they begin now."""
    if _line is not None:
        _line.began, _line.total = time.monotonic(), packets


@contextmanager
def running(name: str, packets: int) -> Iterator[None]:
    """Count a replay of so many packets, which runs in this thread while the context lasts."""
    line = _line
    if line is None:
        yield
        return
    mine = _thread.job = Job(name, packets)
    with _lock:
        line.jobs.append(mine)
    try:
        yield
    finally:
        _thread.job = None
        with _lock:
            line.jobs.remove(mine)
            line.done += packets


def watch(share: Callable[[], float]) -> None:
    """Say how this thread's replay can be asked which share of it is done, 0 to 1."""
    mine: Job | None = getattr(_thread, "job", None)
    if mine is not None:
        mine.share = share
