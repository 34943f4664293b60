"""Which RX queue and worker a packet goes to: as recorded, or as a layout spreads its flow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.arrivals import Int64s, Offered
from replay.errors import PolicyError, TraceError
from replay.islands import Placement, beside_its_queue
from replay.layout import Layout, parse_indirection
from replay.mapped import changed, chunks, zeros
from replay.places import Places
from replay.recorded import recorded_hash, recorded_layout, recorded_places
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
    return Layout(queues=queues, indirection=table, **recorded_hash(trace))


def queue_of_packets(trace: Trace, offer: Offered, layout: Layout | None) -> Int64s | None:
    """Return the queue of each received packet, shape (packets,); None where there is only one.

    Without a layout it is the recorded one, or that to which the recorded NIC's table sent it.
    A packet of no flow (ARP, for one) is not hashed: queue 0 takes it. Raises TraceError where no
    packet has one.
    """
    asked = layout is not None
    if layout is None:
        seen = _recorded_queue(trace, offer)
        layout = recorded_layout(trace) if seen is None else None
        if layout is None:
            return seen
    if layout.queues == 1:
        return None
    highest = _highest_flow(offer)
    if highest < 0 and not asked:
        return None
    if highest < 0:
        raise TraceError(f"{trace.name}: holds no flows to hash onto {layout.queues} queues")
    if highest >= trace.flows.num_rows:
        raise TraceError(f"{trace.name}: packets name flow {highest} of {trace.flows.num_rows}")
    from replay.layout.queues import hashes_of_copies, queue_of_hashes

    hash_of_flow = np.append(_hashes(trace, layout), 0)

    def queue_of_flows(flow: Int64s) -> Int64s:
        hashes = hash_of_flow[flow]
        if offer.copy is not None:
            hashes = hashes_of_copies(hashes, offer.copy)
        return np.where(flow >= 0, queue_of_hashes(hashes, layout), 0)

    return offer.column("flow", -1, queue_of_flows)


def _recorded_queue(trace: Trace, offer: Offered) -> Int64s | None:
    """Return the queue of each packet as recorded; None where one is unknown, or all are one."""
    if any(part["queue"].null_count for part in trace.packets_by_chunk("queue")):
        return None
    found: set[int] = set()
    for queue in offer.chunks("queue", -1):
        if len(queue):
            found |= {int(queue.min()), int(queue.max())}
    return None if len(found) == 1 else offer.column("queue", -1)


def _highest_flow(offer: Offered) -> int:
    """Return the highest number of a received packet's flow; -1 where none has one."""
    return max((int(flow.max()) for flow in offer.chunks("flow", -1) if len(flow)), default=-1)


def place(trace: Trace, offer: Offered, layout: Layout | None, places: Places | None) -> Placement:
    """Return where each packet is received and served.

    Without `places` each queue has a CPU and a worker of its own, or those that queues were seen
    to share. Raises PolicyError, TraceError.
    """
    queue = queue_of_packets(trace, offer, layout)
    if layout is None and places is None:
        known = None if queue is None else recorded_layout(trace)
        places = None if known is None else recorded_places(trace, known)
        if places is None:
            return beside_its_queue(offer.workload, queue)
        layout = known
    queues = layout.queues if layout else 1 if queue is None else int(queue.max()) + 1
    topology = (places or Places()).topology(queues)
    worker = queue
    if len(topology.worker_cpu) == 1:
        worker = None
    elif places and places.spread == "flows":
        worker = worker_of_flows(offer, queue, len(topology.worker_cpu))
    elif queue is not None:
        worker = changed(queue, lambda number: number % len(topology.worker_cpu))
    return Placement(offer.workload, topology, queue, worker, tuple(range(queues)))


def worker_of_flows(offer: Offered, queue: Int64s | None, workers: int) -> Int64s:
    """Return the worker of each received packet, flows dealt in turn, shape (packets,).

    Flows are counted as they are numbered in the recording, those that the host received alone; a
    copy's come after the recording's. A packet of no flow goes to the worker of its queue.
    """
    names = np.unique(np.concatenate([np.unique(flow) for flow in offer.chunks("flow", -1)]))
    flow = offer.column("flow", -1)
    found = zeros(len(flow))
    for part in chunks(len(flow)):
        number = np.searchsorted(names, flow[part])
        if offer.copy is not None:
            number = number + offer.copy[part] * len(names)
        spare = 0 if queue is None else queue[part]
        found[part] = np.where(flow[part] >= 0, number, spare) % workers
    return found


def hashed_as_recorded(trace: Trace) -> Bools:
    """Return which flows were recorded as a hash without addresses, shape (flows,)."""
    import pyarrow.compute as pc  # slow to import, and only layouts need it

    unknown = pc.equal(trace.flows["source"], pa.scalar(bytes(16), pa.binary(16)))
    known_hash = pc.is_valid(trace.flows["rss_hash"])
    both: Bools = pc.and_(unknown, known_hash).to_numpy()
    return both


def _hashes(trace: Trace, layout: Layout) -> Int64s:
    """Return the hash of each flow: by Toeplitz, or the recorded one if that is all there is.

    A kernel's events name no addresses, but the hash that the NIC or the stack gave the packet.
    """
    from replay.layout.queues import receive_hashes

    recorded = trace.flows["rss_hash"].cast("int64").fill_null(0).to_numpy()
    hashes = receive_hashes(trace.flows, layout)
    return np.where(hashed_as_recorded(trace), recorded, hashes)


def _table_size(queues: int) -> int:
    """Return the entries of the indirection table: 128, or enough for each queue to have one."""
    return max(128, 1 << (queues - 1).bit_length())
