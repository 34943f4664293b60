"""A bundle's packets as a pcapng: headers rebuilt from their flows, no payload.

A bundle keeps neither TCP's flags nor its sequence numbers: PSH ends each message, the first
control packet of a flow has SYN, later ones FIN, and sequence numbers count the flow's payload.
Tunnels are left out: the inner packet stands alone. A packet without a flow is a bare Ethernet
header of the local experimental type.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from replay import __version__
from replay.convert.headers import SHAPES, Flows, Packets, headers
from replay.errors import TraceError
from replay.files import whole_file
from replay.trace.bundle import Trace, int64s
from replay.trace.schema import PacketKind

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_ETHERNET = 1
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_NAME, _RESOLUTION, _PROGRAM = 2, 9, 4  # options
_BEFORE, _FLAGS_OPTION, _AFTER = 28, 12, 4  # bytes of a packet block around what was captured
_INBOUND, _OUTBOUND = 1, 2

#: Packets whose blocks are built together: their bytes' places take eight times their size.
_ROWS = 1 << 14

_COLUMNS = {
    "arrival_ns": 0,
    "kind": int(PacketKind.CONTROL),
    "flow": -1,
    "device": 0,
    "length": -1,
    "payload": -1,
}


def write_pcapng(trace: Trace, place: Path) -> None:
    """Write the packets of `trace` as the file `place`, times in nanoseconds since 1970.

    Of a recording on another clock, whose manifest does not say when it began, times are since its
    start. Raises TraceError where something stands at `place`.
    """
    if place.exists():
        raise TraceError(f"{place}: already exists; name another file or remove it")
    flows = Flows.of(trace.flows)
    with whole_file(place) as file:
        file.write(_section())
        for name in _devices(trace):
            file.write(_interface(name))
        for packets, device in _packets(trace, flows):
            file.write(_blocks(packets, device).tobytes())


def _packets(trace: Trace, flows: Flows) -> Iterator[tuple[Packets, Int64s]]:
    """Yield the packets by block, ready for their headers, and their interfaces."""
    origin, devices = _origin(trace), len(_devices(trace))
    for chunk in trace.packets_by_chunk(*_COLUMNS):
        for start in range(0, len(chunk), _ROWS):
            columns = chunk.slice(start, _ROWS).columns
            at, kind, flow, device, length, payload = (
                int64s(it, null) for it, null in zip(columns, _COLUMNS.values(), strict=True)
            )
            if flow.max() >= len(flows.shape):
                raise TraceError(
                    f"{trace.name}: flow {flow.max()} of a packet is in no flows.arrow"
                )
            packets = Packets.of(flows, origin + at, kind, flow, length, payload)
            yield packets, np.clip(device, 0, devices - 1)


def _origin(trace: Trace) -> int:
    """Return the wall clock's time at the trace's start, ns since 1970, where it is known."""
    said = trace.manifest
    realtime = str(said.get("clock", "")).lower().removeprefix("clock_") == "realtime"
    origin = said.get("wall_origin_ns", said.get("origin_ns") if realtime else 0)
    return origin if isinstance(origin, int) and 0 <= origin < 1 << 62 else 0


def _devices(trace: Trace) -> list[str]:
    """Return the devices' names; one at least."""
    said = trace.manifest.get("devices")
    named = [it.get("name") if isinstance(it, dict) else it for it in said or []]
    return [str(it or "") for it in named] or [""]


def _option(number: int, value: bytes) -> bytes:
    return struct.pack("<HH", number, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def _section() -> bytes:
    program = _option(_PROGRAM, f"replay {__version__}".encode())
    return _block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + program + _option(0, b""))


def _interface(name: str) -> bytes:
    options = _option(_NAME, name.encode()[:255]) if name else b""
    options += _option(_RESOLUTION, b"\x09") + _option(0, b"")
    return _block(_INTERFACE, struct.pack("<HHI", _ETHERNET, 0, 0) + options)


def _blocks(packets: Packets, device: Int64s) -> Bytes:
    """Return the packets' blocks, one behind the other."""
    captured = np.array([shape.size for shape in SHAPES], np.int64)[packets.shape]
    padded = captured + -captured % 4
    size = _BEFORE + padded + _FLAGS_OPTION + _AFTER
    start = np.cumsum(size) - size
    out = np.zeros(int(size.sum()), np.uint8)
    direction = np.where(packets.sent, _OUTBOUND, _INBOUND)
    for number in np.unique(packets.shape).tolist():
        mine = np.flatnonzero(packets.shape == number)
        rows = np.zeros((len(mine), int(size[mine[0]])), np.uint8)
        words: dict[int, Any] = {
            0: _PACKET,
            4: size[mine],
            8: device[mine],
            12: packets.time[mine] >> 32,
            16: packets.time[mine] & 0xFFFF_FFFF,
            20: captured[mine],
            24: np.maximum(packets.length[mine], captured[mine]),
        }
        behind = _BEFORE + int(padded[mine[0]])
        words |= {
            behind: 2 | 4 << 16,  # epb_flags, four bytes
            behind + 4: direction[mine],
            behind + 12: size[mine],  # behind opt_endofopt
        }
        for at, values in words.items():
            rows[:, at : at + 4] = _little(values, len(mine))
        rows[:, _BEFORE : _BEFORE + SHAPES[number].size] = headers(packets, mine, SHAPES[number])
        out[start[mine][:, None] + np.arange(rows.shape[1])] = rows
    return out


def _little(values: Any, count: int) -> Bytes:
    """Return whole numbers as four bytes each."""
    column = np.broadcast_to(np.asarray(values, np.uint32), count).astype("<u4")
    return column.view(np.uint8).reshape(count, 4)
