"""What readers make of a tracepoint's values, however they are recorded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_inline
from replay.ingest.reconstruct_points import (
    FLOW_HASH_BIT,
    HEADER_SHIFT,
    NO_CPU,
    NO_DEVICE,
    NO_TID,
    NULL,
    PROTOCOL_SHIFT,
)

Int64s = npt.NDArray[np.int64]

ETHERNET_HEADER = 14
MOST_DEVICES = 4096  # fewer than NO_DEVICE
MOST_THREADS = 1 << 16  # whose names are kept
HIGHEST_TID = NO_TID - 1  # PID_MAX_LIMIT
HIGHEST_CPU = NO_CPU - 1

_OPEN = 0x28


@jit_inline
def packet_detail(
    protocol: int, flow_hash: int, hash_is_flow: int, network: int, transport: int, valid: int
) -> int:
    """Pack what is known of a packet, NULL what is not; see reconstruct_points.detail.

    network, transport: where those headers begin; valid: whether the latter is known.
    """
    packed = 0
    if protocol != NULL:
        packed |= (protocol & 0xFFFF) << PROTOCOL_SHIFT
    if flow_hash != NULL and hash_is_flow != NULL and hash_is_flow != 0:
        packed |= 1 << FLOW_HASH_BIT | flow_hash & 0xFFFFFFFF
    if network != NULL and transport != NULL and valid != NULL and valid != 0:
        # Both are small numbers; those of a damaged recording need not be.
        header = (transport & 0xFFFFFFFF) - (network & 0xFFFFFFFF)
        if 0 < header < 256:
            packed |= header << HEADER_SHIFT
    return packed


@jit_inline
def link_header(place: int, valid: int) -> int:
    """Return the length of a received packet's link header, which skb->len leaves out.

    place: where the header begins, below 0, or NULL; valid: whether that is known.
    """
    if place != NULL and valid != NULL and valid != 0 and -256 < place <= 0:
        return -place
    return ETHERNET_HEADER


@jit_inline
def device_number(devices: Int64s, found: Int64s, first: int, second: int) -> int:
    """Return the number of a device by its name's sixteen bytes, added where it is new.

    "(no_device)", which stands for the CPU's backlog, is NO_DEVICE; MOST_DEVICES: there is no room.
    devices: (MOST_DEVICES, 2); found[0]: how many there are.
    """
    if first & 0xFF == _OPEN:
        return NO_DEVICE
    count: int = found[0]
    for known in range(count):
        if devices[known, 0] == first and devices[known, 1] == second:
            return known
    if count < MOST_DEVICES:
        devices[count, 0] = first
        devices[count, 1] = second
        found[0] = count + 1
    return count
