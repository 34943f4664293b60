"""Drawn hosts: each constant as far from the most likely one as what is known of it allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from replay.host import GENERIC, Cost
from replay.host.drawn import drawn_host, mirrored_hosts


def test_constants_are_drawn_from_what_is_known_of_them() -> None:
    random = np.random.default_rng(2)
    known = replace(
        GENERIC,
        name="mine",
        irq_ns=1_000,
        poll_ns=1_000,
        wake_ns=1_000,
        epoll_ns=1_000,
        costs={
            "irq_ns": Cost(932.55, 1_067.45, 9, "fitted to 9 figures"),  # deviation 100
            "poll_ns": Cost(100, 5_000, 10_000, "poll duration"),
            "wake_ns": Cost(500, 2_000, 0, "not seen"),
        },
    )
    found = [drawn_host(known, random) for _ in range(400)]
    deviation = {
        name: float(np.std([getattr(host, name) for host in found]))
        for name in ("irq_ns", "poll_ns", "wake_ns", "epoll_ns")
    }
    assert deviation["irq_ns"] == pytest.approx(100, rel=0.15)
    assert deviation["poll_ns"] == pytest.approx(100, rel=0.15)  # a tenth, whatever its samples
    assert 350 < deviation["wake_ns"] < 650
    assert deviation["epoll_ns"] == 0  # a person's own number
    wide = [drawn_host(GENERIC, random).epoll_ns for _ in range(400)]
    inside = np.mean([(value >= 250) & (value <= 1_000) for value in wide])
    assert inside == pytest.approx(0.9, abs=0.05)
    assert {host.jiffy_ns for host in found} == {GENERIC.jiffy_ns}


def test_constants_are_drawn_with_their_correlations_and_mirrored() -> None:
    host = replace(
        GENERIC,
        name="mine",
        irq_ns=1_000,
        poll_ns=1_000,
        cstates=((0, 2_000),),
        costs={
            "irq_ns": Cost(932.55, 1_067.45, 9, "fitted"),  # deviation 100
            "poll_ns": Cost(865.1, 1_134.9, 9, "fitted", {"irq_ns": -0.9}),
            "cstates": Cost(1_932.55, 2_067.45, 9, "fitted"),
        },
    )
    found = list(mirrored_hosts(host, np.random.default_rng(1), 600))
    values = np.array([(it.irq_ns, it.poll_ns, it.cstates[0][1]) for it in found])
    assert values.mean(axis=0) == pytest.approx([1_000, 1_000, 2_000], abs=1)
    assert values.std(axis=0) == pytest.approx([100, 200, 100], rel=0.15)
    assert np.corrcoef(values.T)[0, 1] == pytest.approx(-0.9, abs=0.05)
    assert np.abs(values[::2] + values[1::2] - [2_000, 2_000, 4_000]).max() <= 1
    assert {it.packet_ns for it in found} == {host.packet_ns}
    assert found[:4] == list(mirrored_hosts(host, np.random.default_rng(1), 4))


def test_every_c_state_is_drawn() -> None:
    states = ((1_000, 2_000), (50_000, 40_000))
    host = replace(GENERIC, cstates=states)
    assert drawn_host(host, np.random.default_rng(1)).cstates == states  # a person's own numbers
    known = replace(host, costs={"cstates": Cost(1, 1, 9, "measured")})
    (one, other), (third, fourth) = drawn_host(known, np.random.default_rng(1)).cstates
    assert (one, third) == (1_000, 50_000)
    assert other != 2_000
    assert fourth == pytest.approx(20 * other, rel=0.01)
