"""The 10 Gb/s latency ladder: seven round trips of one UDP echo, by one host profile. A fit.

Source: "How to achieve low latency with 10Gbps Ethernet" (M. Majkowski, Cloudflare blog, 2015).
Each figure is the least round trip that the article prints for the step. Client and server take
every step together, except that

* only the client polls in the kernel: UDP sockets that are not connected, as the server's,
  busy-poll since Linux 4.10 only (e68b6e50fa35);
* only the client bypasses the kernel, as the article says.

A host's part of the round trip is the same on both sides, from a packet in its memory to the next
one handed to the device; between the cards it is ladder.toml's client_ns.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from replay.engine import Workload, replay_island
from replay.engine.topology import Topology
from replay.host import Host, read_host, with_nic
from replay.policy import Policy
from replay.policy.presets import PRESETS
from replay.units import MICROSECOND, MILLISECOND

HOST = with_nic(read_host(Path(__file__).with_name("ladder.toml")), "ixgbe")
#: recvmsg and sendmsg are OpenOnload's too: each costs what a packet costs there.
ONLOAD_HOST = replace(HOST, request_ns=HOST.bypass_packet_ns)

# CPUs: the receive interrupt's, one that the article's taskset picks on the same socket, the one
# of the transmit queue that a hash picks, and one of the other socket, where the scheduler puts
# what is not pinned: a thread that never sleeps is not moved, so that its place is all that matters
INTERRUPT, PINNED, HASHED, ELSEWHERE = range(4)


class Side(NamedTuple):
    """One host on one step."""

    policy: Policy
    application: int = PINNED
    transmits_on: int = PINNED
    host: Host = HOST

    def topology(self) -> Topology:
        """A queue on each CPU of the NIC's socket; the first receives."""
        return Topology(
            queue_cpu=(INTERRUPT, PINNED, HASHED),
            queue_device=(0, 0, 0),
            worker_cpu=(self.application,),
            cpu_domain=(0, 0, 0, 1),
            cpu_tx_queue=(self.transmits_on,) * 4,
        )


SPIN = PRESETS["spin"]  # MSG_DONTWAIT in a loop: the application polls its socket, not the NIC
AT_ONCE = {"rx_usecs": 0, "adaptive": "off"}
NAIVE = Side(Policy("base"), ELSEWHERE, HASHED)
#: SO_BUSY_POLL on a read that blocks is napi_busy_loop until there is data, as in epoll_wait; the
#: preset `busyread` is for reads that do not block, which poll once.
KERNEL_POLLING = Side(Policy("so-busy-poll", busy_poll_usecs=50), ELSEWHERE, HASHED)
POLLING = Side(SPIN, ELSEWHERE, HASHED)
UNCOALESCED = Side(replace(SPIN, **AT_ONCE))
BYPASS = Side(replace(PRESETS["onload"], **AT_ONCE), host=ONLOAD_HOST)

#: step: (round trip as published, us; server; client)
LADDER = {
    "naive": (44.9, NAIVE, NAIVE),
    "SO_BUSY_POLL": (36.6, NAIVE, KERNEL_POLLING),
    "user-space polling": (31.8, POLLING, POLLING),
    "pinned": (30.1, Side(SPIN, PINNED, HASHED), Side(SPIN, PINNED, HASHED)),
    "XPS": (28.4, Side(SPIN), Side(SPIN)),
    "rx-usecs 0": (25.7, UNCOALESCED, UNCOALESCED),
    "bypass": (17.7, UNCOALESCED, BYPASS),
}


def least(side: Side, away_ns: int) -> int:
    """The least time, ns, that a host takes when each packet comes `away_ns` after its answer.

    The time away grows by 7 ns a packet: all phases of what polls are met.
    """
    number = np.arange(300)
    workload = Workload(
        arrival_ns=np.zeros(len(number), np.int64),
        service_ns=np.full(len(number), side.host.request_ns),
        duration_ns=30 * MILLISECOND,
        parent=number - 1,
        think_ns=away_ns + 7 * number,
    )
    outcome = replay_island(workload, side.policy, side.host, side.topology(), times=True)
    assert outcome.times is not None
    assert outcome.served == len(number)
    return int((outcome.times.done - outcome.times.arrival)[20:].min())


@cache
def round_trip_us(step: str) -> float:
    """The least round trip of a step, us; each host is away for the wire and the other's time."""
    _, server, client = LADDER[step]
    at_server = at_client = 10 * MICROSECOND
    for _ in range(2):
        at_server = least(server, at_client + HOST.client_ns)
        at_client = least(client, at_server + HOST.client_ns)
    return (at_server + at_client + HOST.client_ns) / MICROSECOND


@pytest.mark.parametrize("step", LADDER)
def test_the_fit_is_within_a_tenth_of_each_published_step(step: str) -> None:
    assert round_trip_us(step) == pytest.approx(LADDER[step][0], rel=0.1)


def test_no_step_makes_it_slower() -> None:
    trips = [round(round_trip_us(step), 1) for step in LADDER]
    assert trips == sorted(trips, reverse=True)


def test_two_steps_gain_nothing_in_the_model() -> None:
    """What the article gains there, 1.7 and 2.7 us, lies between pinned and bypass as error.

    XPS: transmitting on a queue that another CPU cleans costs nothing more here. rx-usecs 0: a gap
    between interrupts is over long before the next round trip's, however ixgbe moves it.
    """
    assert round_trip_us("pinned") == pytest.approx(round_trip_us("XPS"), abs=0.05)
    assert round_trip_us("XPS") == pytest.approx(round_trip_us("rx-usecs 0"), abs=0.05)


def test_a_client_and_a_server_that_both_poll_in_the_kernel_were_not_measured() -> None:
    """Both would take 40 % less than published: why only the connected socket is taken to poll."""
    at_host = least(KERNEL_POLLING, 20 * MICROSECOND)
    assert (2 * at_host + HOST.client_ns) / MICROSECOND < 0.7 * LADDER["SO_BUSY_POLL"][0]
