"""A layout: the RX queues of a NIC and how it spreads flows over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from replay.errors import PolicyError
from replay.layout.indirection import check_queues, check_size, indirection_equal
from replay.layout.key import VERIFICATION_KEY, check_key, check_transform, parse_key


@dataclass(frozen=True)
class Layout:
    """RX queues, RSS indirection table, hash key, and what is hashed.

    `indirection` holds a queue for each value of the hash's low bits; empty means equal shares.
    `transform` is what the NIC makes of the input first, one of TRANSFORMS (ethtool -X xfrm).
    `udp_ports` says whether the NIC hashes the ports of UDP (ethtool -N rx-flow-hash udp4 sdfn),
    `inner` whether it hashes the packet inside of a tunnel: most NICs hash the outer one, whose
    UDP source port VXLAN and Geneve draw from the inner flow; some look into GRE and IP in IP.
    """

    queues: int = 1
    indirection: tuple[int, ...] = ()
    key: bytes = VERIFICATION_KEY
    udp_ports: bool = True
    transform: str = "none"
    inner: bool = False

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
        check_key(self.key)
        check_transform(self.transform)


def hash_entries(
    key: str | None = None, transform: str | None = None, inner: bool = False
) -> dict[str, Any]:
    """Return what a manifest says of the hash; `key` is as for parse_key. Raises PolicyError."""
    entries: dict[str, Any] = {}
    if key is not None:
        entries["rss_key"] = parse_key(key).hex(":")
    if transform is not None:
        check_transform(transform)
        entries["rss_transform"] = transform
    return {**entries, "rss_inner": True} if inner else entries


def hash_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest says of the hash, as arguments of Layout; nothing where it does not.

    Its entries are those of hash_entries. Raises PolicyError.
    """
    known: dict[str, Any] = {}
    if manifest.get("rss_key"):
        known["key"] = parse_key(str(manifest["rss_key"]))
    if manifest.get("rss_transform"):
        known["transform"] = str(manifest["rss_transform"])
        check_transform(known["transform"])
    if manifest.get("rss_inner"):
        known["inner"] = True
    return known
