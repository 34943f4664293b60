"""What is to be asked, when and on which connection: decided before the run by a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SECOND = 1_000_000_000


@dataclass
class Requests:
    """One entry a request, in the order of the intended send times.

    `intended_ns`, `sent_ns` and `received_ns` are instants of CLOCK_MONOTONIC; 0 in the last two
    says that it was never sent, never answered.
    """

    intended_ns: np.ndarray
    connection: np.ndarray
    sent_ns: np.ndarray
    received_ns: np.ndarray
    order: np.ndarray  # request numbers, connection after connection, each in order of intent
    first: np.ndarray  # where in `order` each connection begins; one more entry than connections

    def shift(self, start_ns: int) -> None:
        """Let the first instant of the plan be start_ns."""
        self.intended_ns += start_ns


def poisson(rate: float, seconds: float, connections: int, seed: int) -> Requests:
    """Independent arrivals at `rate` a second, each on a connection drawn at random."""
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
        order=np.argsort(connection, kind="stable").astype(np.int64),
        first=np.searchsorted(np.sort(connection), np.arange(connections + 1)).astype(np.int64),
    )
