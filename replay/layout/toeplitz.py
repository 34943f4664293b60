"""The Toeplitz hash by which NICs spread flows over queues (receive-side scaling)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place
from replay.layout.key import INPUT_BYTES, KEY_BYTES, VERIFICATION_KEY

__all__ = ["VERIFICATION_KEY", "toeplitz"]

Number = TypeVar("Number", np.uint8, np.uint16)

#: IPv4 addresses stand in 16 bytes behind this prefix.
_MAPPED = 12


def toeplitz(
    key: bytes,
    source: npt.NDArray[np.uint8],
    destination: npt.NDArray[np.uint8],
    source_port: npt.NDArray[np.uint16],
    destination_port: npt.NDArray[np.uint16],
    version: npt.NDArray[np.uint8],
    with_ports: npt.NDArray[np.bool_],
    transform: str = "none",
) -> npt.NDArray[np.uint32]:
    """Return the hash of each flow, shape (flows,).

    `source` and `destination` have shape (flows, 16), IPv4 as ::ffff:a.b.c.d; `version` is 4 or 6;
    `with_ports` chooses addresses and ports (4-tuple) or addresses alone (2-tuple). `key` holds at
    least KEY_BYTES; the hash uses its first KEY_BYTES. `transform` is one of TRANSFORMS.
    """
    source, destination = _transformed(source, destination, transform)
    source_port, destination_port = _transformed(source_port, destination_port, transform)
    flows = len(version)
    words = np.zeros((flows, INPUT_BYTES), dtype=np.uint8)
    lengths = np.where(version == 4, 8, 32).astype(np.int64)
    ports = np.stack([source_port, destination_port], axis=-1).astype(">u2")
    ports_bytes = np.ascontiguousarray(ports).view(np.uint8).reshape(flows, 4)
    four, six = version == 4, version != 4
    words[four, 0:4] = source[four, _MAPPED:]
    words[four, 4:8] = destination[four, _MAPPED:]
    words[four, 8:12] = ports_bytes[four]
    words[six, 0:16] = source[six]
    words[six, 16:32] = destination[six]
    words[six, 32:36] = ports_bytes[six]
    lengths[with_ports] += 4
    hashes = np.empty(flows, dtype=np.int64)
    _hash(words, lengths, _windows(key), hashes)
    return hashes.astype(np.uint32)


def _transformed(
    source: npt.NDArray[Number], destination: npt.NDArray[Number], transform: str
) -> tuple[npt.NDArray[Number], npt.NDArray[Number]]:
    """Return what is hashed in place of source and destination."""
    if transform == "none":
        return source, destination
    different = source ^ destination
    return (source | destination if transform == "symmetric-or-xor" else different), different


def _windows(key: bytes) -> npt.NDArray[np.int64]:
    """Return what each input byte adds to the hash, shape (INPUT_BYTES, 256).

    A set input bit i adds the key's 32 bits from bit i on; a byte adds those of its set bits.
    """
    bits = int.from_bytes(key[:KEY_BYTES], "big")
    table = np.zeros((INPUT_BYTES, 256), dtype=np.int64)
    for position in range(INPUT_BYTES):
        for bit in range(8):  # bit 0 is the byte's lowest, so the last of its eight windows
            window = (bits >> (8 * (KEY_BYTES - position) - 32 - 7 + bit)) & 0xFFFF_FFFF
            half = 1 << bit
            table[position, half : 2 * half] = table[position, :half] ^ window
    return table


@jit_in_place
def _hash(
    words: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.int64],
    windows: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.int64],
) -> None:
    """XOR the windows of each flow's first `lengths` bytes into `hashes`."""
    for flow in range(len(lengths)):
        value = np.int64(0)
        for position in range(lengths[flow]):
            value ^= windows[position, words[flow, position]]
        hashes[flow] = value
