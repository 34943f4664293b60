"""Who speaks with whom: what all flows of a capture tell, and what the first of them let expect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replay.ingest.decode import Decoded
from replay.ingest.flow_state import ASKS, PACKETS, REVERSE
from replay.ingest.flows import unpack
from replay.ingest.server import (
    Ends,
    Mask,
    Server,
    Sides,
    decide,
    ends_of,
    has_port,
    infer_server,
    server_first,
    sides,
)

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Parties:
    """Who speaks with whom in a capture: flows' ends and sides, the server, rows of the table."""

    ends: Ends
    side: Sides
    host: Server
    order: Int64s  # row i of the flows table is flow order[i]


def parties_of(decoded: Decoded, named: Server | None) -> Parties:
    """Return what the flows met so far tell, of the server `named` or of that which is inferred."""
    state = decoded.state[: decoded.flows]
    ends = ends_of(decoded.table, state[:, REVERSE].copy())
    asks = state[:, ASKS].copy()
    side, host = sides(ends, named or infer_server(ends, asks, state[:, PACKETS]), asks)
    return Parties(ends, side, host, server_first(ends, side))


class Guess:
    """The sides of flows as they appear, by what `host` was among those before.

    What `sides` says of all flows may differ: of a host that turns out to be a server later.
    """

    def __init__(self, host: Server, named: Server | None) -> None:
        self._host = host
        self._by_address = named is not None and bool(named.addresses)
        words = np.frombuffer(b"".join(host.addresses), dtype=">i8").astype(np.int64)
        self._known = np.unique(_mixed(words.reshape(-1, 2)))

    def agrees(self, server: Server) -> bool:
        """Whether the same port is the server's."""
        return (server.port, server.protocol) == (self._host.port, self._host.protocol)

    def sides(self, keys: Int64s, first: int, state: Int64s) -> Sides:
        """Return the sides of the flows from `first` on: their ends, the state of all flows."""
        parts = unpack(keys[:, 4])
        to_port, from_port = (
            has_port(parts["protocol"], parts[name], self._host)
            for name in ("destination_port", "source_port")
        )
        source, destination = _mixed(keys[:, 0:2]), _mixed(keys[:, 2:4])
        if not self._by_address:
            self._learn(np.concatenate([destination[to_port], source[from_port & ~to_port]]))
        reverse, asks = state[first:, REVERSE], state[:, ASKS]
        toward = asks[first:] - np.where(reverse >= 0, asks[reverse], 0)
        own = np.arange(first, first + len(keys))
        asking = np.where(toward != 0, toward > 0, (reverse < 0) | (reverse >= own))
        there, back = to_port.copy(), from_port.copy()
        ask = np.full(len(keys), True) if self._by_address else to_port == from_port
        there[ask] = self._knows(destination[ask])
        back[ask] = self._knows(source[ask])
        return decide((to_port, from_port), there, back, asking, by_address=self._by_address)

    def _learn(self, addresses: Int64s) -> None:
        """Take addresses to be the server's, too: without sorting those before again."""
        new = np.unique(addresses[~self._knows(addresses)])
        self._known = np.insert(self._known, np.searchsorted(self._known, new), new)

    def _knows(self, addresses: Int64s) -> Mask:
        """Return which addresses are the server's."""
        place = np.searchsorted(self._known, addresses)
        found: Mask = np.append(self._known, 0)[place] == addresses
        return found & (place < len(self._known))


def _mixed(words: Int64s) -> Int64s:
    """Return a number for each address, two words, that hardly two of them share."""
    mixed: Int64s = words[:, 0] * np.int64(0x5851F42D4C957F2D) ^ words[:, 1]
    return mixed
