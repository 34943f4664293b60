"""A queue: its ring, its transmissions, when its device interrupts, and its NAPI's state."""

from __future__ import annotations

from collections import deque

from replay.host import Host, arming_ns
from replay.policy import Policy
from replay.units import NEVER
from tests.naive.adaptive import PROFILES, Dim, Itr

START_INDEX = 1  # of the profile that hardware begins with


def chosen(asked, otherwise):
    return otherwise if asked is None else asked


class Queue:
    def __init__(self, number: int, cpu, policy: Policy, host: Host, island) -> None:
        self.number, self.cpu, self.policy, self.host, self.island = (
            number,
            cpu,
            policy,
            host,
            island,
        )
        self.rx_usecs = chosen(policy.rx_usecs, host.rx_usecs)
        self.rx_frames = chosen(policy.rx_frames, host.rx_frames)
        self.tx_usecs = chosen(policy.tx_usecs, host.tx_usecs)
        self.tx_frames = chosen(policy.tx_frames, host.tx_frames)
        self.coalescing = chosen(policy.coalescing, host.coalescing)
        self.adaptive = chosen(policy.adaptive, host.adaptive)
        self.size = host.ring
        self.threaded = chosen(policy.threaded, host.threaded)
        half = max(1, self.size // 2)
        self.repost_every = min(host.repost_every, half)
        self.repost_above = min(host.repost_above, self.size // 2)
        # device
        self.ring: deque[int] = deque()
        self.missing = 0  # descriptors that the driver has not given back
        self.in_flight: deque[int] = deque()  # when transmissions will have completed
        self.sent: deque[int] = deque()  # when those completed that no poll has cleaned up
        self.armed, self.armed_at = True, 0
        self.signal = self.irq_due = NEVER
        self.last_signal = -NEVER
        # NAPI
        self.owner = "none"  # none, napi, busy
        self.missed = self.prefer_bit = self.masked = False
        self.count, self.timer, self.timer_cpu = 0, NEVER, None
        self.thread = None  # the task that polls it, where it is threaded
        self.interrupted = False  # an interrupt scheduled it, no poll has looked yet
        self.trigger = ("cpu", 0)  # why it is polled, since when
        self.polled_since = 0
        # adaptive moderation
        self.received = self.bytes = self.sent_packets = self.sent_bytes = 0
        self.by_transmit = False  # whether the next interrupt is about transmissions
        self.rx_events = self.tx_events = 0
        self.tx_event_at = -NEVER
        self.rx_dim, self.tx_dim, self.itr = Dim(), Dim(), Itr(host.jiffy_ns)
        if self.adaptive == "dim":
            self.rx_usecs, self.rx_frames = PROFILES[self.rx_kind()][START_INDEX]
            self.tx_usecs, self.tx_frames = PROFILES["tx-eqe"][START_INDEX]
        elif self.adaptive == "itr":
            self.rx_usecs = self.itr.gap.usecs

    # --- device ---------------------------------------------------------------------------

    def accept(self, packet: int) -> bool:
        """Let a packet in; whether there was a descriptor for it."""
        if len(self.ring) + self.missing >= self.size:
            return False
        self.ring.append(packet)
        self.coalesce()
        return True

    def transmit(self, size: int) -> None:
        self.in_flight.append(self.island.now + self.host.tx_delay_ns)
        self.sent_packets += 1
        self.sent_bytes += int(size)

    def complete_transmissions(self) -> None:
        while self.in_flight and self.in_flight[0] <= self.island.now:
            self.sent.append(self.in_flight.popleft())
            self.coalesce()

    def arm(self) -> None:
        self.send_signal()
        self.armed, self.armed_at = True, self.island.now
        self.coalesce()

    def coalesce(self) -> None:
        """When does the device signal, as far as it can know?"""
        self.signal = NEVER
        if not self.armed or self.irq_due < NEVER or not (self.ring or self.sent):
            return
        arrivals = [int(self.island.arrival[packet]) for packet in self.ring]
        first = min([*arrivals[:1], *list(self.sent)[:1]])
        if self.policy.hooked and self.island.hooks.INTERRUPTS:
            signal = self.island.hooks.interrupt_at(first, self.armed_at, self.last_signal)
        elif self.coalescing == "gap":
            signal = max(first, self.last_signal + self.rx_usecs * 1000)
        else:
            last = self.coalescing == "cqe"
            received = coalesced(arrivals, self.rx_usecs, self.rx_frames, from_last=last)
            sent = coalesced(list(self.sent), self.tx_usecs, self.tx_frames, from_last=False)
            if last and self.sent and (self.tx_usecs or not self.tx_frames):  # START_FROM_EQE
                sent = max(self.sent[0], self.tx_event_at + self.tx_usecs * 1000)
                if self.tx_frames and len(self.sent) >= self.tx_frames:
                    sent = min(sent, self.sent[self.tx_frames - 1])
            self.by_transmit = sent < received
            signal = min(received, sent)
        self.signal = max(signal, self.armed_at)

    def take(self) -> int | None:
        """Take a packet out of the ring; an interrupt signalled by now is on its way."""
        if not self.ring:
            return None
        self.send_signal()
        packet = self.ring.popleft()
        self.missing += 1
        if self.repost_every and self.missing >= self.repost_every:
            self.missing = 0
        self.received += 1
        self.island.counts["delivered"] += 1
        self.bytes += self.island.size(packet)
        self.coalesce()
        return packet

    def clean(self) -> int:
        """Clean up completed transmissions; how many."""
        cleaned = len(self.sent)
        if cleaned:
            self.send_signal()
            self.sent.clear()
            self.coalesce()
        return cleaned

    def repost(self) -> None:
        """At a poll's end descriptors go back to the device."""
        if self.repost_above >= 0 and self.missing > self.repost_above:
            self.missing = 0

    def count_interrupt(self) -> None:
        """Whose event it is: of one completion queue, or (a gap's) of the vector."""
        gap = self.coalescing == "gap"
        self.rx_events += gap or not self.by_transmit
        self.tx_events += gap or self.by_transmit
        if self.by_transmit:
            self.tx_event_at = self.next_irq() - self.host.irq_latency_ns

    def send_signal(self) -> None:
        if self.signal <= self.island.now:
            self.irq_due, self.last_signal = self.signal + self.host.irq_latency_ns, self.signal
            self.signal = NEVER

    def next_irq(self) -> int:
        return min(self.irq_due, self.signal + self.host.irq_latency_ns)

    def timer_due(self) -> int:
        return self.timer + self.host.timer_latency_ns if self.timer < NEVER else NEVER

    # --- NAPI -----------------------------------------------------------------------------

    def napi_complete_done(self, cpu, work: int, driver: bool = True) -> int | None:
        """Whether NAPI is done: the cost of its timer, or None. A driver then arms the irq."""
        timeout = 0
        if work > 0:
            self.count = self.policy.defer_hard_irqs
        if self.count > 0:
            self.count -= 1
            timeout = self.policy.gro_flush_timeout_ns
        if self.policy.hooked:
            timeout = self.island.hooks.after_poll(timeout, work, self.count)
        self.prefer_bit = False
        if self.missed or (timeout == 0 and not driver):
            self.missed = False
            return None
        self.owner = "none"
        if timeout:
            self.start_timer(cpu, timeout)
            self.masked = True
            return arming_ns(self.host, timeout)
        cpu.queue_work(self.moderate() * self.host.program_ns)
        masked, self.masked = self.masked, False
        if self.host.looks_again and self.ring:
            self.poll_again()
            return None
        self.arm()
        if self.host.extra_irq and masked and self.irq_due == NEVER:
            self.signal, self.by_transmit = self.island.now, False  # by software
            self.send_signal()
        return 0

    def poll_again(self) -> None:
        """veth_poll, virtqueue_napi_complete: packets came meanwhile, no interrupt need say so."""
        self.send_signal()
        self.owner, self.armed, self.signal = "napi", False, NEVER

    def start_timer(self, cpu, timeout: int) -> None:
        self.timer, self.timer_cpu = self.island.now + timeout, cpu

    def moderate(self) -> int:
        """The driver's samples for net_dim or its ITR; how many profiles have to be programmed."""
        now, chosen = self.island.now, 0
        if self.adaptive == "dim":
            index = self.rx_dim.sample(now, self.rx_events, self.received, self.bytes)
            if index is not None:
                self.rx_usecs, self.rx_frames = PROFILES[self.rx_kind()][index]
                chosen += 1
            index = self.tx_dim.sample(now, self.tx_events, self.sent_packets, self.sent_bytes)
            if index is not None:
                self.tx_usecs, self.tx_frames = PROFILES["tx-eqe"][index]
                chosen += 1
        elif self.adaptive == "itr":
            self.rx_usecs = self.itr.sample(now, self.received, self.bytes)
        return chosen

    def rx_kind(self) -> str:
        return {"timer": "rx-eqe", "cqe": "rx-cqe", "gap": "gap"}[self.coalescing]


def coalesced(times: list[int], usecs: int, frames: int, *, from_last: bool) -> int:
    """`usecs` after the first (or the last) of `times`, or at the `frames`-th."""
    if not times:
        return NEVER
    signal = NEVER
    if usecs or not frames:
        signal = times[-1 if from_last else 0] + usecs * 1000
    if frames and len(times) >= frames:
        signal = min(signal, times[frames - 1])
    return signal
