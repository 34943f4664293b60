"""All packets of a capture, decoded block by block: rows, and the flows they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replay.engine.accelerate import jit_in_place
from replay.ingest.flows import FlowTable, new_keys, new_table, number_flows, with_room
from replay.ingest.headers import REPEATED, SYN
from replay.ingest.packet import read_headers
from replay.ingest.records import BLOCK, Bytes, Capture, Columns, Int64s


@dataclass(frozen=True)
class Decoded:
    """All packets of a capture in file order, and its flows in order of appearance."""

    columns: Columns
    flows: int
    table: FlowTable


def decode_capture(data: Bytes, capture: Capture) -> Decoded:
    """Decode every packet of `capture`, which walks `data`."""
    columns, rows = Columns.empty(BLOCK), 0
    table, flows = new_table(BLOCK), 0
    keys = new_keys(BLOCK)
    sequence = np.empty(BLOCK, dtype=np.int64)
    for block, filled, consumed in capture.blocks():
        if rows + BLOCK > len(columns.time):
            # As many rows as the bytes so far suggest for the whole file, and some.
            guess = (rows + filled) * len(data) // consumed
            columns = _larger(columns, rows, max(guess + guess // 16, rows) + 2 * BLOCK)
        links = np.array([i.link for i in capture.findings.interfaces] or [0], dtype=np.int64)
        here = columns.part(rows, rows + filled)
        read_headers(data, block, filled, links, here, keys, sequence)
        table = with_room(table, flows, BLOCK)
        flows = number_flows(keys, filled, table.keys, table.slots, flows, here.flow)
        _mark_repeats(here.flow, here.payload, here.marks, sequence, table.sequence)
        rows += filled
    return Decoded(columns.part(0, rows), flows, table)


def _larger(columns: Columns, rows: int, room: int) -> Columns:
    """Return columns with `room` rows and the first `rows` rows of `columns`."""
    larger = Columns.empty(room)
    for name, old in columns._asdict().items():
        getattr(larger, name)[:rows] = old[:rows]
    return larger


@jit_in_place
def _mark_repeats(
    flows: npt.NDArray[np.int32],
    payloads: npt.NDArray[np.int32],
    marks: npt.NDArray[np.uint8],
    sequence: Int64s,
    next_byte: Int64s,
) -> None:
    """Mark TCP payload that its flow carried before; keep each flow's next byte."""
    for row in range(len(flows)):
        flow, first, payload = flows[row], sequence[row], np.int64(payloads[row])
        if first < 0 or flow < 0:
            continue
        expected = next_byte[flow]
        if marks[row] & SYN:
            next_byte[flow] = first + 1 + payload & 0xFFFF_FFFF
        elif payload > 0:
            after = first + payload & 0xFFFF_FFFF
            ahead = after - expected & 0xFFFF_FFFF
            if expected >= 0 and (ahead == 0 or ahead >= 1 << 31):
                marks[row] |= REPEATED
            else:
                next_byte[flow] = after
