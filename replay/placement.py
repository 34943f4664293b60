"""Which RX queue a received packet goes to: as recorded, or as a layout hashes its flow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.arrivals import Int64s, Offered
from replay.errors import PolicyError, TraceError
from replay.layout import VERIFICATION_KEY, Layout, parse_indirection
from replay.trace.bundle import Trace

Bools = npt.NDArray[np.bool_]

QUEUES_RANGE = (1, 1024)


def lay_out(trace: Trace, queues: int | None, indirection: str | None) -> Layout | None:
    """Return the layout asked for; None where nothing is asked and queues stay as recorded.

    Weights alone say how many queues there are. The hash key is the recording's, or the published
    verification key. Raises PolicyError.
    """
    if queues is None and indirection is None:
        return None
    if queues is None:
        assert indirection is not None
        if "," not in indirection:
            raise PolicyError(f"indirection {indirection!r} needs a number of queues")
        queues = indirection.count(",") + 1
    low, high = QUEUES_RANGE
    if not low <= queues <= high:
        raise PolicyError(f"queues = {queues} is outside {low} to {high}")
    table = parse_indirection(indirection or "equal", queues, _table_size(queues))
    return Layout(queues=queues, indirection=table, key=recorded_key(trace) or VERIFICATION_KEY)


def recorded_key(trace: Trace) -> bytes | None:
    """Return the RSS key of the recorded host; None where it is not known."""
    said = trace.manifest.get("rss_key")
    if not said:
        return None
    try:
        return bytes.fromhex(str(said).replace(":", " "))
    except ValueError:
        raise TraceError(f"{trace.path}/manifest.json: rss_key is not hexadecimal") from None


def queue_of_packets(trace: Trace, offer: Offered, layout: Layout | None) -> Int64s | None:
    """Return the queue of each received packet, shape (packets,); None where there is only one.

    A packet of no flow (ARP, for one) is not hashed: queue 0 takes it. Raises TraceError where no
    packet has one.
    """
    if layout is None:
        recorded = trace.packets["queue"]
        if recorded.null_count:
            return None
        queue = recorded.to_numpy()[offer.row].astype(np.int64)
        return None if (queue == queue[0]).all() else queue
    if layout.queues == 1:
        return None
    flow = trace.packets["flow"].cast("int64").fill_null(-1).to_numpy()[offer.row]
    if not np.any(flow >= 0):
        raise TraceError(f"{trace.name}: holds no flows to hash onto {layout.queues} queues")
    if flow.max() >= trace.flows.num_rows:
        raise TraceError(f"{trace.name}: packets name flow {flow.max()} of {trace.flows.num_rows}")
    return np.where(flow >= 0, np.append(_queue_of_flows(trace, layout), 0)[flow], 0)


def hashed_as_recorded(trace: Trace) -> Bools:
    """Return which flows were recorded as a hash without addresses, shape (flows,)."""
    unknown = pc.equal(trace.flows["source"], pa.scalar(bytes(16), pa.binary(16)))
    known_hash = pc.is_valid(trace.flows["rss_hash"])
    both: Bools = pc.and_(unknown, known_hash).to_numpy()
    return both


def _queue_of_flows(trace: Trace, layout: Layout) -> Int64s:
    """Return the queue of each flow: by Toeplitz, or by its recorded hash if that is all there is.

    A kernel's events name no addresses, but the hash that the NIC or the stack gave the packet.
    """
    from replay.layout.queues import queue_of_flows

    recorded = trace.flows["rss_hash"].cast("int64").fill_null(0).to_numpy()
    table = np.array(layout.indirection, np.int64)
    by_hash = table[recorded & (len(table) - 1)]
    return np.where(hashed_as_recorded(trace), by_hash, queue_of_flows(trace.flows, layout))


def _table_size(queues: int) -> int:
    """Return the entries of the indirection table: 128, or enough for each queue to have one."""
    return max(128, 1 << (queues - 1).bit_length())
