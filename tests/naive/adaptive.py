"""The slow, obvious reference of adaptive moderation: net DIM, and Intel's dynamic ITR."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

#: (usecs, frames) of the five profiles, by direction and by what starts the timer
PROFILES = {
    "rx-eqe": [(1, 256), (8, 256), (64, 256), (128, 256), (256, 256)],
    "rx-cqe": [(2, 256), (8, 128), (16, 64), (32, 64), (64, 64)],
    "tx-eqe": [(1, 128), (8, 128), (32, 128), (64, 128), (128, 128)],
    "tx-cqe": [(5, 128), (8, 64), (16, 32), (32, 32), (64, 32)],
    "gap": [(2, 0), (8, 0), (16, 0), (62, 0), (126, 0)],
}

OTHER = {"left": "right", "right": "left"}


class Sample(NamedTuple):
    now: int
    events: int
    packets: int
    bytes: int


class Rates(NamedTuple):
    """A millisecond's bytes, packets and interrupts, in the order they are compared."""

    bytes: int
    packets: int
    events: int


class Dim:
    def __init__(self) -> None:
        self.ix = 0
        self.mode = "parked on top"  # or "parked tired", "right", "left"
        self.steps = {"right": 0, "left": 0}
        self.tired = 0
        self.start: Sample | None = None
        self.last = Rates(0, 0, 0)

    def sample(self, now: int, events: int, packets: int, bytes: int) -> int | None:
        """Return the index of the profile to program, None where it stays."""
        sample = Sample(now, events, packets, bytes)
        if self.start is None:
            self.start = sample
            return None
        usecs = (now - self.start.now) // 1000 % 2**32
        if (events - self.start.events) % 2**16 < 64 or usecs == 0:
            return None
        rates = Rates(
            bytes=ceil_divide(1000 * ((bytes - self.start.bytes) % 2**32), usecs),
            packets=ceil_divide(1000 * ((packets - self.start.packets) % 2**32), usecs),
            events=ceil_divide(1000 * 64, usecs),
        )
        old = self.ix
        self.decide(rates)
        self.start = sample if self.ix == old else None
        return None if self.ix == old else self.ix

    def decide(self, rates: Rates) -> None:
        verdict = compare(rates, self.last)
        stays_on_top = False
        if self.mode == "parked on top":
            if verdict == "same":
                stays_on_top = True
            else:
                self.leave_parking()
        elif self.mode == "parked tired":
            self.tired -= 1
            if self.tired == 0:
                self.leave_parking()
        else:
            if verdict != "better":
                self.mode = OTHER[self.mode]
                self.steps[self.mode] = 0
            if self.on_top():
                self.park("parked on top")
            else:
                outcome = self.step()
                if outcome == "edge":
                    self.park("parked on top")
                elif outcome == "too tired":
                    self.park("parked tired")
        if not stays_on_top:
            self.last = rates

    def on_top(self) -> bool:
        return self.steps[OTHER[self.mode]] > 1 and self.steps[self.mode] == 1

    def leave_parking(self) -> None:
        self.mode = "right" if self.ix == 0 else "left"
        self.step()

    def step(self) -> str:
        if self.tired == 10:
            return "too tired"
        target = self.ix + (1 if self.mode == "right" else -1)
        if target not in range(5):
            return "edge"
        self.ix = target
        self.steps[self.mode] += 1
        self.tired += 1
        return "stepped"

    def park(self, mode: str) -> None:
        self.mode = mode
        self.steps = {"right": 0, "left": 0}
        if mode == "parked on top":
            self.tired = 0


def compare(new: Rates, old: Rates) -> str:
    """More bytes are better, else more packets, else fewer interrupts; 10 % is no difference."""
    for name in ("bytes", "packets", "events"):
        value, reference = getattr(new, name), getattr(old, name)
        if reference == 0:
            return "better" if value else "same"
        if 100 * abs(value - reference) // reference > 10:
            grew = value > reference
            return "better" if grew != (name == "events") else "worse"
    return "same"


def ceil_divide(a: int, b: int) -> int:
    return -(-a // b)


class Gap(NamedTuple):
    usecs: int
    mode: str  # "latency" or "bulk"


#: (up to this size, slope, offset) of the delay by average size, in 256ths of a microsecond
SIZES = [
    (60, 0, 4096),
    (380, 40, 1696),
    (1084, 15, 11452),
    (1980, 5, 22420),
    (float("inf"), 0, 32256),
]


class Itr:
    """A receive vector's gap between interrupts, on a link of 25 Gbit/s."""

    def __init__(self, jiffy_ns: int) -> None:
        self.jiffy_ns = jiffy_ns
        self.gap = Gap(50, "latency")
        self.ignore = 0
        self.since = (0, 0)  # packets and bytes at the last re-enable
        self.jiffy: int | None = None  # of the last re-enable

    def sample(self, now: int, packets: int, bytes: int) -> int:
        """Return the gap to program, us, as the interrupt is enabled again."""
        jiffy = now // self.jiffy_ns
        if self.jiffy is None or jiffy > self.jiffy + 1:
            gap = Gap(2, "latency")
        elif self.ignore:
            gap = self.gap
        else:
            gap = self.measured(packets - self.since[0], bytes - self.since[1])
        self.jiffy, self.since = jiffy, (packets, bytes)
        if gap != self.gap:
            self.ignore = 3
        elif self.ignore:
            self.ignore -= 1
        self.gap = gap
        return gap.usecs

    def measured(self, packets: int, bytes: int) -> Gap:
        if packets in (1, 2, 3) and bytes < 9000:
            return Gap(by_size(bytes // packets, "latency"), "latency")
        if packets < 56:
            return Gap(min(126, self.gap.usecs + 2), self.gap.mode)
        if packets <= 112:
            return Gap(self.gap.usecs, "bulk")
        if packets <= 256:
            half = self.gap.usecs // 2
            return Gap(max(2, half - half % 2), "bulk")
        return Gap(by_size(bytes // packets, "bulk"), "bulk")


def by_size(size: int, mode: str) -> int:
    slope, offset = next((slope, offset) for up_to, slope, offset in SIZES if size <= up_to)
    term = slope * size + offset
    if mode == "latency":
        term //= 2
    return min(126, 2 * ceil(term / 1024))
