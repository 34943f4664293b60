"""Intel's dynamic ITR: packets and bytes since the last re-enable choose the interrupt gap.

i40e_update_itr and i40e_update_enable_itr (i40e_txrx.c; iavf is the same). Simplified:
* Only the receive side of a vector. Transmissions are taken to stay in latency mode with a gap no
  shorter than the receiver's, and never to be programmed in its stead.
* A link of 25 Gbit/s: sizes are divided by 1024 per step of 2 us (40G: 2048, 10G: 512).
* Writing the gap makes hardware interrupt early once; here it does not. The samples that the
  driver therefore ignores are ignored all the same.
* Jiffies tick at multiples of jiffy_ns since the trace's start.
ixgbe's rules are of the same shape with other numbers (10 us at least; limits 4, 48, 96 and 256
packets; no ignored interrupts); they are not modelled apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from replay.engine.accelerate import jit_inside

#: What the driver programs at first: 20,000 interrupts a second (I40E_ITR_20K).
START_USECS = 50
LOWEST_USECS, HIGHEST_USECS, STEP_USECS = 2, 126, 2
DIVISOR = 1024  # i40e_itr_divisor at 20 and 25 Gbit/s
IGNORED = 3  # ITR_COUNTDOWN_START: samples after a change, disturbed by it

#: One vector's ITR, all int64; all zero at first.
ITR = np.dtype(
    [
        (name, np.int64)
        for name in [
            "usecs",
            "latency",  # whether the gap was chosen for latency, not for bulk
            "countdown",  # samples still to ignore
            "fresh_until",  # from here on, ns, the last re-enable is too long ago
            "packets",  # counters at the last re-enable
            "bytes",
        ]
    ]
)


@jit_inside
def itr_sample(d: Any, now_ns: int, packets: int, bytes_: int, jiffy_ns: int) -> int:
    """Look at a vector's counters since the start as its interrupt is enabled again.

    Returns the gap to program, us: even, 2 to 126. The first sample always returns 2.
    """
    usecs, latency = d.usecs, d.latency
    if now_ns >= d.fresh_until:  # little traffic, or so much that polls moderate it
        usecs, latency = LOWEST_USECS, 1
    elif d.countdown == 0:
        usecs, latency = _adjust(usecs, latency, packets - d.packets, bytes_ - d.bytes)
    d.packets, d.bytes = packets, bytes_
    d.fresh_until = (now_ns // jiffy_ns + 2) * jiffy_ns  # this jiffy and the next
    if usecs != d.usecs or latency != d.latency:  # the driver compares both as one number
        d.usecs, d.latency = usecs, latency
        d.countdown = IGNORED
    elif d.countdown:
        d.countdown -= 1
    return int(d.usecs)


@jit_inside
def _adjust(usecs: int, latency: int, packets: int, bytes_: int) -> tuple[int, int]:
    """Return the gap, us, and the mode after an interval with that many packets and bytes."""
    if 0 < packets < 4 and bytes_ < 9_000:
        return _steps(_size_term(bytes_ // packets) // 2), 1
    if packets < 56:
        return min(usecs + STEP_USECS, HIGHEST_USECS), latency
    if packets <= 112:
        return usecs, 0
    if packets <= 256:
        return max(usecs // 4 * STEP_USECS, LOWEST_USECS), 0  # half, even
    return _steps(_size_term(bytes_ // packets)), 0


@jit_inside
def _size_term(size: int) -> int:
    """Return the delay that suits an average packet of `size` bytes, before the link's divisor."""
    if size <= 60:
        return 4_096
    if size <= 380:
        return 40 * size + 1_696
    if size <= 1_084:
        return 15 * size + 11_452
    if size <= 1_980:
        return 5 * size + 22_420
    return 32_256


@jit_inside
def _steps(term: int) -> int:
    """Return it in us: 4 to 64, below HIGHEST_USECS at this divisor."""
    return (term + DIVISOR - 1) // DIVISOR * STEP_USECS
