"""The receive ring: who gets in, who is dropped, and when the device interrupts."""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.packets import packets
from replay.engine.state import KSOFTIRQD, RUNNING
from replay.units import NEVER


@jit_inside
def admit(s: Any, k: Any) -> None:
    """Let in what has arrived by now; what finds the ring full is lost."""
    p = packets(k)
    if s.tail < s.head:
        s.tail, s.in_ring = s.head, 0
    while s.tail < s.known and p.when[s.tail] <= s.now:
        if s.in_ring == k.ring:
            p.lost[s.tail] = 1
            s.last_lost = s.tail
            s.dropped += 1
        else:
            s.in_ring += 1
        s.tail += 1
    while s.head < s.tail and p.lost[s.head]:
        s.head += 1


@jit_inside
def take(s: Any, k: Any) -> int:
    """Take the first packet out of the ring; -1 where there is none."""
    p = packets(k)
    admit(s, k)
    if s.head >= s.tail:
        return -1
    send_signal(s, k)
    packet = int(s.head)
    s.head += 1
    s.in_ring -= 1
    s.delivered += 1
    while s.head < s.tail and p.lost[s.head]:
        s.head += 1
    refresh(s, k)
    return packet


@jit_inline
def arm(s: Any, k: Any) -> None:
    """The driver arms the interrupt; packets that wait are signalled by the same rule."""
    if s.armed:
        send_signal(s, k)
    s.armed, s.armed_at = 1, s.now


@jit_inside
def send_signal(s: Any, k: Any) -> None:
    """An interrupt that the device has signalled by now comes, whatever happens to its packet."""
    if s.armed and s.irq_due == NEVER:
        signal = coalesce(s, k)
        if signal <= s.now:
            s.irq_due = signal + k.irq_latency


@jit_inline
def coalesce(s: Any, k: Any) -> int:
    """Return when the device signals: rx_delay after the first packet, or at the rx_frames-th."""
    p = packets(k)
    if s.head >= s.known:
        return NEVER
    signal = NEVER
    if k.rx_delay >= 0:
        signal = p.when[s.head] + k.rx_delay
    if k.rx_frames > 0:
        nth = _nth_accepted(s, k)
        if nth < s.known:
            signal = min(signal, p.when[nth])
    return int(max(signal, s.armed_at))


@jit_inside
def _nth_accepted(s: Any, k: Any) -> int:
    """Return the rx_frames-th packet that is, or will be, in the ring."""
    p = packets(k)
    if k.rx_frames > k.ring:
        return NEVER
    nth = s.head + k.rx_frames - 1
    if s.tail <= s.head:
        return int(nth)
    missing = k.rx_frames
    for packet in range(s.head, s.tail):
        missing -= 1 - p.lost[packet]
        if missing == 0:
            return packet
    return int(s.tail + missing - 1)


@jit_inline
def _irq_time(s: Any, k: Any) -> int:
    """Return when the device's interrupt is due, as far as arrivals are known."""
    if not s.armed or s.irq_due < NEVER:
        return int(s.irq_due)
    signal = coalesce(s, k)
    return signal + int(k.irq_latency) if signal < NEVER else NEVER


@jit_inside
def refresh(s: Any, k: Any) -> None:
    """Recompute when the next interrupt or scheduler event is due: the ring has changed."""
    s.irq_at = _irq_time(s, k)
    refresh_timers(s, k)


@jit_inline
def refresh_timers(s: Any, k: Any) -> None:
    """Recompute when the next interrupt or scheduler event is due: the ring has not changed."""
    s.due = min(s.irq_at, s.timer, s.wakes_at, s.unthrottle)
    s.quiet = min(s.due, k.end, s.upcoming - 1) if s.parked == RUNNING else -1


@jit_inside
def thread_due(s: Any) -> int:
    """Return when the thread loses the CPU, unless it ends its work before."""
    if s.parked == KSOFTIRQD:
        return int(min(s.due, s.slice_end))
    return int(s.due)


@jit_inside
def row_of(k: Any, packet: int) -> int:
    """Return which packet of the workload is the one that arrived as number `packet`."""
    p = packets(k)
    return int(p.memory[k.row_at + packet]) if k.closed else packet
