"""The packets of one device out of its receive and transmit events: kinds, payloads, flows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replay.ingest.reconstruct_arrivals import Arrivals
from replay.ingest.reconstruct_points import (
    FLOW_HASH_BIT,
    NULL,
    PROTOCOL_SHIFT,
)
from replay.ingest.reconstruct_state import Columns
from replay.trace.schema import EventKind, PacketKind

Int64s = npt.NDArray[np.int64]

ETHERNET_HEADER = 14
IPV6 = 0x86DD
#: Lengths, from the network header on, of a TCP segment without data, and its headers' length:
#: with time stamps, without them, and without them in an Ethernet frame padded to its least size.
_PURE_ACKS = {4: ((52, 52), (40, 40), (46, 40)), 6: ((72, 72), (60, 60))}

#: A payload that at least this share of a direction's packets have is that of one message.
_USUAL_SHARE = 0.9


@dataclass(frozen=True)
class Packets:
    """Received packets first (in the order of their receive events), then transmitted ones."""

    row: Int64s  # of its event
    length: Int64s
    payload: Int64s  # NULL where headers are not known
    kind: npt.NDArray[np.uint8]  # PacketKind
    flow: Int64s  # -1 where no flow hash was recorded
    received: int  # how many of them are received ones
    flow_hash: Int64s  # by flow
    flow_version: npt.NDArray[np.uint8]  # by flow: 4 or 6
    tcp: bool  # ACKs were told apart by their length


def find_packets(events: Columns, device: int, arrivals: Arrivals) -> Packets:
    """Return what is known of the packets that `device` received and transmitted."""
    sent = np.flatnonzero((events.kind == EventKind.XMIT) & (events.device == device))
    row = np.concatenate([arrivals.row, sent])
    received = len(arrivals.row)
    length = events.value[row]
    detail = events.detail[row]
    known = detail != NULL
    version = np.where(known & (detail >> PROTOCOL_SHIFT == IPV6), 6, 4).astype(np.uint8)
    network = length - ETHERNET_HEADER
    bare = np.full(len(row), NULL, np.int64)  # length without data
    headers = np.zeros(len(row), np.int64)
    for family, candidates in _PURE_ACKS.items():
        mine = version == family
        counts = [int(np.count_nonzero(network[mine] == size)) for size, _ in candidates]
        if any(counts):
            best = candidates[int(np.argmax(counts))]
            bare[mine], headers[mine] = best
    ack = network == bare
    # Were all packets as short as ACKs, they would not be ACKs.
    tcp = bool(ack.any()) and not bool(ack[:received].all())
    kind = np.full(len(row), PacketKind.REQUEST, np.uint8)
    payload = np.full(len(row), NULL, np.int64)
    if tcp:
        kind[ack] = PacketKind.ACK
        with_headers = (bare != NULL) & (network >= headers)
        payload[with_headers] = (network - headers)[with_headers]
        payload[ack] = 0
    kind[received:] = PacketKind.TX
    flow, hashes, versions = _flows(detail, version, received)
    return Packets(row, length, payload, kind, flow, received, hashes, versions, tcp)


def _flows(
    detail: Int64s, version: npt.NDArray[np.uint8], received: int
) -> tuple[Int64s, Int64s, npt.NDArray[np.uint8]]:
    """Number the flows by the transport hash of received packets, where they carry one."""
    flow = np.full(len(detail), -1, np.int64)
    mine = detail[:received]
    hashed = np.flatnonzero((mine != NULL) & (mine >> FLOW_HASH_BIT & 1 == 1))
    values, first, number = np.unique(
        mine[hashed] & 0xFFFFFFFF, return_index=True, return_inverse=True
    )
    flow[hashed] = number
    return flow, values, version[hashed[first]]


def messages(packets: Packets) -> tuple[Int64s, bool]:
    """Return how many requests or responses each packet holds, and whether that is known.

    Where nearly all packets of a direction have one payload, a multiple of it holds several
    messages (the sender's TCP has put them together); where sizes vary, each packet is one.
    """
    weight = np.ones(len(packets.row), np.int64)
    known = True
    for begin, end in ((0, packets.received), (packets.received, len(packets.row))):
        payload = packets.payload[begin:end]
        sizes, counts = np.unique(payload[payload > 0], return_counts=True)
        if not len(sizes) or counts.max() < _USUAL_SHARE * counts.sum():
            known = False
            continue
        usual = sizes[np.argmax(counts)]
        several = (payload > 0) & (payload % usual == 0)
        weight[begin:end][several] = payload[several] // usual
    return weight, known
