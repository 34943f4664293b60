"""The packets of one device out of its receive and transmit events: kinds, payloads, flows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replay import mapped
from replay.engine.accelerate import jit_in_place
from replay.ingest.flow_numbers import number_flows
from replay.ingest.reconstruct_points import (
    FLOW_HASH_BIT,
    NULL,
    PROTOCOL_SHIFT,
)
from replay.ingest.reconstruct_state import PacketEvents
from replay.trace.schema import EventKind, PacketKind

Int64s = npt.NDArray[np.int64]

ETHERNET_HEADER = 14
IPV6 = 0x86DD
#: Lengths, from the network header on, of a TCP segment without data, and its headers' length:
#: with time stamps, without them, and without them in an Ethernet frame padded to its least size;
#: of IPv4, then of IPv6.
_PURE_ACKS = np.array([[(52, 52), (40, 40), (46, 40)], [(72, 72), (60, 60), (72, 72)]], np.int64)

#: A payload that at least this share of a direction's packets have is that of one message.
_USUAL_SHARE = 0.9

_REQUEST, _ACK, _TX = int(PacketKind.REQUEST), int(PacketKind.ACK), int(PacketKind.TX)
_XMIT = int(EventKind.XMIT)


@dataclass(frozen=True)
class Packets:
    """Received packets first (in the order of their receive events), then transmitted ones."""

    row: Int64s  # of its event
    time: Int64s  # of its event
    length: Int64s
    payload: Int64s  # NULL where headers are not known
    kind: npt.NDArray[np.uint8]  # PacketKind
    flow: Int64s  # -1 where no flow hash was recorded
    received: int  # how many of them are received ones
    flow_hash: Int64s  # by flow
    flow_version: npt.NDArray[np.uint8]  # by flow: 4 or 6
    tcp: bool  # ACKs were told apart by their length
    cpu: int  # that received most of them


def find_packets(seen: PacketEvents, device: int) -> Packets:
    """Return what is known of the packets that `device` received and transmitted."""
    counts = np.zeros(2, np.int64)
    cpus = np.zeros(1 << 16, np.int64)
    for part in mapped.steps(len(seen.row)):
        mine = seen.device[part] == device
        sent = seen.kind[part][mine] == EventKind.XMIT
        counts += np.bincount(sent, minlength=2)
        cpus += np.bincount(seen.cpu[part][mine][~sent], minlength=len(cpus))
    received, count = int(counts[0]), int(counts.sum())
    row, time, length, payload, flow = (mapped.column(count) for _ in range(5))
    kind, family = mapped.column(count, np.uint8), mapped.column(count, np.uint8)
    lengths = np.zeros((2, *_PURE_ACKS.shape[:2]), np.int64)
    at = np.array([0, received], np.int64)
    for part in mapped.steps(len(seen.row)):
        _look(seen.part(part), device, at, row, time, length, family, flow, _PURE_ACKS, lengths)
    bare, headers = np.full(2, NULL, np.int64), np.zeros(2, np.int64)
    acks = np.zeros(2, np.int64)
    for number, counts in enumerate(lengths.sum(axis=0)):
        if counts.any():
            best = int(np.argmax(counts))
            bare[number], headers[number] = _PURE_ACKS[number, best]
            acks += lengths[:, number, best]
    # Were all packets as short as ACKs, they would not be ACKs.
    tcp = bool(acks.any()) and bool(acks[0] < received)
    for part in mapped.steps(count):
        begin, end = part.start, part.stop
        _name(begin, end, received, length, family, bare, headers, tcp, kind, payload)
    hashes, versions = number_flows(flow, family)
    cpu = int(np.argmax(cpus))
    return Packets(row, time, length, payload, kind, flow, received, hashes, versions, tcp, cpu)


@jit_in_place
def _look(
    seen: PacketEvents,
    device: int,
    at: Int64s,
    row: Int64s,
    time: Int64s,
    length: Int64s,
    family: npt.NDArray[np.uint8],
    flow: Int64s,
    acks: Int64s,
    lengths: Int64s,
) -> None:
    """Read packets' events: `flow` is the transport hash of received ones, where they carry one.

    at (2,): the next packet received, and the next one sent. family: 0 for IPv4, 1 for IPv6.
    lengths (direction, family, number in `acks`): packets of each of those lengths.
    """
    for place in range(len(seen.row)):
        if seen.device[place] != device:
            continue
        sent = 1 if seen.kind[place] == _XMIT else 0
        packet = at[sent]
        at[sent] = packet + 1
        detail = seen.detail[place]
        six = 1 if detail != NULL and detail >> PROTOCOL_SHIFT == IPV6 else 0
        row[packet] = seen.row[place]
        time[packet] = seen.time[place]
        length[packet] = seen.length[place]
        family[packet] = six
        flow[packet] = -1
        if sent == 0 and detail != NULL and detail >> FLOW_HASH_BIT & 1 == 1:
            flow[packet] = detail & 0xFFFFFFFF
        for number in range(acks.shape[1]):
            if length[packet] == acks[six, number, 0] + ETHERNET_HEADER:
                lengths[sent, six, number] += 1


@jit_in_place
def _name(
    begin: int,
    end: int,
    received: int,
    length: Int64s,
    family: npt.NDArray[np.uint8],
    bare: Int64s,
    headers: Int64s,
    tcp: bool,
    kind: npt.NDArray[np.uint8],
    payload: Int64s,
) -> None:
    """Give packets their kind and payload. bare, headers: by family."""
    for packet in range(begin, end):
        network = length[packet] - ETHERNET_HEADER
        six = family[packet]
        kind[packet] = _REQUEST
        payload[packet] = NULL
        if tcp:
            if bare[six] != NULL and network >= headers[six]:
                payload[packet] = network - headers[six]
            if network == bare[six]:
                payload[packet] = 0
                kind[packet] = _ACK
        if packet >= received:
            kind[packet] = _TX


def messages(packets: Packets) -> tuple[Int64s, bool]:
    """Return how many requests or responses each packet holds, and whether that is known.

    Where nearly all packets of a direction have one payload, a multiple of it holds several
    messages (the sender's TCP has put them together); where sizes vary, each packet is one.
    """
    weight = mapped.column(len(packets.row))
    known = True
    for begin, end in ((0, packets.received), (packets.received, len(packets.row))):
        payload, mine = packets.payload[begin:end], weight[begin:end]
        usual = _usual(payload)
        known = known and usual > 0
        for part in mapped.steps(end - begin):
            mine[part] = 1
            if usual > 0:
                several = (payload[part] > 0) & (payload[part] % usual == 0)
                mine[part][several] = payload[part][several] // usual
    return weight, known


def _usual(payload: Int64s) -> int:
    """Return the payload that nearly all packets with one have; 0 where there is none."""
    usual = surplus = 0
    for part in mapped.steps(len(payload)):
        sizes, counts = np.unique(payload[part][payload[part] > 0], return_counts=True)
        if not len(sizes):
            continue
        size, more = int(sizes[counts.argmax()]), int(2 * counts.max() - counts.sum())
        if more <= 0:
            continue
        if size == usual:
            surplus += more
        elif more > surplus:  # whatever more than half of all have is left in the end
            usual, surplus = size, more - surplus
        else:
            surplus -= more
    known = same = 0
    for part in mapped.steps(len(payload)):
        known += int(np.count_nonzero(payload[part] > 0))
        same += int(np.count_nonzero(payload[part] == usual))
    return usual if usual and same >= _USUAL_SHARE * known else 0
