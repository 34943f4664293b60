"""Which side of a flow is the server: as told, or by SYNs and the port that most flows share."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

import numpy as np
import numpy.typing as npt

from replay.errors import TraceError
from replay.ingest.flows import (
    MAPPED,
    FlowTable,
    addresses,
    unpack,
)
from replay.ingest.headers import TCP, UDP
from replay.trace.addresses import address_text

Int64s = npt.NDArray[np.int64]
Sides = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]

#: Side of a flow.
TO_SERVER, FROM_SERVER, ELSEWHERE = 1, 0, -1

_NAMES = {TCP: "tcp", UDP: "udp"}


@dataclass(frozen=True)
class Server:
    """The host whose work the trace shows; every field empty where nobody can say."""

    addresses: tuple[bytes, ...] = ()  # 16 bytes each, IPv4 as ::ffff:a.b.c.d
    port: int | None = None
    protocol: int | None = None
    inferred: bool = False

    def __str__(self) -> str:
        at = ", ".join(address_text(a) for a in self.addresses[:3])
        if len(self.addresses) > 3:
            at += f" and {len(self.addresses) - 3:,} more"
        if self.port is None:
            return at or "unknown"
        name = _NAMES.get(self.protocol or 0, "")
        return f"port {self.port}{'/' * bool(name)}{name}" + (f" at {at}" if at else "")


@dataclass(frozen=True)
class Ends:
    """The two ends of every flow, as numbers; all of shape (flows,)."""

    source: Int64s  # number of the address
    destination: Int64s
    source_port: Int64s
    destination_port: Int64s
    protocol: Int64s
    reverse: Int64s  # the flow in the opposite direction, or NO_FLOW
    addresses: npt.NDArray[np.uint8]  # (addresses, 16)

    @property
    def connection(self) -> Int64s:
        """The lower flow number of each connection's directions."""
        own = np.arange(len(self.reverse))
        return np.where((self.reverse >= 0) & (self.reverse < own), self.reverse, own)


def parse_server(text: str) -> Server:
    """Read `ADDRESS`, `PORT`, `IPV4:PORT` or `[IPV6]:PORT`. Raises TraceError for other text."""
    host, port = text.strip(), None
    if host.isdecimal():
        host, port = "", host
    elif host.startswith("["):
        host, _, port = host[1:].partition("]:")
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    try:
        number = None if port is None else int(port)
        if number is not None and not 1 <= number <= 65_535:
            raise ValueError
        if not host and port is None:
            raise ValueError
        known = (_wide(host),) if host else ()
    except ValueError:
        raise TraceError(
            f"server {text!r} is neither an address, a port (1 to 65535) nor ADDRESS:PORT"
        ) from None
    return Server(known, number)


def _wide(host: str) -> bytes:
    address = ip_address(host)
    if address.version == 6:
        return address.packed
    return (MAPPED | int(address)).to_bytes(16, "big")


def ends_of(table: FlowTable, reverse: Int64s) -> Ends:
    """Return the ends of a table's first flows, whose opposite directions are `reverse`."""
    flows = len(reverse)
    keys = table.keys.ends[:flows]
    different, number = _numbered(keys[:, :4].reshape(2 * flows, 2))
    parts = unpack(keys[:, 4])
    return Ends(
        source=number[0::2],
        destination=number[1::2],
        source_port=parts["source_port"],
        destination_port=parts["destination_port"],
        protocol=parts["protocol"],
        reverse=reverse,
        addresses=addresses(different),
    )


def _numbered(words: Int64s) -> tuple[Int64s, Int64s]:
    """Return the different rows of `words`, sorted, and which of them each row is."""
    order = np.lexsort((words[:, 1], words[:, 0]))
    upper, lower = words[order, 0], words[order, 1]
    new = np.ones(len(words), dtype=np.bool_)
    new[1:] = (upper[1:] != upper[:-1]) | (lower[1:] != lower[:-1])
    number = np.empty(len(words), dtype=np.int64)
    number[order] = np.cumsum(new) - 1
    return words[order[new]], number


def infer_server(ends: Ends, asks: Int64s, packets: Int64s) -> Server:
    """Return the port that most connections share.

    `asks` is 1 for flows in which a SYN was seen, -1 for those with the answer to one, else 0: a
    SYN's destination is the server. Of connections without, either port may be it. Connections
    heard in one direction (broadcasts, scans) count where there are no others. Ties go to the port
    with more packets, then to the lower one.
    """
    usable = ((ends.protocol == TCP) | (ends.protocol == UDP)) & (ends.source_port != 0)
    first = usable & (ends.connection == np.arange(len(packets)))
    if (first & (ends.reverse >= 0)).any():
        first &= ends.reverse >= 0
    toward = _with_reverse(asks, ends.reverse, -1)
    weight = _with_reverse(packets, ends.reverse, 1)
    there, back = first & (toward >= 0), first & (toward <= 0)
    if not first.any():
        return Server(inferred=True)
    ports = np.concatenate([ends.destination_port[there], ends.source_port[back]])
    protocols = np.concatenate([ends.protocol[there], ends.protocol[back]])
    both = protocols << 16 | ports
    candidates = np.unique(both)
    inverse = np.searchsorted(candidates, both)
    connections = np.bincount(inverse)
    busy = np.bincount(inverse, weights=np.concatenate([weight[there], weight[back]]))
    best = int(candidates[np.lexsort((candidates & 0xFFFF, -busy, -connections))[0]])
    return Server(port=best & 0xFFFF, protocol=best >> 16, inferred=True)


def sides(ends: Ends, server: Server, asks: Int64s) -> tuple[Sides, Server]:
    """Return TO_SERVER, FROM_SERVER or ELSEWHERE for each flow, and the server with its addresses.

    Addresses decide. Where both ends may be the server, the port does, then a SYN (`asks`, as for
    infer_server), then who spoke first. Raises TraceError where a named server is in no flow.
    """
    to_port, from_port = (
        has_port(ends.protocol, port, server) for port in (ends.destination_port, ends.source_port)
    )
    is_server = np.zeros(len(ends.addresses), dtype=np.bool_)
    if server.addresses:
        for address in server.addresses:
            same = ends.addresses == np.frombuffer(address, dtype=np.uint8)
            is_server |= same.all(axis=1)
    else:
        is_server[ends.destination[to_port]] = True
        is_server[ends.source[from_port & ~to_port]] = True
    there, back = is_server[ends.destination], is_server[ends.source]
    if not server.inferred and not (there | back).any():
        raise TraceError(f"server {server}: no packet goes to it or comes from it")
    speaks_first = ends.connection == np.arange(len(ends.reverse))
    toward = _with_reverse(asks, ends.reverse, -1)
    asking = np.where(toward != 0, toward > 0, speaks_first)
    found = tuple(address.tobytes() for address in ends.addresses[is_server])
    whole = Server(found, server.port, server.protocol, server.inferred)
    return decide(
        (to_port, from_port), there, back, asking, by_address=bool(server.addresses)
    ), whole


def decide(
    ports: tuple[Mask, Mask], there: Mask, back: Mask, asking: Mask, *, by_address: bool
) -> Sides:
    """Return the side of each flow.

    `ports`: whether it goes to the server's port, and comes from it; `there` and `back`: whether to
    and from its addresses; `asking`: whether to it, if both ends may be it. `by_address`: addresses
    are told, and decide first; else the port is all that is known.
    """
    to_port, from_port = ports
    if by_address:
        both = np.where(to_port != from_port, to_port, asking)
        to_server = np.where(there & back, both, there)
    else:
        both = np.where(there & back, asking, there)
        to_server = np.where(to_port != from_port, to_port, both)
    side = np.where(to_server, TO_SERVER, FROM_SERVER)
    return np.where(there | back, side, ELSEWHERE).astype(np.int8)


def server_first(ends: Ends, side: Sides) -> Int64s:
    """Return flows in order of appearance, but of a connection's two the one to the server first.

    That is how a reader tells in which direction the NIC hashed (layout.queues).
    """
    order = np.arange(len(side))
    turned = np.flatnonzero((ends.reverse > order) & (side == FROM_SERVER))
    order[turned], order[ends.reverse[turned]] = ends.reverse[turned], turned
    return order


def _with_reverse(values: Int64s, reverse: Int64s, factor: int) -> Int64s:
    """Return each flow's value plus `factor` times that of its opposite direction."""
    if not len(values):
        return values
    both: Int64s = values + factor * np.where(reverse >= 0, values[reverse], 0)
    return both


def has_port(protocol: Int64s, port: Int64s, server: Server) -> npt.NDArray[np.bool_]:
    """Whether `port` is the server's; never, where it has none."""
    if server.port is None:
        return np.zeros(len(port), dtype=np.bool_)
    right = (protocol == TCP) | (protocol == UDP)
    if server.protocol is not None:
        right = protocol == server.protocol
    same: npt.NDArray[np.bool_] = right & (port == server.port)
    return same
