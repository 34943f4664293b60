"""What is to be asked, when and on which connection: decided before the run by a seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SECOND = 1_000_000_000


class Requests(NamedTuple):
    """One entry a request, in the order of the intended send times.

    `intended_ns`, `sent_ns` and `received_ns` are instants of CLOCK_MONOTONIC; 0 in the last two
    says that it was never sent, never answered.
    """

    intended_ns: np.ndarray
    connection: np.ndarray
    sent_ns: np.ndarray
    received_ns: np.ndarray
    order: np.ndarray  # request numbers, connection after connection, each in order of intent
    first: np.ndarray  # where in `order` each connection begins; one entry more at the end


def poisson(rate: float, seconds: float, connections: int, seed: int) -> Requests:
    """Independent arrivals at `rate` a second from instant 0, each on a connection drawn."""
    draw = np.random.default_rng(seed)
    enough = int(rate * seconds + 10 * np.sqrt(rate * seconds) + 10)
    instants = np.cumsum(draw.exponential(SECOND / rate, enough)).astype(np.int64)
    instants = instants[instants < seconds * SECOND]
    connection = draw.integers(0, connections, len(instants), dtype=np.int32)
    return Requests(
        intended_ns=instants,
        connection=connection,
        sent_ns=np.zeros(len(instants), np.int64),
        received_ns=np.zeros(len(instants), np.int64),
        order=np.argsort(connection, kind="stable"),
        first=np.searchsorted(np.sort(connection), np.arange(connections + 1)),
    )
