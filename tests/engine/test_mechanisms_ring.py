"""The ring: what a device can store, and when the driver gives descriptors back to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from replay.engine.topology import Topology
from replay.policy import Policy
from replay.units import MILLISECOND
from tests.engine.general.cases import ACK, BASE, delivered, replay


@pytest.mark.parametrize(
    ("weight", "every", "burst", "dropped"),
    [
        (64, 0, 384, 0),
        # at 192 us, just before the third poll's end: 192 in the ring, 64 missing
        (64, 0, 385, 1),
        (64, 0, 449, 1),
        # 11 more: the fourth poll gives nothing back before 256 us
        (64, 0, 460, 12),
        (16, 0, 460, 0),  # the article's cure
        (64, 16, 460, 0),  # the driver's
    ],
)
def test_descriptors_given_back_at_a_polls_end_cost_the_e1000_its_bursts(
    weight: int, every: int, burst: int, dropped: int
) -> None:
    """2005: ring 256, weight 64. Two packets arrive in the time that one takes."""
    outcome = replay(
        [n * 500 for n in range(burst)],
        Policy("e1000", weight=weight),
        service=ACK,
        packet_ns=1_000,
        ring=256,
        repost_every=every,
        duration=2 * MILLISECOND,
    )
    assert (outcome.dropped, outcome.delivered) == (dropped, burst - dropped)


@pytest.mark.parametrize(
    ("every", "above", "dropped"), [(0, 0, 0), (0, 2, 0), (0, 3, 3), (2, -1, 1), (1, -1, 0)]
)
def test_a_driver_that_gives_back_only_above_a_threshold(
    every: int, above: int, dropped: int
) -> None:
    """Of three taken all stay missing where the threshold is three, one where two come back."""
    outcome = replay(
        [0] * 3 + [10_000] * 8,
        BASE,
        service=ACK,
        ring=8,
        repost_every=every,
        repost_above=above,
    )
    assert outcome.dropped == dropped


def test_a_policy_has_a_ring_of_its_own_on_each_nic() -> None:
    outcome = replay(
        [0] * 20,
        [replace(BASE, ring=4), replace(BASE, ring=9)],
        Topology(queue_cpu=(0, 0), queue_device=(0, 1)),
        service=ACK,
        columns={"queue": [0, 1] * 10},
        packet_ns=1,
        ring=64,
    )
    times = np.array(delivered(outcome))
    assert ((times[::2] >= 0).sum(), (times[1::2] >= 0).sum()) == (4, 9)
