"""The device: who gets into the ring, what was transmitted, and when it interrupts."""

from __future__ import annotations

from typing import Any

from replay.engine import hooks
from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.dim import DIM, RX_CQE, RX_EQE, RX_GAP, TX_EQE, dim_profile, dim_sample
from replay.engine.general.state import (
    CQE,
    DIM_MODERATES,
    FIXED,
    GAP,
    NOTHING,
    cpu_of,
    queue_of,
    turn_of,
)
from replay.engine.intrinsics import array_at, at, bytes_at, int64s_at
from replay.engine.itr import ITR, itr_sample
from replay.units import MICROSECOND, NEVER

dims_at, itrs_at = array_at(DIM), array_at(ITR)


@jit_inside
def poke(g: Any, cpu: int, time: int) -> None:
    """Something will happen to a CPU at `time`: it must look then, if it would not before."""
    c = cpu_of(g, cpu)
    if time < c.due:
        c.due = time
    if cpu != g.current:
        turn = turn_of(g, cpu)
        turn.next_at = min(turn.next_at, time)
        g.others = min(g.others, time)
    if time < g.quiet:
        g.quiet = time


@jit_inside
def admit(g: Any, q: Any) -> None:
    """Let in what has arrived by now; what finds no descriptor is lost."""
    when, lost = int64s_at(g.when, g.offered), bytes_at(g.lost, g.offered)
    tail, now, base = q.tail, g.now, q.slots
    while tail < q.known and when[at(base + tail)] <= now:
        if q.in_ring + q.missing >= q.ring:
            lost[at(base + tail)] = 1
            q.dropped += 1
        else:
            q.in_ring += 1
        tail += 1
    q.tail = tail
    while q.head < tail and lost[at(base + q.head)]:
        q.head += 1


@jit_inside
def take(g: Any, q: Any) -> int:
    """Take the first packet out of the ring; its slot, or NOTHING."""
    admit(g, q)
    if q.head >= q.tail:
        return NOTHING
    if q.armed:
        send_signal(g, q)
    slot = int(q.slots + q.head)
    q.head += 1
    q.in_ring -= 1
    q.missing += 1
    if q.repost_every > 0 and q.missing >= q.repost_every:
        q.missing = 0
    q.received += 1
    if q.adaptive != FIXED:
        q.bytes += size_of(g, slot)
    if q.armed:
        lost = bytes_at(g.lost, g.offered)
        while q.head < q.tail and lost[at(q.slots + q.head)]:
            q.head += 1
        refresh(g, q)
    return slot


@jit_inside
def size_of(g: Any, slot: int) -> int:
    """Return the bytes of a packet; 1 where they are not known."""
    if g.size_at < 0:
        return 1
    memory = int64s_at(g.memory, g.memory_size)
    return int(memory[at(g.size_at + row_of(g, slot))])


@jit_inside
def answer_size_of(g: Any, slot: int) -> int:
    """Return the bytes of the response to a request; 1 where they are not known."""
    if g.answer_size_at < 0:
        return 1
    memory = int64s_at(g.memory, g.memory_size)
    return int(memory[at(g.answer_size_at + row_of(g, slot))])


@jit_inline
def row_of(g: Any, slot: int) -> int:
    """Return which packet of the workload has this slot."""
    return slot if g.row_at < 0 else int(int64s_at(g.memory, g.memory_size)[g.row_at + slot])


@jit_inside
def clean(g: Any, q: Any) -> int:
    """Clean up the transmissions that have completed; how many."""
    memory = int64s_at(g.memory, g.memory_size)
    last = q.tx_first
    while last < q.tx_last and memory[at(_tx(g, q, last))] <= g.now:
        last += 1
    cleaned = last - q.tx_first
    if cleaned > 0:
        send_signal(g, q)
        q.tx_first = last
        refresh(g, q)
    return int(cleaned)


@jit_inside
def transmit(g: Any, q: Any, size: int) -> None:
    """A response is on its way; its completion will be written later."""
    memory = int64s_at(g.memory, g.memory_size)
    send_signal(g, q)
    if q.tx_last - q.tx_first >= g.tx_size:
        g.overflow = 1
        return
    memory[at(_tx(g, q, q.tx_last))] = g.now + g.tx_delay
    q.tx_last += 1
    q.sent += 1
    q.sent_bytes += size
    refresh(g, q)


@jit_inline
def _tx(g: Any, q: Any, index: int) -> int:
    """Return where in memory a queue's transmission lies."""
    return int(g.tx_at + q.tx_base + index % g.tx_size)


@jit_inside
def repost(g: Any, q: Any) -> None:
    """At a poll's end descriptors go back to the device, too late for what has arrived."""
    if q.repost_above >= 0 and q.missing > q.repost_above:
        admit(g, q)
        q.missing = 0
        if q.armed:
            refresh(g, q)


@jit_inside
def arm(g: Any, q: Any) -> None:
    """The driver arms the interrupt; packets that wait are signalled by the same rule."""
    send_signal(g, q)
    q.armed, q.armed_at = 1, g.now
    admit(g, q)
    refresh(g, q)


@jit_inside
def signal_by_software(g: Any, q: Any) -> None:
    """The driver makes the device interrupt at once: no event about transmissions."""
    if q.irq_due == NEVER:
        q.signal, q.by_transmit = g.now, 0
        send_signal(g, q)
        refresh(g, q)


@jit_inside
def send_signal(g: Any, q: Any) -> None:
    """An interrupt that the device has signalled by now comes, whatever happens to its packet."""
    if q.signal <= g.now:
        q.irq_due, q.last_signal, q.signal = q.signal + g.irq_latency, q.signal, NEVER


@jit_inside
def refresh(g: Any, q: Any) -> None:
    """When does the device signal, as far as arrivals are known?"""
    if q.armed and q.irq_due == NEVER:
        q.signal = coalesce(g, q)
    q.irq_at = q.irq_due
    if q.signal < NEVER:
        q.irq_at = q.signal + g.irq_latency
    if q.irq_at < NEVER:
        poke(g, q.cpu, q.irq_at)


@jit_inside
def coalesce(g: Any, q: Any) -> int:
    """Return when the device signals; NEVER where it has no reason."""
    when = int64s_at(g.when, g.offered)
    memory = int64s_at(g.memory, g.memory_size)
    first, signal = NEVER, NEVER
    receives = q.head < q.known and (q.in_ring > 0 or q.missing < q.ring)
    if receives:
        first = when[at(q.slots + q.head)]
    if q.tx_first < q.tx_last:
        first = min(first, memory[at(_tx(g, q, q.tx_first))])
    if first == NEVER:
        return NEVER
    if q.hooked and hooks.INTERRUPTS:
        signal = hooks.interrupt_at(first, q.armed_at, q.last_signal)
    elif q.mode == GAP:
        signal = max(first, q.last_signal + q.rx_delay)
    else:
        if receives:
            signal = _coalesce_received(g, q)
        q.by_transmit = 0
        if q.tx_first < q.tx_last:
            transmitted = _coalesce_transmitted(g, q)
            q.by_transmit = int(transmitted < signal)
            signal = min(signal, transmitted)
    return int(max(signal, q.armed_at))


@jit_inside
def _coalesce_received(g: Any, q: Any) -> int:
    """rx_delay after the first packet (TIMER) or the last (CQE), or at the rx_frames-th."""
    when, lost = int64s_at(g.when, g.offered), bytes_at(g.lost, g.offered)
    base = q.slots
    if q.mode != CQE and q.rx_frames == 0:
        return int(when[at(base + q.head)] + q.rx_delay)
    room = q.ring - q.missing
    timer = q.rx_delay > 0 or q.rx_frames == 0
    last, seen = when[at(base + q.head)], 0
    deadline = NEVER
    if timer:
        deadline = last + q.rx_delay
    packet = q.head
    while packet < q.known and seen < room:
        time = when[at(base + packet)]
        if packet >= q.tail or not lost[at(base + packet)]:
            if time > deadline:
                break
            seen += 1
            if seen == q.rx_frames:
                return int(time)
            if q.mode == CQE and timer:
                deadline = time + q.rx_delay
        packet += 1
    return int(deadline)


@jit_inside
def _coalesce_transmitted(g: Any, q: Any) -> int:
    """tx_delay after the first completion, or at the tx_frames-th.

    Beside CQE mode (mlx5) it is START_FROM_EQE: tx_delay after the last event about transmissions.
    """
    memory = int64s_at(g.memory, g.memory_size)
    signal = NEVER
    if q.tx_delay > 0 or q.tx_frames == 0:
        signal = memory[at(_tx(g, q, q.tx_first))]
        signal = max(signal, q.tx_event_at + q.tx_delay) if q.mode == CQE else signal + q.tx_delay
    nth = q.tx_first + q.tx_frames - 1
    if q.tx_frames > 0 and nth < q.tx_last:
        signal = min(signal, memory[at(_tx(g, q, nth))])
    return int(signal)


@jit_inside
def moderate(g: Any, q: Any, number: int) -> int:
    """The driver's samples for net_dim or its ITR, as it arms the interrupt again.

    Returns how many profiles net_dim changed: they are programmed from a work queue.
    """
    chosen = 0
    if q.adaptive == DIM_MODERATES:
        dims = dims_at(g.dims, 2 * g.queue_count)
        index = dim_sample(dims[2 * number], g.now, q.rx_events, q.received, q.bytes)
        if index >= 0:
            kind = RX_GAP if q.mode == GAP else (RX_CQE if q.mode == CQE else RX_EQE)
            usecs, frames = dim_profile(kind, index)
            q.rx_delay, q.rx_frames = usecs * MICROSECOND, frames
            chosen += 1
        index = dim_sample(dims[2 * number + 1], g.now, q.tx_events, q.sent, q.sent_bytes)
        if index >= 0:
            usecs, frames = dim_profile(TX_EQE, index)
            q.tx_delay, q.tx_frames = usecs * MICROSECOND, frames
            chosen += 1
    elif q.adaptive != FIXED:
        itr = itrs_at(g.itrs, g.queue_count)[number]
        usecs = itr_sample(itr, g.now, q.received, q.bytes, g.jiffy)
        q.rx_delay = usecs * MICROSECOND
    return chosen


@jit_inside
def transmits_on(g: Any, cpu: int, own: int) -> Any:
    """Return the queue on which a CPU's transmissions complete."""
    chosen = cpu_of(g, cpu).tx_queue
    return queue_of(g, own if chosen < 0 else chosen)
