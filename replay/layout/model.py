"""A layout: the RX queues of a NIC and how it spreads flows over them."""

from __future__ import annotations

from dataclasses import dataclass

from replay.errors import PolicyError
from replay.layout.indirection import check_queues, check_size, indirection_equal
from replay.layout.key import KEY_BYTES, VERIFICATION_KEY

#: Bytes of the longest key a kernel hands to a driver (netdev_rss_key).
MAX_KEY_BYTES = 256


@dataclass(frozen=True)
class Layout:
    """RX queues, RSS indirection table and hash key.

    `indirection` holds a queue for each value of the hash's low bits; empty means equal shares.
    `udp_ports` says whether the NIC hashes the ports of UDP (ethtool -N rx-flow-hash udp4 sdfn).
    """

    queues: int = 1
    indirection: tuple[int, ...] = ()
    key: bytes = VERIFICATION_KEY
    udp_ports: bool = True

    def __post_init__(self) -> None:
        check_queues(self.queues)
        if not self.indirection:
            object.__setattr__(self, "indirection", indirection_equal(self.queues))
        check_size(len(self.indirection))
        low, high = min(self.indirection), max(self.indirection)
        if low < 0 or high >= self.queues:
            wrong = low if low < 0 else high
            raise PolicyError(
                f"indirection entry {wrong} is outside 0 to {self.queues - 1} (queues)"
            )
        if not KEY_BYTES <= len(self.key) <= MAX_KEY_BYTES:
            raise PolicyError(
                f"RSS key of {len(self.key)} bytes is outside {KEY_BYTES} to {MAX_KEY_BYTES} bytes"
            )
