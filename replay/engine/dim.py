"""Net DIM: interrupts, packets and bytes of 64 interrupts choose the next coalescing profile.

lib/dim/net_dim.c and lib/dim/dim.c of Linux 6.18, as mlx5 and virtio-net call it: after each
successful re-arm. One difference: the kernel programs a new profile from a work queue and ignores
samples until it ran; here it is programmed at once, and the next sample starts a measurement.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from replay.engine.accelerate import jit_inside
from replay.units import MICROSECOND

# Which table of profiles: receive or transmit, timer from the first (EQE) or last (CQE) packet
RX_EQE, RX_CQE, TX_EQE, TX_CQE, RX_GAP = 0, 1, 2, 3, 4
#: (usecs, frames) by kind and index, int64 (5, 5, 2).
PROFILES = np.array(
    [
        [(1, 256), (8, 256), (64, 256), (128, 256), (256, 256)],
        [(2, 256), (8, 128), (16, 64), (32, 64), (64, 64)],
        [(1, 128), (8, 128), (32, 128), (64, 128), (128, 128)],
        [(5, 128), (8, 64), (16, 32), (32, 32), (64, 32)],
        [(2, 0), (8, 0), (16, 0), (62, 0), (126, 0)],  # ice: gaps between interrupts
    ],
    np.int64,
)
#: What drivers program at first. DIM itself begins at 0 and does not know.
START_INDEX = 1

LAST_INDEX = 4
EVENTS = 64  # DIM_NEVENTS: interrupts of one measurement
TOO_MANY_STEPS = 10  # without a rest: twice the number of profiles

# What the next sample does: `state`
START, MEASURING = 0, 1
# Where decisions go: `tune`
PARKED_ON_TOP, PARKED_TIRED, RIGHT, LEFT = 0, 1, 2, 3
# What came of a step, and of a comparison
STEPPED, EDGE, TIRED = 0, 1, 2
SAME, BETTER, WORSE = 0, 1, 2

U16, U32 = (1 << 16) - 1, (1 << 32) - 1  # the sample's counters wrap

#: One queue's DIM, all int64; all zero at first. Time in ns, rates per ms, rounded up.
DIM = np.dtype(
    [
        (name, np.int64)
        for name in [
            "state",
            "ix",
            "tune",
            "steps_right",
            "steps_left",
            "tired",
            "start_time",
            "start_events",
            "start_packets",
            "start_bytes",
            "prev_ppms",
            "prev_bpms",
            "prev_epms",
        ]
    ]
)


@jit_inside
def dim_profile(kind: int, index: int) -> tuple[int, int]:
    """Return (usecs, frames) of profile `index`, 0 to 4, of that kind."""
    return int(PROFILES[kind, index, 0]), int(PROFILES[kind, index, 1])


@jit_inside
def dim_sample(d: Any, now_ns: int, events: int, packets: int, bytes_: int) -> int:
    """Look at a queue's counters since the start (net_dim).

    Returns the index of the profile to program where a decision changed it, otherwise -1.
    """
    if d.state == MEASURING:
        if (events - d.start_events) & U16 < EVENTS:
            return -1
        usecs = ((now_ns - d.start_time) // MICROSECOND) & U32
        if usecs == 0:
            return -1
        before = d.ix
        _decide(
            d,
            _per_ms((packets - d.start_packets) & U32, usecs),
            _per_ms((bytes_ - d.start_bytes) & U32, usecs),
            _per_ms(EVENTS, usecs),  # however many there were: dim_calc_stats
        )
        if d.ix != before:
            d.state = START
            return int(d.ix)
    d.state = MEASURING
    d.start_time, d.start_events = now_ns, events
    d.start_packets, d.start_bytes = packets, bytes_
    return -1


@jit_inside
def _per_ms(count: int, usecs: int) -> int:
    return (1_000 * count + usecs - 1) // usecs


@jit_inside
def _decide(d: Any, ppms: int, bpms: int, epms: int) -> None:
    """Move one profile, or stay (net_dim_decision)."""
    before = d.tune
    if before == PARKED_TIRED:
        d.tired -= 1
        if d.tired == 0:
            _leave_park(d)
    else:
        result = _compare(d, ppms, bpms, epms)
        if before == PARKED_ON_TOP:
            if result != SAME:
                _leave_park(d)
        else:
            _go_on(d, result)
    if before != PARKED_ON_TOP or d.tune != PARKED_ON_TOP:
        d.prev_ppms, d.prev_bpms, d.prev_epms = ppms, bpms, epms


@jit_inside
def _compare(d: Any, ppms: int, bpms: int, epms: int) -> int:
    """Say how the rates compare with the last: bytes first, then packets, then interrupts."""
    if d.prev_bpms == 0:
        return BETTER if bpms else SAME
    if _differs(bpms, d.prev_bpms):
        return BETTER if bpms > d.prev_bpms else WORSE
    if d.prev_ppms == 0:
        return BETTER if ppms else SAME
    if _differs(ppms, d.prev_ppms):
        return BETTER if ppms > d.prev_ppms else WORSE
    if _differs(epms, d.prev_epms):  # never 0: rounded up
        return BETTER if epms < d.prev_epms else WORSE
    return SAME


@jit_inside
def _differs(value: int, reference: int) -> bool:
    """Whether it is more than 10 whole percent (IS_SIGNIFICANT_DIFF)."""
    return 100 * abs(value - reference) // reference > 10


@jit_inside
def _leave_park(d: Any) -> None:
    d.tune = LEFT if d.ix else RIGHT
    _step(d)


@jit_inside
def _go_on(d: Any, result: int) -> None:
    """Walk on where the last step helped, otherwise turn; park where both ways lead back."""
    if result != BETTER:
        if d.tune == RIGHT:
            d.tune, d.steps_left = LEFT, 0
        else:
            d.tune, d.steps_right = RIGHT, 0
    if d.tune == RIGHT:
        on_top = d.steps_left > 1 and d.steps_right == 1
    else:
        on_top = d.steps_right > 1 and d.steps_left == 1
    step = EDGE if on_top else _step(d)
    if step != STEPPED:
        d.steps_right, d.steps_left = 0, 0
        if step == EDGE:
            d.tune, d.tired = PARKED_ON_TOP, 0
        else:
            d.tune = PARKED_TIRED


@jit_inside
def _step(d: Any) -> int:
    """Move one profile the way it goes (net_dim_step)."""
    if d.tired == TOO_MANY_STEPS:
        return TIRED
    if d.tune == RIGHT:
        if d.ix == LAST_INDEX:
            return EDGE
        d.ix += 1
        d.steps_right += 1
    else:
        if d.ix == 0:
            return EDGE
        d.ix -= 1
        d.steps_left += 1
    d.tired += 1
    return STEPPED
