from __future__ import annotations

from dataclasses import fields, replace

from replay.host import GENERIC, arming_ns, costs_of, with_nic
from replay.policy import BOUNDS, Policy

HOST = replace(
    with_nic(GENERIC, "i40e"),
    ipi_ns=700,
    cold_ns=900,
    cstates=((2_000, 2_000),),
    background_ns=10,
    background_period_ns=1_000,
    jiffy_ns=1_000_000,
    preemption=False,
)


def test_free_leaves_clocks_the_ring_and_the_application() -> None:
    free = costs_of(BOUNDS["zero-cost"], HOST)
    kept = ("request_ns", "client_ns", "recorded_ns", "jiffy_ns", "slice_ns", "ring")
    assert all(getattr(free, name) == getattr(HOST, name) for name in kept)
    paid = {item.name for item in fields(free) if item.name.endswith("_ns")} - {
        *kept,
        *("rt_period_ns", "rt_runtime_ns", "bypass_packet_ns", "stale_after_ns"),
    }
    assert {getattr(free, name) for name in paid} == {0}
    assert (free.gro_batch, free.repost_every, free.repost_above, free.cstates) == (1, 1, 0, ())
    assert not free.tx_completions


def test_a_free_busy_poll_costs_nothing_and_all_else_what_it_does() -> None:
    assert costs_of(BOUNDS["free-busy"], HOST) == replace(HOST, busy_poll_ns=0)


def test_bypass_costs_a_packet_and_no_system_call() -> None:
    host = costs_of(BOUNDS["onload"], HOST)
    assert (host.packet_ns, host.busy_poll_ns) == (250, 250)
    assert (host.epoll_ns, host.wake_ns, host.notify_ns, host.poll_ns) == (0, 0, 0, 0)
    assert (host.transmit_ns, host.irq_ns) == (HOST.transmit_ns, HOST.irq_ns)
    assert costs_of(BOUNDS["onload"], replace(HOST, busy_poll_ns=90)).busy_poll_ns == 90


def test_a_host_as_it_is() -> None:
    assert costs_of(Policy("mine"), HOST) is HOST
    assert costs_of(Policy("mine", ring=HOST.ring), HOST) is HOST


def test_a_ring_of_another_size_keeps_the_drivers_rule() -> None:
    wide = costs_of(Policy("wide", ring=4096), HOST)
    assert (wide.ring, wide.repost_every, wide.repost_above) == (4096, 2048, -1)
    small = costs_of(Policy("small", ring=8), with_nic(GENERIC, "ixgbe"))
    assert (small.ring, small.repost_every) == (8, 4)
    small = costs_of(Policy("small", ring=16), with_nic(GENERIC, "virtio"))
    assert (small.repost_every, small.repost_above) == (0, 8)
    one = costs_of(Policy("one", ring=1), HOST)
    assert (one.ring, one.repost_every) == (1, 1)
    assert costs_of(BOUNDS["unbounded-ring"], GENERIC).ring == 1 << 30


def test_a_timer_behind_the_tick_is_not_programmed() -> None:
    host = replace(GENERIC, timer_start_ns=7_000, timer_later_ns=200, jiffy_ns=4_000_000)
    assert arming_ns(host, 0) == 7_000
    assert arming_ns(host, 1_000_000) == (3 * 7_000 + 200) // 4
    assert arming_ns(host, 4_000_000) == arming_ns(host, 20_000_000) == 200
    assert arming_ns(replace(host, timer_start_ns=50), 1_000_000) == 50  # never more than that
